"""Every method under a `flops_budget`: met within 1 %, resumed, checked, refused."""

import math

import pytest

from suite.core.errors import InvalidInput
from suite.experiments.trial_config import Trial
from suite.results.record_check import TRAINING
from suite.results.training_flops import TOLERANCE
from suite.training import forecast_cache
from suite.training.budget_forecast import TrainingCosts
from suite.training.budget_plan import BudgetPlan
from suite.training.context import TrialContext
from suite.training.verify_record import recompute
from tests.support.checkpoints import assert_same, interrupted
from tests.support.every_method import METHODS, case
from tests.support.helpers import trained

# Trainings this short have notes of their own.
pytestmark = pytest.mark.filterwarnings("ignore::suite.core.errors.SparsityWarning")

BUDGET = 0.3
QUICK = ("rigl", "snip", "str", "lottery_ticket")
"""Of each kind one is trained in every run of the tests: exact, after scoring, following the data,
in rounds."""


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RESONANCE_CACHE", str(tmp_path))
    monkeypatch.setattr(forecast_cache, "_known", {})


def budgeted(method: str, budget: float = BUDGET, **recipe) -> Trial:
    """Return a trial of a method with a budget, as sparse as the method accepts."""
    like = case(method)
    return Trial.make(
        task=like.task,
        method=method,
        sparsity=like.sparsity,
        hyperparameters=like.hyperparameters,
        recipe={"epochs": 8, "flops_budget": budget, **recipe},
    )


@pytest.mark.parametrize("method", METHODS)
def test_where_densities_follow_from_the_plan_the_forecast_is_within_the_tolerance(method):
    context = TrialContext.of(budgeted(method))
    costs = TrainingCosts.of(context.trial, context.plan)
    bounds = costs.bounds(context.plan.steps)
    if not bounds.is_exact:
        assert bounds.least < costs.budget < bounds.most
        return
    assert math.isclose(bounds.least, costs.budget, rel_tol=TOLERANCE)
    for steps in (context.plan.steps - 1, context.plan.steps + 1):
        off = abs(costs.bounds(steps).least - costs.budget)
        assert abs(bounds.least - costs.budget) <= off * (1 + 1e-12)


@pytest.mark.parametrize(
    "method", [m if m in QUICK else pytest.param(m, marks=pytest.mark.slow) for m in METHODS]
)
def test_a_training_meets_its_budget_resumes_and_has_a_record_that_can_be_right(method):
    of = budgeted(method)
    whole = trained(of)
    record = whole.record
    assert math.isclose(
        record.flops["training"], BUDGET * record.flops["dense_training"], rel_tol=TOLERANCE
    )
    assert not [note for note in record.notes if "flops_budget" in note]
    found = recompute(record)
    assert found.problems == []
    assert found.steps == record.steps
    (training,) = [check for check in found.checks if check.name == TRAINING]
    context = TrialContext.of(of)
    if BudgetPlan.of(context) is None:
        assert training.how == "exact"
        assert record.steps == context.make_sparsifier().total_steps
    steps = record.steps
    assert_same(whole, interrupted(of, (steps // 7, 3, steps // 3, steps // 5)))


def test_a_budget_of_one_is_dense_training_and_half_of_it_half_the_steps():
    whole, half = (TrialContext.of(budgeted("dense", share)).plan for share in (1.0, 0.5))
    usual = TrialContext.of(Trial.make(task="digits/mlp", method="dense", recipe={"epochs": 8}))
    assert whole.steps == usual.plan.steps == 2 * half.steps
    bounded = TrialContext.of(budgeted("dense", 0.5, max_steps=100)).plan
    assert bounded.steps == 50


def test_a_sparser_training_of_one_budget_is_longer():
    steps = [
        TrialContext.of(budgeted("static").model_copy(update={"sparsity": sparsity})).plan.steps
        for sparsity in (0.5, 0.8, 0.9)
    ]
    assert steps == sorted(set(steps))


@pytest.mark.parametrize(
    ("method", "budget", "says"),
    [
        ("rigl", 1e-5, r"^flops_budget=1e-05 does not pay for a step of rigl: give at least 0.000"),
        ("resonance", 1e-3, r"^flops_budget=0.001 is too small for resonance, which can train for "
         r"\d+ steps but not for \d+ \(.*\): give at least 0.\d+$"),
        ("rigl", -1, r"^flops_budget=-1 is not usable: give a number from 0 to 1000$"),
        ("rigl", 1e4, r"^flops_budget=10000.0 is not usable: give a number from 0 to 1000$"),
    ],
)  # fmt: skip
def test_a_budget_that_cannot_be_met_is_refused_in_one_line(method, budget, says):
    with pytest.raises(InvalidInput, match=says):
        TrialContext.of(budgeted(method, budget))


def test_what_a_refusal_says_is_enough_is_enough():
    with pytest.raises(InvalidInput) as error:
        TrialContext.of(budgeted("resonance", 0.001))
    enough = float(str(error.value).rpartition("at least ")[2])
    TrialContext.of(budgeted("resonance", enough))


def test_options_that_fit_no_training_are_refused_in_the_words_of_the_method():
    of = budgeted("acdc").model_copy(update={"hyperparameters": {"warm_up": 0.9, "final": 0.9}})
    with pytest.raises(InvalidInput, match="^acdc: warm_up=0.9, last_dense="):
        TrialContext.of(of)


def test_a_budget_changes_the_key_and_its_default_does_not():
    plain = Trial.make(task="digits/mlp", method="static", sparsity=0.9)
    zero = Trial.make(task="digits/mlp", method="static", sparsity=0.9, recipe={"flops_budget": 0})
    other = Trial.make(task="digits/mlp", method="static", sparsity=0.9, recipe={"flops_budget": 1})
    assert plain.key == zero.key != other.key
