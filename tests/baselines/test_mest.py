"""MEST + EM&S: the published schedule, and its rule, worked out by hand."""

import pytest
import torch
from torch import nn

from suite.sparsity.plan import Plan
from tests.support.helpers import attach, fit, make
from tests.support.updates import attached, by, indices, watch_update

EVEN = {"distribution": "uniform", "uniform_dense": "none"}
PUBLISHED = Plan(steps=160, sparsity=0.9, seed=0, steps_per_epoch=1)
"""A step for each of the 160 epochs."""


def test_the_schedule_of_160_epochs_is_the_published_one():
    model = nn.Sequential(nn.Linear(20, 20, bias=False))
    sparsifier = make("mest", PUBLISHED, **EVEN)
    attach(sparsifier, model, torch.optim.SGD(model.parameters(), 0.1))
    (layer,) = sparsifier.layers
    zeros = {0: layer.size - layer.active}
    for step in range(1, 161):
        if sparsifier.is_update(step):
            sparsifier.update(step)
            zeros[step] = layer.size - layer.active
    assert list(zeros) == list(range(0, 121, 5))
    # Of 400 weights 360 are zero at 0.9, 340 at 0.85 and 350 at 0.875.
    assert zeros == {step: 340 if step < 90 else 350 if step < 120 else 360 for step in zeros}


@pytest.mark.parametrize(("weight", "kept"), [(0.0, {0, 1, 4, 7}), (2.0, {0, 2, 4, 6})])
def test_what_is_kept_is_that_worked_out_by_hand(weight, kept):
    model = nn.Sequential(nn.Linear(4, 2, bias=False))
    plan = Plan(32, 0.5, 0, 0)
    sparsifier = make("mest", plan, gradient_weight=weight, extra_density=0.25, **EVEN)
    attach(sparsifier, model, torch.optim.SGD(model.parameters(), 0.1))
    (layer,) = sparsifier.layers
    assert layer.active == 6, "of 8 weights 4 are kept at 50 %, and 2 more between updates"
    active = torch.tensor([[True, True, True, False], [True, False, True, True]])
    sparsifier.set_mask(layer, active)
    values = torch.tensor([[5.0, -3.0, 1.0, 0.0], [4.0, 0.0, -0.5, 2.0]])
    with torch.no_grad():
        model[0].weight.copy_(values)
    # |w| + 2·|g| is 5, 3, 7 in the first row, and 4.2, 4.5, 2 in the second; the gradients of
    # empty places are not looked at.
    model[0].weight.grad = torch.tensor([[0.0, 0.0, -3.0, 99.0], [0.1, -99.0, 2.0, 0.0]])
    sparsifier.update(1)
    assert layer.active == 6
    after, left = layer.mask.flatten(), layer.values.flatten()
    assert all(bool(after[place]) for place in kept)
    for place in range(8):
        assert left[place] == (values.flatten()[place] if place in kept else 0)


@pytest.mark.parametrize("step", [30, 69, 90])
def test_the_least_important_are_dropped_and_the_rest_grown_at_random(step):
    fraction = {30: 0.05, 69: 0.025, 90: 0.0}[step]
    sparsifier = attached("mest")[2]
    target = sparsifier.target_zeros()
    seen = watch_update("mest", step, gradient_weight=0.5)
    for name, (mask, values, gradient, after) in seen.items():
        active, size = indices(mask), mask.numel()
        if target[name] == 0:
            assert len(indices(after)) == size
            continue
        keep = size - target[name]
        kept = by(values.abs() + 0.5 * gradient.abs(), active, keep, largest=True)
        assert kept <= indices(after)
        assert len(indices(after)) == min(size, keep + int(fraction * size + 1e-9))


def test_growth_is_uniform_over_all_places_that_are_not_kept():
    model = nn.Sequential(nn.Linear(10, 10, bias=False))
    counts = torch.zeros(100)
    for seed in range(300):
        sparsifier = make("mest", Plan(160, 0.8, seed, 0), **EVEN)
        attach(sparsifier, model, torch.optim.SGD(model.parameters(), 0.1))
        (layer,) = sparsifier.layers
        sparsifier.set_mask(layer, (torch.arange(100) < 25).view(10, 10))
        with torch.no_grad():
            model[0].weight.copy_(torch.arange(100.0, 0.0, -1.0).view(10, 10) * layer.mask)
        sparsifier.update(5)
        assert layer.active == 25
        counts += layer.mask.flatten()
        sparsifier.execution.release()
    assert counts[:20].tolist() == [300.0] * 20, "the largest are kept"
    # 5 of 80 places grow, those of the 5 that were dropped too: 18.75 times each on average.
    assert abs(float(counts[20:25].sum()) - 5 * 18.75) < 4 * (5 * 18.75) ** 0.5
    assert float(counts[20:].min()) > 0


def test_grown_weights_start_at_zero_and_training_ends_at_the_target():
    model, optimizer, sparsifier = attached("mest")
    fit(model, optimizer, sparsifier)
    assert sparsifier.sparsity_errors() == ""
    assert not any(sparsifier.is_update(step) for step in range(91, 121))


def test_a_training_too_short_to_grow_anything_says_so():
    (note,) = make("mest", Plan(1, 0.9, 0, 0)).notes()
    assert "no weights are grown in these 1 steps: the only update, at step 1" in note
    assert note.endswith("train for more steps")
    (note,) = make("mest", Plan(40, 0.9, 0, 0), update_end=0.03).notes()
    assert note.endswith("raise update_end")
    assert make("mest", Plan(3, 0.9, 0, 0)).notes() == []
    assert make("mest").notes() == []
