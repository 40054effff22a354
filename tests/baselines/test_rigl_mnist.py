"""RigL's MNIST experiment is set up as its authors ran it."""

import pytest

from suite.experiments.study import load_study
from suite.training.context import TrialContext
from suite.training.model import make_model
from suite.training.optimization import learning_rate, make_optimizer
from tasks.recipe import Recipe
from tests.support.helpers import attach

STEPS = 120_000


def trials() -> dict:
    return {t.method: t for t in load_study("rigl_mnist").trials() if t.seed == 0}


@pytest.mark.parametrize("method", ["static", "set", "rigl", "snip", "magnitude"])
def test_the_first_layer_keeps_two_per_cent_the_second_a_ninth_the_last_all(method):
    trial = trials()[method]
    sparsifier = TrialContext.of(trial).make_sparsifier()
    assert sparsifier.plan.steps == STEPS
    if method == "snip":  # scores need the data itself
        sparsifier.start = lambda: None
    attach(
        sparsifier,
        model := make_model(TrialContext.of(trial)),
        make_optimizer(model, recipe_of(trial)),
    )
    assert sparsifier.target_zeros() == {"1": 230_496, "3": 26_460, "5": 0}


def recipe_of(trial) -> Recipe:
    return TrialContext.of(trial).recipe


def test_connectivity_changes_every_hundred_steps_before_fifty_thousand():
    sparsifier = TrialContext.of(trials()["rigl"]).make_sparsifier()
    updates = [step for step in range(1, STEPS + 1) if sparsifier.is_update(step)]
    # At step 50,000 itself the drop fraction is 0.
    assert updates == list(range(100, 50_000, 100))


def test_pruning_runs_from_two_to_thirty_thousand_steps():
    sparsifier = TrialContext.of(trials()["magnitude"]).make_sparsifier()
    updates = [step for step in range(1, STEPS + 1) if sparsifier.is_update(step)]
    assert updates[0] == pytest.approx(2_000, abs=5)
    assert updates[-1] == 30_000


def test_the_learning_rate_falls_by_three_after_epochs_75_and_95():
    rate = learning_rate(recipe_of(trials()["rigl"]), STEPS)
    assert rate(75 * 600) == pytest.approx(0.2)
    assert rate(75 * 600 + 1) == pytest.approx(0.2 / 3, rel=1e-4)
    assert rate(95 * 600 + 1) == pytest.approx(0.2 / 9, rel=1e-4)
    assert rate(STEPS) == pytest.approx(0.2 / 9, rel=1e-4)


def test_the_optimizer_is_nesterov_and_decays_weights_alone():
    trial = trials()["rigl"]
    recipe = recipe_of(trial)
    assert (recipe.batch_size, recipe.nesterov, recipe.momentum) == (100, True, 0.9)
    optimizer = make_optimizer(make_model(TrialContext.of(trial)), recipe)
    decays = {
        parameter.ndim: group["weight_decay"]
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    assert decays == {1: 0.0, 2: 1e-4}
