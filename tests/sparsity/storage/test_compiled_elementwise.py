"""The compiled passes over a gradient: PyTorch's bits, when they are used, and masks as bits."""

import copy
import sys

import pytest
import torch
from torch import nn

from suite import sparsify
from suite.resonance.running_sums import RunningSums
from suite.sparsity.storage import compiled_elementwise
from suite.sparsity.storage.compiled_elementwise import (
    LEAST,
    PackedMask,
    compiled_passes,
    packed,
    passes_for,
    same_bits,
)
from suite.sparsity.storage.condensed import numba_is_installed
from tests.conftest import require

SPECIAL = torch.tensor([0.0, -0.0, torch.inf, -torch.inf, torch.nan, 1e-40, -1e-40, 3e38])
needs_numba = pytest.mark.usefixtures("passes")


@pytest.fixture
def passes():
    """The compiled passes, which must agree with PyTorch here."""
    require("numba", numba_is_installed(), "pip install 'resonance-bench[numba]'")
    assert torch.get_num_threads() == 1
    found = compiled_passes()
    assert found is not None
    return found


def gradient_of(number):
    drawn = torch.randn(number)
    drawn[: len(SPECIAL)] = SPECIAL[:number]
    return drawn


@pytest.mark.parametrize("number", [1, 7, 63, 64, 65, 200, 5001])
def test_passes_have_the_bits_of_pytorch(passes, number):
    torch.manual_seed(number)
    gradient, kept = gradient_of(number), torch.rand(number).round()
    masked, version = gradient.clone(), gradient._version
    passes.mask(masked, packed(kept))
    assert same_bits(masked, gradient * kept)
    sums = [torch.randn(number), torch.randn(number)]
    total, square = sums[0] + gradient, torch.addcmul(sums[1], gradient, gradient)
    passes.add_moments(gradient, *sums)
    assert same_bits(sums[0], total)
    assert same_bits(sums[1], square)
    assert gradient._version == version


@needs_numba
def test_autograd_notices_the_writes(passes):
    x = torch.ones(LEAST, requires_grad=True)
    y = x.exp()
    passes.mask(y.detach(), packed(torch.ones(LEAST)))
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_bits_follow_every_write_to_the_mask():
    mask = torch.ones(20)
    bits = PackedMask(mask)
    assert bits.bits() is None  # it may be another at the next step
    assert torch.equal(bits.bits(), packed(mask))
    mask[3] = 0
    assert bits.bits() is None
    assert torch.equal(bits.bits(), packed(mask))
    assert bits.bits() is bits.bits()


def test_the_bits_of_a_copy_are_those_of_its_own_mask():
    mask = torch.ones(20)
    mask[1] = 0
    bits = PackedMask(mask)
    bits.bits(), bits.bits()
    twin = copy.deepcopy(bits)
    while twin._mask._version < mask._version:
        twin._mask[0] = 0
    assert twin.bits() is None
    assert torch.equal(twin.bits(), packed(twin._mask))


def test_they_are_used_for_plain_float32_on_one_thread_alone():
    require("numba", numba_is_installed(), "pip install 'resonance-bench[numba]'")
    plain = torch.ones(128, LEAST // 128)
    assert passes_for([plain]) is not None
    others = (
        plain[1:],
        plain.double(),
        plain.t(),
        plain.to_sparse(),
        nn.Parameter(plain),
        torch.view_as_complex(torch.ones(LEAST, 2)).conj().imag,
    )
    assert all(passes_for([other]) is None for other in others)
    torch.set_num_threads(2)
    try:
        assert passes_for([plain]) is None
    finally:
        torch.set_num_threads(1)


def test_a_pytorch_of_other_bits_computes_itself(monkeypatch, passes):
    theirs = torch._foreach_addcmul_
    monkeypatch.setattr(
        torch, "_foreach_addcmul_", lambda into, one, two: theirs(into, one, two, value=1 + 1e-6)
    )
    assert compiled_passes.__wrapped__() is None


def test_without_numba_nothing_is_compiled(monkeypatch):
    monkeypatch.setattr(compiled_elementwise, "numba_is_installed", lambda: False)
    monkeypatch.setitem(sys.modules, "llvmlite", None)
    assert compiled_passes.__wrapped__() is None


def trained(monkeypatch, method, compiled, **options):
    """Train a network for some steps; return its weights and how often a pass ran."""
    calls = []
    with monkeypatch.context() as patch:
        if compiled:
            for name in ("mask", "add_moments"):
                own = getattr(compiled_elementwise.Passes, name)

                def counted(*arguments, own=own):
                    calls.append(own.__name__)
                    own(*arguments)

                patch.setattr(compiled_elementwise.Passes, name, counted)
        else:
            patch.setattr(compiled_elementwise, "compiled_passes", lambda: None)
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(200, 100), nn.ReLU(), nn.Linear(100, 10))
        optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
        handle = sparsify(model, optimizer, method, sparsity=0.9, steps=12, **options)
        for _ in range(12):
            optimizer.zero_grad()
            model(torch.randn(8, 200)).square().mean().backward()
            optimizer.step()
        handle.detach()
    return [p.detach().clone() for p in model.parameters()], calls


@needs_numba
@pytest.mark.parametrize("method", ["rigl", "resonance_coherent"])
def test_a_training_has_the_same_bits_with_and_without(monkeypatch, method):
    found, calls = trained(monkeypatch, method, True, update_every=4)
    expected, none = trained(monkeypatch, method, False, update_every=4)
    assert calls.count("mask") > 0
    assert (calls.count("add_moments") > 0) == (method == "resonance_coherent")
    assert not none
    assert all(map(torch.equal, found, expected))


@needs_numba
def test_running_sums_are_the_same_with_and_without(monkeypatch):
    gradients = [torch.randn(128, LEAST // 128) for _ in range(3)]
    sums = [RunningSums({"a": gradients[0]}) for _ in range(2)]
    for gradient in gradients:
        sums[0].record({"a": gradient})
    monkeypatch.setattr(compiled_elementwise, "compiled_passes", lambda: None)
    for gradient in gradients:
        sums[1].record({"a": gradient})
    assert same_bits(sums[0].total["a"], sums[1].total["a"])
    assert same_bits(sums[0].total_square["a"], sums[1].total_square["a"])
