"""Dense Linear layers among sparse ones: the same layer, quick with a batch stored by columns."""

import copy

import pytest
import torch
from torch import nn

from suite.sparsity.plan import Plan
from suite.sparsity.storage.column_linear import ColumnLinear, set_layout
from suite.sparsity.storage.csr import SparseLinear
from suite.sparsity.storage.execution import Execution
from tests.support.helpers import attach, make


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(5, 7), (1, 7), (5, 1), (2, 5, 7), (7,)])
def test_it_is_the_ordinary_layer_whatever_the_layout(shape, bias):
    torch.manual_seed(0)
    plain = nn.Linear(shape[-1], 3, bias=bias).double()
    other = copy.deepcopy(plain)
    set_layout([other], by_columns=True)
    assert isinstance(other, ColumnLinear)
    rows = torch.randn(shape, dtype=torch.float64)
    layouts = [rows, rows.repeat_interleave(2, -1)[..., ::2]]
    layouts += [rows.mT.contiguous().mT] if rows.ndim > 1 else []
    for layout in layouts:
        x, y = (layout.clone(memory_format=torch.preserve_format).requires_grad_() for _ in "ab")
        expected, found = plain(x), other(y)
        assert found.is_contiguous()
        torch.testing.assert_close(found, expected)
        for layer, out in ((plain, expected), (other, found)):
            layer.zero_grad()
            out.sin().sum().backward()
        torch.testing.assert_close(y.grad, x.grad)
        for a, b in zip(plain.parameters(), other.parameters(), strict=True):
            torch.testing.assert_close(b.grad, a.grad)


def test_its_gradient_comes_back_by_columns_as_its_input_came():
    layer = nn.Linear(7, 3)
    set_layout([layer], by_columns=True)
    x = torch.randn(7, 5).t().requires_grad_()
    (gradient,) = torch.autograd.grad(layer(x).sin().sum(), x)
    assert gradient.t().is_contiguous()


def test_layers_are_prepared_while_others_are_sparse_and_ordinary_before_and_after():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(300, 800), nn.ReLU(), nn.Linear(800, 10), nn.Linear(10, 10))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    sparsifier = make("static", Plan(steps=10, sparsity=0.95, seed=0, steps_per_epoch=5))
    attach(sparsifier, model, optimizer, storage=Execution("auto"))
    assert [type(m) for m in model] == [SparseLinear, nn.ReLU, ColumnLinear, ColumnLinear]
    x = torch.randn(6, 300)
    expected = model(x)
    copied = copy.deepcopy(model)
    assert [type(m) for m in copied] == [nn.Linear, nn.ReLU, nn.Linear, nn.Linear]
    torch.testing.assert_close(copied(x), expected)
    sparsifier.execution.release()
    assert [type(m) for m in model] == [nn.Linear, nn.ReLU, nn.Linear, nn.Linear]
    torch.testing.assert_close(model(x), expected)


def test_a_layer_of_another_class_is_left_alone():
    class Own(nn.Linear):
        pass

    layer = Own(3, 3)
    set_layout([layer], by_columns=True)
    assert type(layer) is Own
