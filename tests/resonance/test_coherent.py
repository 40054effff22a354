import copy
import functools
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from suite import sparsify
from suite.core.errors import InvalidInput
from suite.resonance.coherent import Coherent
from suite.sparsity.plan import Plan
from suite.sparsity.storage.csr import CsrWeight
from tests.support.helpers import OPTIMIZERS, batch_of, conv_net, digits, fit, make
from tests.support.updates import WithSpare, attached, by, check_spare_stays, indices


@pytest.mark.parametrize(
    ("method", "p", "q"), [("resonance_coherent", 0.5, 0.5), ("rigl_mean_gradient", 0.0, 0.0)]
)
@pytest.mark.parametrize("record_every", [1, 3])
def test_the_rule_is_the_formula_over_the_gradients_since_the_last_update(
    method, p, q, record_every
):
    model = conv_net()
    optimizer = OPTIMIZERS["sgd"](model)
    sparsifier = make(method, record_every=record_every)
    assert isinstance(sparsifier, Coherent)
    sparsifier.attach(model, optimizer)
    layer = sparsifier.layers[1]  # a grouped convolution
    gradients: list[torch.Tensor] = []
    checked = 0
    observe, update = sparsifier.observe, sparsifier.update

    def watch(step: int) -> None:
        if step % record_every == 0:
            gradients.append(layer.dense_gradient.double().clone())
        observe(step)

    def check(step: int) -> None:
        nonlocal checked
        mask, values = layer.mask.clone(), layer.values.clone()
        update(step)
        g = torch.stack(gradients)
        mean, square = g.mean(0), g.square().mean(0)
        drop_scores = values.double().abs() * square.sqrt() ** p
        grow_scores = mean.abs() * (mean.square() / square.clamp_min(1e-300)) ** q
        active = indices(mask)
        drop = math.floor(0.15 * (1 + math.cos(math.pi * step / 90)) * len(active))
        kept = by(drop_scores, active, len(active) - drop, largest=True)
        grown = by(grow_scores, set(range(layer.size)) - kept, drop, largest=True)
        assert len(indices(layer.mask) ^ (kept | grown)) <= 2  # float64 here, float32 there
        gradients.clear()
        checked += 1

    sparsifier.observe, sparsifier.update = watch, check  # type: ignore[method-assign]
    fit(model, optimizer, sparsifier)
    assert checked == 8


def test_growth_by_the_gradient_of_one_step_is_rigl():
    masks = []
    for method, options in (
        ("rigl", {"update_every": 7}),
        ("rigl_mean_gradient", {"record_every": 7, "update_every": 7}),
    ):
        model = conv_net()
        optimizer = OPTIMIZERS["sgd"](model)
        sparsifier = make(method, **options)
        sparsifier.attach(model, optimizer)
        fit(model, optimizer, sparsifier)
        masks.append([layer.mask for layer in sparsifier.layers])
    assert all(map(torch.equal, *masks))


def test_a_shuffled_signal_grows_elsewhere():
    masks = []
    for shuffle in ("none", "fixed", "each"):
        model = conv_net()
        optimizer = OPTIMIZERS["sgd"](model)
        sparsifier = make("resonance_coherent", shuffle=shuffle)
        sparsifier.attach(model, optimizer)
        fit(model, optimizer, sparsifier)
        assert sparsifier.sparsity_errors() == ""
        masks.append(sparsifier.layers[2].mask)
    assert not torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[1], masks[2])


def test_recording_nothing_between_updates_is_refused():
    with pytest.raises(InvalidInput, match="give at most update_every=10"):
        make("resonance_coherent", record_every=11)


@pytest.mark.parametrize("method", ["resonance_coherent", "rigl_mean_gradient"])
@pytest.mark.parametrize("shuffle", ["none", "each"])
def test_a_layer_without_gradients_stays_as_it_is(method, shuffle):
    check_spare_stays(method, shuffle=shuffle)


def test_a_layer_that_had_a_gradient_once_since_the_last_update_grows():
    model = WithSpare(conv_net())
    optimizer = OPTIMIZERS["sgd"](model)
    sparsifier = make("resonance_coherent")
    sparsifier.attach(model, optimizer)
    spare = next(layer for layer in sparsifier.layers if layer.name == "spare")
    first = spare.mask.clone()
    fit(model, optimizer, sparsifier, stop=3)
    optimizer.zero_grad()
    model.spare(torch.rand(8, 40)).square().sum().backward()
    sparsifier.after_backward(4)
    fit(model, optimizer, sparsifier, start=4, stop=10)
    second = spare.mask.clone()
    assert not torch.equal(first, second)
    fit(model, optimizer, sparsifier, start=10, stop=30)
    assert torch.equal(second, spare.mask)


# ---------------------------------------------------------------- among candidates


SAMPLED = ("resonance_sampled", "resonance_sampled_shuffled")
OFTEN = {"record_every": 5, "candidate_ratio": 1.5}
"""Several gradients in a period of 20 steps, and candidates for some of the empty places."""


def test_candidates_and_what_was_dropped_are_judged_by_the_gradients_of_a_period():
    model, optimizer, sparsifier = attached("resonance_sampled", **OFTEN)
    layer = sparsifier.layers[1]  # a grouped convolution
    gradients: list[torch.Tensor] = []
    observe, update, grown_candidates = sparsifier.observe, sparsifier.update, []

    def watch(step: int) -> None:
        if step % 5 == 0:
            gradients.append(layer.dense_gradient.double().clone())
        observe(step)

    def check(step: int) -> None:
        active, values = indices(layer.mask), layer.values.double().clone()
        tracked = indices(sparsifier.tracked.known(layer))
        assert len(tracked) == min(layer.size, len(active) + math.ceil(1.5 * len(active)))
        update(step)
        g = torch.stack(gradients)
        mean, square = g.mean(0), g.square().mean(0)
        drop_scores = values.abs() * square.sqrt() ** 0.5
        grow_scores = mean.abs() * (mean.square() / square.clamp_min(1e-300)) ** 0.5
        drop = math.floor(0.15 * (1 + math.cos(math.pi * step / 90)) * len(active))
        kept = by(drop_scores, active, len(active) - drop, largest=True)
        grown = by(grow_scores, tracked - kept, drop, largest=True)
        assert len(indices(layer.mask) ^ (kept | grown)) <= 2
        grown_candidates.append(len(grown - active))
        gradients.clear()

    sparsifier.observe, sparsifier.update = watch, check  # type: ignore[method-assign]
    fit(model, optimizer, sparsifier)
    assert len(grown_candidates) == 4
    assert sum(grown_candidates) > 10


def test_candidates_for_every_place_are_all_places():
    masks = []
    for options in ({"candidate_ratio": 1e9}, {"candidate_ratio": 0, "draw": "uniform"}):
        model, optimizer, sparsifier = attached("resonance_sampled", record_every=5, **options)
        fit(model, optimizer, sparsifier)
        masks.append([layer.mask for layer in sparsifier.layers])
    assert all(map(torch.equal, *masks))


@functools.cache
def whole_training(draw: str):
    """Return a whole training, to be read only."""
    whole = attached("resonance_sampled", draw=draw, **OFTEN)
    fit(*whole)
    return whole


@pytest.mark.parametrize("draw", ["uniform", "activity"])
@pytest.mark.parametrize("stop", [13, 20, 27, 58])
def test_a_training_goes_on_from_the_middle_of_a_period_with_the_same_bits(stop, draw):
    whole = whole_training(draw)
    model, optimizer, sparsifier = attached("resonance_sampled", draw=draw, **OFTEN)
    fit(model, optimizer, sparsifier, stop=stop)
    saved = copy.deepcopy([part.state_dict() for part in (model, optimizer, sparsifier)])
    again = attached("resonance_sampled", draw=draw, **OFTEN)
    for part, state in zip(again, saved, strict=True):
        part.load_state_dict(state)
    fit(*again, start=stop)
    for first, second in zip(whole[2].layers, again[2].layers, strict=True):
        assert torch.equal(first.mask, second.mask)
        assert torch.equal(first.values, second.values)


def test_no_gradient_is_asked_for_on_other_steps():
    sparsifier = make("resonance_sampled", Plan(1000, 0.95, 0, 100), update_every=100)
    wanted = [step for step in range(1, 1001) if sparsifier.wants_dense_gradient(step)]
    assert wanted == list(range(22, 701, 22))


@pytest.mark.parametrize("method", SAMPLED)
def test_a_layer_without_gradients_is_left_alone_among_candidates(method):
    check_spare_stays(method, **OFTEN)


def test_dense_layers_are_not_tracked_and_stay_dense():
    model, optimizer, sparsifier = attached("resonance_sampled", dense_layers=("0",), **OFTEN)
    assert set(sparsifier.tracked.places) == {layer.name for layer in sparsifier.layers[1:]}
    fit(model, optimizer, sparsifier)
    assert sparsifier.layers[0].active == sparsifier.layers[0].size
    assert sparsifier.sparsity_errors() == ""


class OwnLoop:
    """A network of linear layers, its optimizer and resonance_sampled, in a plain loop."""

    def __init__(self, sparsity: float, **given) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(
            nn.Flatten(), nn.Linear(64, 96), nn.ReLU(), nn.Linear(96, 80), nn.ReLU(),
            nn.Linear(80, 10),
        )  # fmt: skip
        self.optimizer = torch.optim.SGD(self.model.parameters(), 0.1, momentum=0.9)
        self.handle = sparsify(
            self.model, self.optimizer, "resonance_sampled", sparsity=sparsity, **given
        )

    def train(self, stop: int) -> None:
        """Train up to the step `stop`."""
        while self.handle.step < stop:
            x, y = batch_of(digits(), self.handle.step + 1, 32)
            self.optimizer.zero_grad()
            F.cross_entropy(self.model(x), y).backward()
            self.optimizer.step()

    def masks(self) -> list[torch.Tensor]:
        return [mask.clone() for mask in self.handle.masks().values()]


def test_candidates_are_drawn_anew_where_the_sparsity_is_raised():
    loop = OwnLoop(0.8, steps=60, update_every=20, **OFTEN)
    loop.train(33)
    loop.handle.extend(steps=60, sparsity=0.9)
    sparsifier = loop.handle.sparsifier
    for layer in sparsifier.layers:
        places = sparsifier.tracked.places[layer.name]
        assert len(places) == min(layer.size, layer.active + math.ceil(1.5 * layer.active))
        assert indices(layer.mask) <= set(places.tolist())
    before = loop.masks()
    loop.train(120)
    assert not any(map(torch.equal, before, loop.masks()))
    assert sparsifier.sparsity_errors() == ""


def test_a_longer_training_goes_on_with_the_sums_there_are():
    loop = OwnLoop(0.9, steps=60, update_every=20, **OFTEN)
    loop.train(33)
    total = loop.handle.sparsifier.tracked.sums.total["1"].clone()
    assert bool(total.any())
    loop.handle.extend(steps=60)
    assert torch.equal(loop.handle.sparsifier.tracked.sums.total["1"], total)
    before = loop.masks()
    loop.train(120)
    assert not any(map(torch.equal, before, loop.masks()))


def test_a_training_goes_on_after_its_last_update_when_it_is_extended():
    loop = OwnLoop(0.9, steps=40, update_every=20, **OFTEN)
    loop.train(40)
    before = loop.masks()
    loop.handle.extend(steps=80)
    loop.train(120)
    assert not any(map(torch.equal, before, loop.masks()))


def test_given_masks_are_what_the_first_candidates_are_drawn_beside():
    first = OwnLoop(0.9, steps=60, update_every=20, **OFTEN)
    masks = {name: mask.flip(0) for name, mask in first.handle.masks().items()}
    loop = OwnLoop(0.9, steps=60, update_every=20, masks=masks, **OFTEN)
    for layer in loop.handle.sparsifier.layers:
        places = set(loop.handle.sparsifier.tracked.places[layer.name].tolist())
        assert indices(masks[layer.name]) <= places
    loop.train(60)
    assert not all(map(torch.equal, masks.values(), loop.masks()))


def test_a_layer_that_is_frozen_midway_keeps_its_mask():
    model, optimizer, sparsifier = attached("resonance_sampled", **OFTEN)
    fit(model, optimizer, sparsifier, stop=30)
    layer = sparsifier.layers[2]
    before = layer.mask.clone()
    layer.parameter.requires_grad_(False)
    layer.parameter.grad = None
    fit(model, optimizer, sparsifier, start=30)
    assert torch.equal(layer.mask, before)
    assert not torch.equal(sparsifier.layers[3].mask, before)


def test_storage_that_switches_in_training_gives_the_masks_of_masked_storage():
    masks = []
    for execution in ("masked", "csr"):
        loop = OwnLoop(0.9, steps=80, update_every=20, execution=execution, **OFTEN)
        loop.train(80)
        masks.append(loop.masks())
    differing = sum(int((one ^ other).sum()) for one, other in zip(*masks, strict=True))
    assert differing <= 4  # float32, added up in another order


@pytest.mark.parametrize("record_every", [20, 5], ids=["at updates alone", "between them too"])
def test_under_csr_no_gradient_is_computed_beside_those_tracked(record_every, monkeypatch):
    read = []

    def at(store: CsrWeight, places: torch.Tensor) -> torch.Tensor | None:
        read.append(len(places))
        return gradient_at(store, places)

    def dense(store: CsrWeight) -> None:
        raise AssertionError("a dense gradient was computed")

    gradient_at = CsrWeight.gradient_at
    monkeypatch.setattr(CsrWeight, "gradient_at", at)
    monkeypatch.setattr(CsrWeight, "dense_gradient", property(dense))
    settings = {"candidate_ratio": 1.5, "record_every": record_every}
    loop = OwnLoop(0.95, steps=80, update_every=20, execution="csr", **settings)
    before = loop.masks()
    loop.train(80)
    assert not any(map(torch.equal, before, loop.masks()))
    layers = loop.handle.sparsifier.layers
    tracked = {layer.active + math.ceil(1.5 * layer.active) for layer in layers}
    assert set(read) == tracked
    assert max(tracked) < min(layer.size for layer in layers)
