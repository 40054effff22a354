"""A condensed layer computes what the dense one computes."""

import copy
import sys

import pytest
import torch
from torch import nn

from suite.core.errors import InvalidInput
from suite.sparsity.storage import condensed
from suite.sparsity.storage.condensed import (
    FEW,
    CondensedLinear,
    condense,
    condensed_bytes,
    numba_is_installed,
    why_dense,
    with_condensed,
)
from tests.conftest import require

SMALL = torch.tensor([[0.0, 2.0, 0.0, 0.0, -1.0], [3.0, 0, 0, 0, 0], [0, 0, 0, 0, 0]])

KERNELS = ["torch", "numba"]


@pytest.fixture(params=KERNELS)
def kernel(request):
    if request.param == "numba":
        require("numba", numba_is_installed(), "pip install 'resonance-bench[numba]'")
    return request.param


def sparse(out: int, inputs: int, density: float, dtype: torch.dtype = torch.float32) -> nn.Linear:
    torch.manual_seed(0)
    layer = nn.Linear(inputs, out, dtype=dtype).requires_grad_(False)
    layer.weight *= torch.rand(out, inputs) < density
    return layer


def test_a_small_matrix_is_condensed_as_by_hand():
    values, indices = condense(SMALL)
    # Row 0 has 2 weights, so k = 2. Row 1 has one, and its first zero is at input 1; row 2 has
    # none, and its first two zeros are at 0 and 1.
    assert values.tolist() == [[2.0, -1.0], [3.0, 0.0], [0.0, 0.0]]
    assert indices.to(int).tolist() == [[1, 4], [0, 1], [0, 1]]
    assert indices.dtype == torch.uint16
    assert condensed_bytes(SMALL) == 3 * 2 * (4 + 2)


def test_a_small_layer_computes_as_by_hand(kernel):
    bias = torch.tensor([0.5, -1.0, 7.0])
    layer = CondensedLinear(*condense(SMALL), bias, 5, kernel)
    x = torch.tensor([1.0, 10.0, 100.0, 1000.0, 10000.0])
    # 2·10 − 10000 + 0.5; 3·1 − 1; 0 + 7
    expected = torch.tensor([-9979.5, 2.0, 7.0])
    for given, found in ((x, expected), (x[None], expected[None]), (x.expand(9, 5), None)):
        wanted = expected.expand(9, 3) if found is None else found
        assert torch.equal(layer(given), wanted)
    unbiased = CondensedLinear(*condense(SMALL), None, 5, kernel)
    assert unbiased(x).tolist() == [-9980.0, 3.0, 0.0]


@pytest.mark.parametrize("density", [0.0, 0.02, 0.1, 1.0])
@pytest.mark.parametrize("shape", [(), (1,), (2,), (FEW,), (FEW + 1,), (70,), (2, 3), (0,)])
def test_outputs_are_those_of_the_dense_layer(kernel, density, shape):
    layer = sparse(30, 70, density)
    x = torch.randn(*shape, 70)
    torch.testing.assert_close(CondensedLinear.of(layer, kernel)(x), layer(x))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_types_compute_in_their_own(kernel, dtype):
    layer = sparse(30, 70, 0.1, dtype)
    for rows in (1, 3, 20):
        x = torch.randn(rows, 70, dtype=dtype)
        found = CondensedLinear.of(layer, kernel)(x)
        assert found.dtype == dtype
        exact = layer.double()(x.double())
        assert float((found - exact).abs().max()) <= 4 * torch.finfo(dtype).eps
        layer.to(dtype)


def test_more_inputs_than_16_bits_count(kernel):
    layer = sparse(4, 70_000, 0.001)
    made = CondensedLinear.of(layer, kernel)
    assert made.indices.dtype == torch.int32
    assert int(made.indices.max()) > 2**16
    for rows in (1, 9):
        x = torch.randn(rows, 70_000)
        torch.testing.assert_close(made(x), layer(x))


def test_a_matrix_that_is_sorted_in_blocks_is_the_same(monkeypatch):
    weight = sparse(30, 70, 0.1).weight
    whole = condense(weight)
    monkeypatch.setattr(condensed, "AT_ONCE", 150)
    assert all(torch.equal(one, other) for one, other in zip(condense(weight), whole, strict=True))
    values, indices = whole
    assert torch.equal(torch.zeros(30, 70).scatter(1, indices.long(), values), weight)


def test_nan_and_infinity_stay_what_they_are(kernel):
    values, indices = torch.tensor([[1.0, 2.0]]), torch.tensor([[0, 2]], dtype=torch.int32)
    layer = CondensedLinear(values, indices, None, 3, kernel)
    for first in (torch.nan, torch.inf, -torch.inf):
        found = layer(torch.tensor([first, 0.0, 1.0]))
        torch.testing.assert_close(found, torch.tensor([first]), equal_nan=True)
    assert layer(torch.tensor([1.0, torch.nan, 1.0])).tolist() == [3.0]  # it does not read input 1


def test_gradients_reach_the_inputs(kernel):
    layer = sparse(30, 70, 0.1)
    made = CondensedLinear.of(layer, kernel)
    for rows in (1, 3, 20):
        x = torch.randn(rows, 70, requires_grad=True)
        (found,) = torch.autograd.grad(made(x).square().sum(), x)
        (expected,) = torch.autograd.grad(layer(x).square().sum(), x)
        torch.testing.assert_close(found, expected)


def test_both_kernels_agree_to_rounding():
    require("numba", numba_is_installed(), "pip install 'resonance-bench[numba]'")
    layer = sparse(300, 784, 0.1)
    x = torch.randn(3, 784)
    found = [CondensedLinear.of(layer, kernel)(x) for kernel in KERNELS]
    assert float((found[0] - found[1]).abs().max()) < 1e-5


def test_without_numba_pytorch_computes_and_what_demands_it_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)  # what importing a missing module leads to
    assert not numba_is_installed()
    layer = sparse(30, 70, 0.1)
    x = torch.randn(2, 70)
    torch.testing.assert_close(CondensedLinear.of(layer)(x), layer(x))
    with pytest.raises(InvalidInput, match=r"needs numba: pip install 'resonance-bench\[numba\]'"):
        CondensedLinear.of(layer, "numba")
    with pytest.raises(InvalidInput, match="kernel='cuda' is not known: give auto, torch, numba"):
        CondensedLinear.of(layer, "cuda")


VALUES, INDICES = torch.ones(2, 3), torch.tensor([[0, 1, 4], [1, 2, 3]], dtype=torch.int32)


@pytest.mark.parametrize(
    ("values", "indices", "bias", "says"),
    [
        (VALUES, INDICES + 1, None, "indices are 1 to 5: those of 5 inputs are 0 to 4"),
        (VALUES, INDICES - 1, None, "indices are -1 to 3"),
        (VALUES, (INDICES + 2**15).to(torch.uint16), None, "indices are 32768 to 32772"),
        (VALUES, INDICES.long(), None, "indices of torch.int64: a condensed layer has uint16 or"),
        (VALUES, INDICES.float(), None, "indices of torch.float32"),
        (VALUES, INDICES[:, :2], None, r"values of shape \(2, 3\) and indices of shape \(2, 2\)"),
        (VALUES[0], INDICES[0], None, r"values of shape \(3,\)"),
        (torch.tensor(1.0), torch.tensor(1).int(), None, r"values of shape \(\)"),
        (VALUES[:, :0], INDICES[:, :0], None, r"values of shape \(2, 0\)"),
        (torch.ones(2, 6), torch.zeros(2, 6).int(), None, "with k from 1 to 5 inputs"),
        (VALUES.int(), INDICES, None, "values of torch.int32: a condensed layer has float16"),
        (VALUES, INDICES, torch.ones(3), r"a bias of shape \(3,\)"),
        (VALUES, INDICES, torch.ones(2).double(), "a bias .* in torch.float64"),
    ],
)  # fmt: skip
def test_tensors_that_are_no_layer_are_refused_in_one_line(values, indices, bias, says):
    with pytest.raises(InvalidInput, match=says) as refusal:
        CondensedLinear(values, indices, bias, 5)
    assert "\n" not in str(refusal.value)


def test_loaded_tensors_are_checked_too(kernel):
    layer = CondensedLinear(VALUES, INDICES.clone(), None, 5, kernel)
    state = layer.state_dict()
    copy.deepcopy(layer).load_state_dict(state)
    with pytest.raises(InvalidInput, match="indices are 0 to 400"):
        layer.load_state_dict({**state, "indices": INDICES * 100})


@pytest.mark.parametrize(
    ("x", "says"),
    [
        (torch.ones(2, 4), r"inputs of shape \(2, 4\) .* meet a condensed layer of 5 inputs"),
        (torch.ones(2, 6), r"inputs of shape \(2, 6\)"),
        (torch.tensor(1.0), r"inputs of shape \(\)"),
        (torch.ones(2, 5).double(), "torch.float64 meet a condensed layer of 5 inputs in torch.fl"),
        (torch.ones(2, 5).int(), "torch.int32 meet"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(kernel, x, says):
    with pytest.raises(InvalidInput, match=says):
        CondensedLinear(VALUES, INDICES, None, 5, kernel)(x)


def test_a_layer_that_would_not_be_smaller_stays_dense():
    model = nn.Sequential(nn.Linear(12, 4), nn.Linear(4, 12), nn.Linear(12, 12))
    with torch.no_grad():
        # 8 of 12 weights: 4 · 8 · (4 + 2) = 4 · 12 · 4 bytes, no less; 7 are less.
        model[0].weight[:, 8:] = 0
        model[2].weight[:, 7:] = 0
    assert why_dense(model) == {
        "0": "a unit has 8 of 12 weights, so values and indices would not be smaller",
        "1": "a unit has 4 of 4 weights, so values and indices would not be smaller",
        "2": "",
    }
    model[2].weight.data[5] = 1.0  # one dense row: every row would have to be as long
    assert why_dense(model)["2"].startswith("a unit has 12 of 12 weights")


def test_a_shared_weight_stays_dense():
    model = nn.Sequential(sparse(30, 30, 0.1), sparse(30, 30, 0.1), sparse(30, 30, 0.1))
    model[1].weight = model[0].weight
    assert why_dense(model) == {
        "0": "its weight is also another layer's", "1": "its weight is also another layer's",
        "2": "",
    }  # fmt: skip
    found = with_condensed(model)
    assert [type(layer) for layer in found] == [nn.Linear, nn.Linear, CondensedLinear]
    assert found[0].weight is found[1].weight
    assert type(model[2]) is nn.Linear


def test_a_layer_alone_is_a_model():
    layer = sparse(30, 70, 0.1)
    assert isinstance(with_condensed(layer), CondensedLinear)


def test_it_tells_its_sizes():
    made = CondensedLinear(VALUES, INDICES, None, 5)
    assert str(made) == "CondensedLinear(in_features=5, out_features=2, fan_in=3, bias=False)"
