"""Candidates for growth: exact numbers, uniform draws, and nothing else looked at."""

import itertools
import math
from collections import Counter

import pytest
import torch
from torch import nn

from suite import sparsify
from suite.own_loop.cost import StepCounter
from suite.sparsity.candidates import ALL, Candidates, draw_empty
from suite.sparsity.cost_bounds import TrainingSetup, Zeros
from suite.sparsity.flops import FlopsLedger, ForwardFlops, measure_forward
from suite.sparsity.plan import Plan
from suite.sparsity.training_cost import training_cost
from tests.support.helpers import attach, fit, make
from tests.support.updates import attached, by, indices, watch_update


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("shape", [(1,), (7, 3), (40, 50)])
@pytest.mark.parametrize("density", [0.0, 0.1, 0.6, 0.99, 1.0])
def test_exactly_so_many_empty_places_are_drawn(shape, density):
    size = math.prod(shape)
    mask = (torch.arange(size) < density * size).view(shape)
    before, empty = mask.clone(), int((~mask).sum())
    for count in {0, min(1, empty), empty // 3, empty // 2, max(0, empty - 1), empty}:
        drawn = draw_empty(mask, count, seeded(3))
        assert drawn.shape == mask.shape
        assert drawn.dtype == torch.bool
        assert int(drawn.sum()) == count
        assert not bool((drawn & mask).any())
        assert torch.equal(drawn, draw_empty(mask, count, seeded(3)))
    assert torch.equal(mask, before)
    for count in (-1, empty + 1):
        with pytest.raises(ValueError, match=f"count={count} of {empty} empty places"):
            draw_empty(mask, count, seeded(3))


@pytest.mark.parametrize("count", [2, 4])
def test_every_set_of_empty_places_is_equally_likely(count):
    mask = torch.tensor([[True, False, False], [False, True, False], [False, False, True]])
    places = (~mask).flatten().nonzero().flatten().tolist()
    draws = 6000
    seen = Counter(
        tuple(draw_empty(mask, count, seeded(seed)).flatten().nonzero().flatten().tolist())
        for seed in range(draws)
    )
    sets = list(itertools.combinations(places, count))
    assert len(sets) == 15
    expected = draws / len(sets)
    # The sum has 14 degrees of freedom: above 36.1 in one of 1,000 experiments.
    assert sum((seen[one] - expected) ** 2 / expected for one in sets) < 36.1


def test_how_many_gradients_are_looked_at():
    assert ALL.gradients(0, 50) == ALL.gradients(7, 50) == 50
    half = Candidates(0.5)
    assert [half.gradients(active, 10) for active in range(11)] == [0, 2, 3, 5, 6, 8, 9, *[10] * 4]
    assert Candidates(1.0).gradients(30, 100) == 60


def test_gradients_elsewhere_are_not_looked_at():
    gradient = torch.full((4, 25), -1e6)
    mask = torch.zeros(4, 25, dtype=torch.bool)
    mask[0, :10] = True
    candidates = Candidates(2.0)
    drawn = draw_empty(mask, 20, seeded(1))
    gradient[mask], gradient[drawn] = -0.5, 0.25
    found = candidates.magnitudes(gradient, mask, seeded(1))
    assert torch.equal(found[mask], torch.full((10,), 0.5))
    assert torch.equal(found[drawn], torch.full((20,), 0.25))
    assert bool((found[~mask & ~drawn] < 0).all())
    assert torch.equal(ALL.magnitudes(gradient, mask, seeded(1)), gradient.abs())


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
        candidates = indices(draw_empty(mask, number, generator))
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
        candidates = indices(draw_empty(mask, number, generator))
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
