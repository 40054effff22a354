"""The gradient of chosen weights, in every storage: that of all weights, taken at these."""

import pytest
import torch
import torch.utils.checkpoint
from torch import Tensor, nn
from torch.nn import functional as F

from suite import sparsify
from suite.core.errors import InvalidInput
from suite.sparsity.plan import Plan
from suite.sparsity.sparsifier import Sparsifier
from suite.sparsity.storage.csr import CsrWeight
from suite.sparsity.storage.execution import Execution
from suite.sparsity.storage.sampled_product import SampledProduct
from tests.support.helpers import OPTIMIZERS, attach, make
from tests.support.updates import WithSpare

D = torch.float64
EXECUTIONS = pytest.mark.parametrize("execution", ["masked", "csr"])
PLAN = Plan(steps=200, sparsity=0.9, seed=0, steps_per_epoch=30)


class Net(nn.Module):
    """A layer used twice, computed again in the backward pass where `again`; and one more."""

    def __init__(self, again: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.again = nn.Linear(30, 30), nn.Linear(30, 7), again

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(2):
            x = self._layer(x)
        return self.b(x)

    def _layer(self, x: Tensor) -> Tensor:
        def layer(z: Tensor) -> Tensor:
            return self.a(z).tanh()

        if not self.again:
            return layer(x)
        found: Tensor = torch.utils.checkpoint.checkpoint(layer, x, use_reentrant=False)
        return found


def batch(seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(32, 30, generator=generator, dtype=D)
    return x, torch.randint(7, (32,), generator=generator)


def attached(execution: str, model: nn.Module, method: str = "rigl", **options):
    """Return a model and a method whose step 10 reads dense gradients, prepared for it."""
    optimizer = OPTIMIZERS["sgd"](model)
    sparsifier = make(method, PLAN, **({"update_every": 10} | options))
    attach(sparsifier, model, optimizer, storage=Execution(execution))
    assert_stored(execution, sparsifier)
    sparsifier.before_step(10)
    return model, sparsifier


def assert_stored(execution: str, sparsifier: Sparsifier) -> None:
    """Assert that every layer is stored by its non-zero values under csr, and none otherwise."""
    number = len(sparsifier.layers) if execution == "csr" else 0
    assert len(sparsifier.execution.csr_weights()) == number


def some_places(layer) -> Tensor:
    """Return flat places of a layer: the active ones and some others."""
    generator = torch.Generator().manual_seed(1)
    others = torch.rand(layer.shape, generator=generator) < 0.3
    return (layer.mask | others).flatten().nonzero().flatten()


def expected(model: nn.Module, parts: int = 1) -> dict[str, Tensor]:
    """Return the gradients of an ordinary copy of the model, by autograd alone."""
    ordinary = Net().double()
    ordinary.load_state_dict(model.state_dict())
    for part in range(parts):
        x, y = batch(part)
        F.cross_entropy(ordinary(x), y).backward()
    return {name: getattr(ordinary, name).weight.grad for name in ("a", "b")}


@EXECUTIONS
@pytest.mark.parametrize("again", [False, True], ids=["plain", "checkpointed"])
@pytest.mark.parametrize("parts", [1, 2])
def test_it_is_the_dense_gradient_at_the_places(execution, again, parts):
    model, sparsifier = attached(execution, Net(again).double())
    for part in range(parts):
        x, y = batch(part)
        F.cross_entropy(model(x), y).backward()
    right = expected(model, parts)
    for layer in sparsifier.layers:
        places, dense = some_places(layer), layer.dense_gradient
        found = layer.gradient_at(places)
        assert found.shape == places.shape
        assert len(places) > layer.active
        torch.testing.assert_close(found, right[layer.name].flatten()[places])
        torch.testing.assert_close(found, dense.flatten()[places])
        outside = (~layer.mask).flatten().nonzero().flatten()
        torch.testing.assert_close(layer.gradient_at(outside), right[layer.name].flatten()[outside])
        assert layer.gradient_at(places[:0]).shape == (0,)
        assert layer.has_gradient


@EXECUTIONS
def test_a_gradient_scaled_since_is_scaled_at_the_places_too(execution):
    model, sparsifier = attached(execution, Net().double())
    x, y = batch(0)
    F.cross_entropy(model(x), y).backward()
    layer, right = sparsifier.layers[0], expected(model)["a"].flatten()
    places = some_places(layer)
    layer.parameter.grad.mul_(0.25)
    torch.testing.assert_close(layer.gradient_at(places), 0.25 * right[places])
    outside = (~layer.mask).flatten().nonzero().flatten()
    torch.testing.assert_close(layer.gradient_at(outside), 0.25 * right[outside])


@EXECUTIONS
def test_what_is_kept_is_the_gradient_of_backward_without_the_loss_scale(execution):
    model, sparsifier = attached(execution, Net().double())
    x, y = batch(0)
    (1024 * F.cross_entropy(model(x), y)).backward()
    right, places = expected(model)["a"].flatten(), some_places(sparsifier.layers[0])
    sparsifier.execution.keep_dense_gradients(torch.tensor(1 / 1024, dtype=D))
    sparsifier.read_gradients(10)  # keeps it for the update, and must not take the scale in again
    layer = sparsifier.layers[0]
    layer.parameter.grad.mul_(0.5).add_(0.1)  # clipping, and what no factor explains
    torch.testing.assert_close(layer.gradient_at(places), right[places])
    torch.testing.assert_close(layer.dense_gradient.flatten(), right)


def test_a_gradient_changed_in_another_way_is_refused():
    model, sparsifier = attached("csr", Net().double())
    x, y = batch(0)
    F.cross_entropy(model(x), y).backward()
    layer = sparsifier.layers[0]
    layer.parameter.grad[0] += 1
    with pytest.raises(InvalidInput, match="layer 'a'.*use execution=masked"):
        layer.gradient_at(some_places(layer))
    with pytest.raises(InvalidInput, match="layer 'a'.*use execution=masked"):
        sparsifier.execution.keep_dense_gradients()


@EXECUTIONS
def test_it_must_be_asked_for(execution):
    model, sparsifier = attached(execution, Net().double())
    sparsifier.before_step(9)
    x, y = batch(0)
    F.cross_entropy(model(x), y).backward()
    layer = sparsifier.layers[0]
    for read in (lambda: layer.gradient_at(some_places(layer)), lambda: layer.has_gradient):
        with pytest.raises(InvalidInput, match="layer 'a'.*wants_dense_gradient"):
            read()


@EXECUTIONS
@pytest.mark.parametrize("set_to_none", [True, False])
def test_a_layer_that_no_pass_reaches_has_none(execution, set_to_none):
    torch.manual_seed(0)
    model = WithSpare(nn.Sequential(nn.Linear(30, 7))).double()
    model, sparsifier = attached(execution, model)
    spare = next(layer for layer in sparsifier.layers if layer.name == "spare")
    if not set_to_none:
        spare.parameter.grad = torch.zeros_like(spare.parameter)
        for masked in sparsifier.execution.masked_weights():
            if masked.name == "spare":
                masked.note_unused()
    x, y = batch(0)
    F.cross_entropy(model(x), y).backward()
    assert not spare.has_gradient
    assert spare.gradient_at(some_places(spare)) is None
    assert spare.dense_gradient is None


@EXECUTIONS
def test_a_layer_that_was_frozen_has_none(execution):
    model, sparsifier = attached(execution, Net().double())
    layer = sparsifier.layers[0]
    layer.parameter.requires_grad_(False)
    sparsifier.before_step(10)
    x, y = batch(0)
    F.cross_entropy(model(x), y).backward()
    assert not layer.has_gradient
    assert layer.gradient_at(some_places(layer)) is None


@EXECUTIONS
def test_active_values_are_at_their_places(execution):
    _, sparsifier = attached(execution, Net().double())
    for layer in sparsifier.layers:
        assert torch.equal(layer.places, layer.mask.flatten().nonzero().flatten())
        assert torch.equal(layer.active_values, layer.values.flatten()[layer.places])


def test_what_places_take_is_prepared_once_until_they_are_others_or_written(monkeypatch):
    made = []
    at = SampledProduct.at
    monkeypatch.setattr(SampledProduct, "at", lambda *given: made.append(1) or at(*given))
    model, sparsifier = attached("csr", Net().double())
    x, y = batch(0)
    F.cross_entropy(model(x), y).backward()
    layer = sparsifier.layers[0]
    places = some_places(layer)
    first = layer.gradient_at(places)
    assert torch.equal(layer.gradient_at(places), first)
    assert len(made) == 1
    other = places[::2].clone()
    assert torch.equal(layer.gradient_at(other), first[::2])
    assert len(made) == 2
    other += 1
    right = expected(model)["a"].flatten()
    torch.testing.assert_close(layer.gradient_at(other), right[other])
    assert len(made) == 3


METHODS = {
    "rigl": {"candidate_ratio": 0.5},
    "gse": {},
    "granet": {"candidate_ratio": 1.0, "initial_sparsity": 0.8, "prune_end": 0.2},
    "resonance_sampled": {},
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("loop", ["own", "suite"])
def test_candidates_are_the_same_under_csr_and_need_no_dense_gradient(method, loop, monkeypatch):
    def dense(weight):
        raise AssertionError(f"the dense gradient of '{weight.name}' is computed")

    monkeypatch.setattr(CsrWeight, "dense_gradient", property(dense))
    trained = _own_loop if loop == "own" else _suite_loop
    masks = {execution: trained(execution, method) for execution in ("masked", "csr")}
    for ours, theirs in zip(*masks.values(), strict=True):
        assert torch.equal(ours, theirs)


def _own_loop(execution: str, method: str) -> list[Tensor]:
    model = Net().double()
    optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
    handle = sparsify(
        model,
        optimizer,
        method,
        sparsity=0.9,
        steps=120,
        execution=execution,
        update_every=20,
        **METHODS[method],
    )
    while handle.step < 120:
        optimizer.zero_grad()
        x, y = batch(handle.step)
        F.cross_entropy(model(x), y).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
    assert_stored(execution, handle.sparsifier)
    return list(handle.masks().values())


def _suite_loop(execution: str, method: str) -> list[Tensor]:
    model = Net().double()
    optimizer = OPTIMIZERS["sgd"](model)
    sparsifier = make(method, PLAN, update_every=20, **METHODS[method])
    attach(sparsifier, model, optimizer, storage=Execution(execution))
    masks = []
    for step in range(1, 121):
        optimizer.zero_grad()
        sparsifier.before_step(step)
        x, y = batch(step)
        F.cross_entropy(model(x), y).backward()
        sparsifier.after_backward(step)
        optimizer.step()
        sparsifier.after_step(step)
        if sparsifier.is_update(step):
            masks += [layer.mask.clone() for layer in sparsifier.layers]
    assert_stored(execution, sparsifier)
    return masks


def test_a_gradient_that_no_copy_was_kept_of_is_not_returned_masked():
    model, sparsifier = attached("masked", Net().double(), "resonance_coherent")
    layer, read = sparsifier.layers[0], []

    def update(step: int) -> None:
        with pytest.raises(InvalidInput, match="update_reads_dense_gradients"):
            read.append(layer.dense_gradient)

    sparsifier.update = update
    for _ in range(2):  # the next step asks for it anew, or the update has ended
        x, y = batch(0)
        F.cross_entropy(model(x), y).backward()
        dense = layer.parameter.grad.clone()
        assert torch.equal(layer.dense_gradient, dense)
        sparsifier.read_gradients(100)
        assert bool((layer.parameter.grad != dense).any())  # it was masked
        sparsifier.update_connectivity(100)
    assert not read
