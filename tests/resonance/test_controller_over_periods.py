"""The controller over whole periods of the threshold, on white-noise gradients."""

import functools

import pytest
import torch
from torch import nn

from suite.core.errors import InvalidInput
from suite.sparsity.plan import Plan
from tests.support.helpers import make

pytestmark = pytest.mark.slow

STEPS, EVERY = 3072, 16


@functools.lru_cache
def deviations(sparsity: float, **options) -> tuple[list[float], list[float]]:
    """Train one layer on white noise; return sparsity less s*, averaged over the threshold's
    periods, in points, and the whole course of what is off."""
    torch.manual_seed(0)
    model = nn.Linear(100, 100, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    plan = Plan(steps=STEPS, sparsity=sparsity, seed=0, steps_per_epoch=100)
    settings = {"window": 16, "update_every": EVERY, "watch": 0}
    uniform = {"distribution": "uniform", "uniform_dense": "none"}
    sparsifier = make("resonance", plan, **settings | uniform | options)
    series: dict[str, dict[int, float]] = {}
    sparsifier.attach(
        model,
        optimizer,
        recorder=lambda step, name, value, layer: series.setdefault(name, {}).update({step: value}),
    )
    table = sparsifier.schedule
    for step in range(1, table.freeze + 1):
        model.weight.grad = torch.randn_like(model.weight)
        sparsifier.after_backward(step)
    periods: dict[int, list[float]] = {}
    for step, off in series["off"].items():
        period = int(table.progress(step) * sparsifier.threshold.periods)
        periods.setdefault(period, []).append(off - series["target"][step])
    means = [100 * sum(values) / len(values) for values in periods.values()]
    return means, list(series["off"].values())


@pytest.mark.parametrize("cooling", ["disable", "freeze"])
@pytest.mark.parametrize("sparsity", [0.5, 0.9, 0.98])
def test_exact_follows_the_path_in_every_period_of_the_threshold(sparsity, cooling):
    means, course = deviations(sparsity, solve="exact", cooling=cooling)
    assert len(means) == 3
    assert max(abs(mean) for mean in means) <= 0.5
    assert max(course) <= sparsity  # and at no time is more off than in the end
    assert len(set(course[-16:])) > 1  # the threshold still breathes after the ramp


@pytest.mark.parametrize("cooling", ["disable", "freeze"])
@pytest.mark.parametrize("sparsity", [0.5, 0.9, 0.98])
def test_feedback_follows_the_path_from_the_end_of_the_ramp(sparsity, cooling):
    means, course = deviations(sparsity, solve="feedback", cooling=cooling)
    assert max(abs(mean) for mean in means[1:]) <= 1.0
    assert max(course) <= sparsity


@pytest.mark.parametrize("argument", ["frequency", "magnitude"])
@pytest.mark.parametrize("sparsity", [0.5, 0.98])
def test_a_phase_of_its_own_for_each_connection_changes_which_not_how_many(sparsity, argument):
    means, _ = deviations(sparsity, argument=argument, bits=1, modulation=0.5)
    assert max(abs(mean) for mean in means) <= 0.1


def test_a_feedback_that_cannot_reach_the_target_is_refused():
    with pytest.raises(InvalidInput, match="switches off at most .* or solve=exact") as refusal:
        deviations(0.9, solve="feedback", argument="frequency", bits=1, modulation=1.0)
    assert "\n" not in str(refusal.value)
    deviations(0.9, solve="feedback", argument="frequency", bits=1, modulation=0.02)
