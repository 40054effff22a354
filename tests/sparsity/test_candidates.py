"""Candidates for growth: exact numbers, and nothing else looked at."""

import math

import pytest
import torch
from torch import nn

from suite import sparsify
from suite.experiments import registry
from suite.own_loop.cost import StepCounter
from suite.sparsity.activity_draw import Activity, Grid, _Shares
from suite.sparsity.candidates import ALL, Candidates
from suite.sparsity.cost_bounds import TrainingSetup, Zeros
from suite.sparsity.flops import FlopsLedger, ForwardFlops, measure_forward
from suite.sparsity.masks import random_empty
from suite.sparsity.plan import Plan
from suite.sparsity.training_cost import training_cost
from tests.support.helpers import attach, fit, make
from tests.support.updates import active_empty, attached, by, indices, watch_update


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_how_many_gradients_are_looked_at():
    assert ALL.gradients(0, 50) == ALL.gradients(7, 50) == 50
    half = Candidates(0.5)
    assert [half.gradients(active, 10) for active in range(11)] == [0, 2, 3, 5, 6, 8, 9, *[10] * 4]
    assert Candidates(1.0).gradients(30, 100) == 60


def test_the_number_of_candidates_is_that_of_the_decimal_ratio():
    # In binary, 0.07 · 100 is 7.000000000000001 and 1.1 · 30 is 33.00000000000001.
    assert Candidates(0.07).gradients(100, 1000) == 107
    assert Candidates(1.1).gradients(30, 1000) == 63
    assert Candidates(1e-5).gradients(3, 1000) == 4


def test_declared_ratios_give_the_numbers_that_published_results_have():
    ratios = {
        one.default
        for method in registry.methods()
        for one in method.hyperparameters
        if one.name == "candidate_ratio"
    }
    assert ratios == {0.0, 1.0, 4.0}
    for size in (1, 10, 997):
        for active in range(size + 1):
            assert Candidates(1.0).gradients(active, size) == min(size, 2 * active)
            assert Candidates(0.0).gradients(active, size) == size


def test_gradients_of_active_weights_and_candidates_are_looked_at():
    mask = torch.zeros(4, 25, dtype=torch.bool)
    mask[0, :10] = True
    drawn = random_empty(mask, 20, seeded(1))
    known = Candidates(2.0).known(mask, seeded(1))
    assert known is not None
    assert torch.equal(known, mask | drawn)
    assert int(known.sum()) == 30
    assert ALL.known(mask, seeded(1)) is None


def test_an_update_draws_the_candidates_of_a_layer_once_and_beside_its_mask_then(monkeypatch):
    drawn = []
    known = Candidates.known
    monkeypatch.setattr(
        Candidates, "known", lambda *given: drawn.append(given[1].clone()) or known(*given)
    )
    for method, options in (("rigl", {}), ("granet", {"initial_sparsity": 0.95})):
        model, optimizer, sparsifier = attached(
            method, Plan(60, 0.95, 0, 30), candidate_ratio=1.0, **options
        )
        fit(model, optimizer, sparsifier, stop=9)
        before = {layer.name: layer.mask.clone() for layer in sparsifier.layers}
        drawn.clear()
        fit(model, optimizer, sparsifier, start=9, stop=10)
        assert len(drawn) == len(before)
        assert all(map(torch.equal, drawn, before.values()))


def test_places_are_those_of_the_mask_of_what_is_known():
    class Layer:
        mask = torch.rand(40, 30, generator=seeded(0)) < 0.1
        shape, size, active = mask.shape, mask.numel(), int(mask.sum())
        places = mask.flatten().nonzero().flatten()

    grid = Grid(1, 40, 30)
    rows, columns = (torch.rand(n, generator=seeded(1), dtype=torch.float64) for n in (40, 30))
    for ratio in (0.5, 4.0, 100.0):
        candidates = Candidates(ratio)
        for activity in (None, Activity(grid, rows, columns)):
            found = candidates.places(Layer, seeded(2), activity)
            count = candidates.gradients(Layer.active, Layer.size) - Layer.active
            mask = candidates.known(Layer.mask, seeded(2))
            if activity is not None:
                mask = Layer.mask | active_empty(Layer.mask, count, activity, seeded(2))
            assert torch.equal(found, mask.flatten().nonzero().flatten())
            assert len(found) == candidates.gradients(Layer.active, Layer.size)


def test_what_is_looked_up_for_a_draw_is_what_a_search_would_find():
    # Shares far below and above those of the table's parts, and some of nothing.
    weights = torch.rand(3000, generator=seeded(0), dtype=torch.float64) ** 30
    weights[::7] = 0
    shares = _Shares.of(weights)
    at = torch.rand(50_000, generator=seeded(1), dtype=torch.float64)
    at[:3000] = shares.ends * (1 - 1e-16)
    at[3000:19384] = torch.arange(2**14) / 2**14
    found = shares.first_above(at)
    right = torch.searchsorted(shares.ends, at, right=True).clamp_max(2999)
    assert torch.equal(found, right)
    assert (weights[found] > 0).all()


@pytest.mark.parametrize("pattern", ["none", "2:4"])
@pytest.mark.parametrize("ratio", [1e-9, 0.01, 0.5])
def test_what_is_dropped_is_enough_to_grow_from_however_few_candidates_there_are(pattern, ratio):
    sparse = pattern == "none"
    options = {"drop_fraction": 1.0} | (
        {} if sparse else {"pattern": pattern, "dense_layers": ("0",)}
    )
    model, optimizer, sparsifier = attached(
        "rigl", Plan(60, 0.95 if sparse else 0.5, 0, 30), candidate_ratio=ratio, **options
    )
    counts = {layer.name: layer.active for layer in sparsifier.layers}
    places, grow_mask = [], sparsifier.grow_mask

    def watched(layer, kept, scores, number, among):
        free = among & ~kept
        assert not bool((kept & ~among).any())
        assert number > 0.5 * layer.active  # most of the layer: far more than candidates
        places.append(int(free.sum()) - number)
        mask = grow_mask(layer, kept, scores, number, among)
        assert not bool((mask & ~among).any())
        return mask

    sparsifier.grow_mask = watched  # type: ignore[method-assign]
    for step in (10, 20):
        fit(model, optimizer, sparsifier, start=step - 10, stop=step)
        assert {layer.name: layer.active for layer in sparsifier.layers} == counts
    assert places
    assert all(spare >= 1 for spare in places)  # the candidates, ⌈ratio · active⌉ of them
    assert ratio == 0.5 or min(places) < 20


@pytest.mark.parametrize("pattern", ["none", "2:4"])
@pytest.mark.parametrize("method", ["rigl", "granet"])
def test_as_many_candidates_as_places_give_the_same_bits_as_looking_at_all(method, pattern):
    if method == "granet" and pattern != "none":
        return
    options = {} if pattern == "none" else {"pattern": pattern, "dense_layers": ("0",)}
    plan = Plan(40, 0.9 if pattern == "none" else 0.5, 0, 30)
    masks = []
    for ratio in (0.0, 1e9):
        model, optimizer, sparsifier = attached(method, plan, candidate_ratio=ratio, **options)
        fit(model, optimizer, sparsifier)
        masks.append([layer.mask for layer in sparsifier.layers])
    assert all(map(torch.equal, *masks))


@pytest.mark.parametrize("method", ["rigl", "granet"])
def test_a_pattern_and_counts_are_kept_with_few_candidates(method):
    options = {"pattern": "2:4", "dense_layers": ("0",)} if method == "rigl" else {}
    plan = Plan(60, 0.5, 0, 30)
    model, optimizer, sparsifier = attached(method, plan, candidate_ratio=0.01, **options)
    fit(model, optimizer, sparsifier)
    assert sparsifier.sparsity_errors() == ""


def test_rigl_grows_the_largest_gradients_of_candidates_and_of_what_it_drops():
    step = 40
    fraction = 0.3 / 2 * (1 + math.cos(math.pi * step / 90))
    sparsifier = attached("rigl")[2]
    layers = {layer.name: layer for layer in sparsifier.layers}
    for name, seen in watch_update("rigl", step, candidate_ratio=0.5).items():
        mask, values, gradient, after = seen
        active = indices(mask)
        if len(active) == mask.numel():
            continue
        kept = by(
            values.abs(), active, len(active) - math.floor(fraction * len(active)), largest=True
        )
        number = min(mask.numel() - len(active), math.ceil(0.5 * len(active)))
        generator = sparsifier.generator(layers[name], "candidates", step)
        candidates = indices(random_empty(mask, number, generator))
        assert len(candidates) == number
        grown = by(gradient.abs(), candidates | (active - kept), len(active - kept), largest=True)
        assert indices(after) == kept | grown


def test_granet_grows_the_largest_gradients_of_candidates():
    step = 40
    sparsifier = attached("granet")[2]
    layers = {layer.name: layer for layer in sparsifier.layers}
    grown = 0
    for name, seen in watch_update("granet", step, candidate_ratio=0.1).items():
        mask, _, gradient, after = seen
        active = indices(mask)
        number = min(mask.numel() - len(active), math.ceil(0.1 * len(active)))
        generator = sparsifier.generator(layers[name], "candidates", step)
        candidates = indices(random_empty(mask, number, generator))
        new = indices(after) - active
        assert new == by(gradient.abs(), candidates, len(new), largest=True)
        grown += len(new)
    assert grown > 0


# A layer of 10 × 10 weights, 10 of them active: 200 operations dense, 20 sparse.
SQUARE = ForwardFlops({"0": 200.0}, other=30.0)


@pytest.mark.parametrize(("ratio", "read"), [(0.0, 200), (1.0, 40), (2.5, 70), (20.0, 200)])
def test_a_step_pays_for_the_gradients_it_looks_at(ratio, read):
    model = nn.Sequential(nn.Linear(10, 10, bias=False))
    plan = Plan(20, 0.9, 0, 0)
    sparsifier = make("rigl", plan, distribution="uniform", uniform_dense="none", update_every=5,
                      candidate_ratio=ratio)  # fmt: skip
    attach(sparsifier, model, torch.optim.SGD(model.parameters(), 0.1))
    flops = measure_forward(model, torch.ones(1, 10))
    assert flops.layers == {"0": 200.0}
    ledger = FlopsLedger(flops, 8)
    cost = StepCounter(sparsifier.layers, candidates=sparsifier.growth_candidates)
    for step in range(1, 21):
        dense = sparsifier.wants_dense_gradient(step)
        ledger.charge_step(
            sparsifier.layers, dense_gradient=dense, candidates=sparsifier.growth_candidates
        )
        cost.step(dense_gradient=dense)
    # Updates at 5 and 10; T_end is step 15.
    by_hand = 18 * 3 * 20 + 2 * (2 * 20 + read)
    assert ledger.total == 8 * by_hand
    assert cost.measure(model, torch.ones(3, 10)).training == by_hand
    final = Zeros.exactly({"0": 90})
    setup = TrainingSetup({"0": (10, 10)}, flops, 8, 100, 10, False, final)
    assert training_cost(sparsifier, setup) == (8 * by_hand, 8 * by_hand)


def test_a_loop_of_ones_own_pays_for_the_gradients_it_looks_at():
    model = nn.Sequential(nn.Linear(10, 10, bias=False))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    even = {"distribution": "uniform", "uniform_dense": "none"}
    handle = sparsify(model, optimizer, "gse", sparsity=0.9, steps=20, update_every=5, **even)
    x = torch.randn(4, 10, generator=seeded(0))
    for _ in range(20):
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()
    assert handle.flops(x).training == 18 * 3 * 20 + 2 * (2 * 20 + 40)


def test_bounds_on_zeros_bound_the_gradients_looked_at():
    zeros = Zeros({"0": 60}, {"0": 95})
    setup = TrainingSetup({"0": (10, 10)}, SQUARE, 8, 100, 10, False, zeros)
    # Of 5 and of 40 active weights: forward and input gradients, and twice as many gradients.
    twice = 2 * (30 + 10), 2 * (30 + 80)
    between = setup.step(zeros, dense_gradient=True, candidates=Candidates(1.0))
    assert between == (twice[0] + 30 + 2 * 10, twice[1] + 30 + 2 * 80)
    assert setup.step(zeros, dense_gradient=True) == (twice[0] + 230, twice[1] + 230)
