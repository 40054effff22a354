import pytest
import torch
from torch import nn

from suite.sparsity.modules import call, unwrap
from tests.own_loop.libraries import library


class Sum(nn.Module):
    def forward(self, x: torch.Tensor, y: torch.Tensor | None = None) -> torch.Tensor:
        return x if y is None else x - y


@pytest.mark.parametrize(
    ("inputs", "result"),
    [
        (torch.tensor(3), 3),
        ((torch.tensor(3), torch.tensor(1)), 2),
        ([torch.tensor(3)], 3),
        ({"y": torch.tensor(3), "x": torch.tensor(1)}, -2),
    ],
)
def test_a_model_is_called_with_one_input_with_several_or_by_name(inputs, result):
    assert call(Sum(), inputs) == result


def test_fabrics_wrapper_is_taken_off():
    fabric = library("lightning").Fabric(accelerator="cpu", devices=1)
    model = nn.Linear(2, 2)
    wrapped, _ = fabric.setup(model, torch.optim.SGD(model.parameters(), 0.1))
    assert wrapped is not model
    assert unwrap(wrapped) is model
    assert unwrap(nn.DataParallel(wrapped)) is model


@pytest.mark.slow
def test_wrappers_around_each_other_are_taken_off():
    model = nn.Linear(2, 2)
    assert unwrap(torch.compile(nn.DataParallel(model))) is model
    assert unwrap(model) is model
