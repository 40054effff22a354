"""What trainings cost by their number of steps, against what they are charged."""

import pytest

from suite.core.errors import InvalidInput
from suite.experiments import registry
from suite.sparsity import training_cost
from suite.training import budget_forecast
from suite.training.budget_forecast import TrainingCosts, dense_training, forecast_steps
from suite.training.network import network_of
from suite.training.trial_plan import plan_of
from tasks.recipe import Recipe
from tests.support.helpers import trained, trial


def costs(method, budget=0.3, **given) -> TrainingCosts:
    of = trial(method, recipe={"flops_budget": budget}, **given)
    return TrainingCosts.of(of, plan_of(of, 160))


def test_dense_training_is_three_forward_passes_of_every_example():
    dataset = registry.datasets()["digits"]
    recipe = Recipe(epochs=3, batch_size=10, validation=0.0, flops_budget=0.2)
    steps = 3 * (dataset.train // 10)
    assert dense_training(recipe, dataset, 7.0) == 3 * 7.0 * 10 * steps
    assert dense_training(Recipe(max_steps=5, validation=0.0), dataset, 7.0) == 3 * 7.0 * 128 * 5


@pytest.mark.parametrize("method", ["rigl", "magnitude", "snip", "small_dense", "dense"])
def test_what_a_training_costs_is_what_it_is_charged(method):
    bounds = costs(method).bounds(160)
    assert bounds.is_exact
    assert bounds.least == pytest.approx(trained(trial(method)).record.flops["training"])


def test_the_reference_is_the_network_of_the_task_whatever_the_method_trains():
    full = network_of("digits/mlp").forward.dense
    assert {costs(method).dense for method in ("dense", "small_dense", "rigl")} == {
        3 * full * 32 * 160
    }


def test_steps_that_are_too_few_have_no_cost():
    found = costs("resonance")
    assert found.bounds(5) is None
    assert found.bounds(500) is not None


def test_known_zeros_make_a_cost_exact():
    found = costs("str")
    assert not found.bounds(100).is_exact
    static = costs("static")
    assert static.bounds(100, static.setup.final) == static.bounds(100)


def test_a_share_of_the_way_between_the_bounds_moves_the_forecast():
    found = costs("srigl")
    few, middle, many = (found.steps(share) for share in (1.0, 0.5, 0.0))
    assert few < middle < many
    assert forecast_steps(trial("srigl", recipe={"flops_budget": 0.3}), found.plan) == middle


def test_options_that_fit_a_longer_training_alone_fit_a_budget_that_pays_for_it():
    window = {"hyperparameters": {"window": 128, "bits": 1}}
    with pytest.raises(InvalidInput, match="window"):
        costs("resonance", **window).make(160)
    assert costs("resonance", 8.0, **window).steps() > 160


@pytest.mark.parametrize(
    ("method", "given", "limits"),
    [
        ("rigl", {}, {"MOST_STEPS": 800}),
        ("lottery_ticket", {"sparsity": 0.36}, {"MOST_STEPS": 300}),
        ("magnitude", {"hyperparameters": {"update_every": 1}}, {"MOST_CHANGES": 100}),
    ],
)
def test_a_training_too_long_to_be_followed_costs_as_much_more_as_it_is_longer(
    method, given, limits, monkeypatch
):
    usual = costs(method, 2.0, **given)
    steps = usual.steps()
    for name, limit in limits.items():
        monkeypatch.setattr(training_cost, name, limit)
        if name == "MOST_STEPS":
            monkeypatch.setattr(budget_forecast, name, limit)
    found = costs(method, 2.0, **given)
    assert found.steps() == pytest.approx(steps, rel=0.02)
    assert found.bounds(steps).is_exact
