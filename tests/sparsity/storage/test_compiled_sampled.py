"""The compiled sampled product: PyTorch's bits, and when it is used."""

import sys

import pytest
import torch
from torch import nn

from suite import sparsify
from suite.sparsity.storage import compiled_sampled, sampled_product
from suite.sparsity.storage.compiled_sampled import STEP, compiled_product, worth_compiling
from suite.sparsity.storage.condensed import numba_is_installed
from suite.sparsity.storage.sampled_product import SampledProduct
from tests.conftest import require

OUT, IN = 60, 50
SHAPE = torch.Size((OUT, IN))


@pytest.fixture
def compiled(monkeypatch):
    """Use the compiled product however small the matrices are; return how often it ran."""
    require("numba", numba_is_installed(), "pip install 'resonance-bench[numba]'")
    assert torch.get_num_threads() == 1
    product, calls = compiled_product(), []
    assert product is not None

    def counted(*arguments):
        calls.append(None)
        product(*arguments)

    monkeypatch.setattr(compiled_sampled, "LEAST", 0)
    monkeypatch.setattr(sampled_product, "compiled_product", lambda: counted)
    return calls


def in_doubles(left, right, places):
    """The product by NumPy, in double precision."""
    return torch.from_numpy(left.double().numpy() @ right.double().numpy().T).flatten()[places]


@pytest.mark.parametrize("length", [STEP, 8 * STEP, 9 * STEP])
@pytest.mark.parametrize("number", [0, 1, 3, 37, 1501, OUT * IN])
def test_it_has_the_bits_of_pytorch(compiled, number, length):
    torch.manual_seed(number)
    places = torch.randperm(OUT * IN)[:number].sort().values
    left, right = torch.randn(OUT, length), torch.randn(IN, length).relu()
    product = SampledProduct.at(places, SHAPE)
    found = product.of(left, right)
    assert len(compiled) == 1
    assert torch.equal(found.view(torch.int32), product.stock(left, right).view(torch.int32))
    expected = in_doubles(left, right, places).float()
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("factor", "value"), [(-1.0, 0.0), (1e-30, 1e-12), (1e30, 1e30), (float("nan"), 1.0)]
)
def test_zeros_denormals_infinities_and_nan_are_those_of_pytorch(compiled, factor, value):
    left, right = torch.randn(OUT, STEP).abs() * factor, torch.full((IN, STEP), value)
    product = SampledProduct.at(torch.arange(OUT * IN), SHAPE)
    found, theirs = product.of(left, right), product.stock(left, right)
    assert len(compiled) == 1
    finite = ~theirs.isnan()
    assert torch.equal(found.isnan(), theirs.isnan())
    assert torch.equal(found[finite].view(torch.int32), theirs[finite].view(torch.int32))


def test_it_is_used_for_large_products_of_float32_on_one_thread_alone():
    many = compiled_sampled.LEAST // 128
    left = right = torch.ones(4, 128)
    assert worth_compiling(left, right, many)
    assert not worth_compiling(left, right, many - 1)
    assert not worth_compiling(left.double(), right.double(), many)
    assert not worth_compiling(left[:, :127], right[:, :127], 10 * many)  # no multiple of STEP
    assert not worth_compiling(torch.ones(128, 4).t(), right, many)
    torch.set_num_threads(2)
    try:
        assert not worth_compiling(left, right, many)
    finally:
        torch.set_num_threads(1)


@pytest.mark.parametrize(("width", "times"), [(2, 0), (600, 1)], ids=["small", "large"])
def test_it_is_compiled_when_a_method_is_attached_to_a_large_layer(width, times, monkeypatch):
    calls = []
    monkeypatch.setattr(compiled_sampled, "compiled_product", lambda: calls.append(None))
    model = nn.Sequential(nn.Linear(500, width), nn.ReLU(), nn.Linear(width, 4))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    handle = sparsify(model, optimizer, "static", sparsity=0.9, steps=4, execution="csr")
    handle.detach()
    assert len(calls) == times


def test_matrices_of_other_sizes_are_refused(compiled):
    product = SampledProduct.at(torch.arange(10), SHAPE)
    with pytest.raises(RuntimeError, match=r"\(60, 16\) and \(49, 16\) for a matrix \(60, 50\)"):
        product.of(torch.ones(OUT, 16), torch.ones(IN - 1, 16))


def test_a_pytorch_of_other_bits_computes_itself(monkeypatch):
    require("numba", numba_is_installed(), "pip install 'resonance-bench[numba]'")
    theirs = torch.sparse.sampled_addmm
    monkeypatch.setattr(
        torch.sparse,
        "sampled_addmm",
        lambda matrix, left, right, beta: theirs(matrix, left * (1 + 1e-6), right, beta=beta),
    )
    assert compiled_product.__wrapped__() is None


def test_without_numba_pytorch_computes(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.setattr(compiled_sampled, "LEAST", 0)
    assert compiled_product.__wrapped__() is None
    monkeypatch.setattr(sampled_product, "compiled_product", compiled_product.__wrapped__)
    left, right = torch.randn(OUT, STEP), torch.randn(IN, STEP)
    found = SampledProduct.at(torch.arange(OUT * IN), SHAPE).of(left, right)
    torch.testing.assert_close(found, (left @ right.T).flatten())
