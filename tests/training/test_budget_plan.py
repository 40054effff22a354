"""A budget is followed as training goes on: nothing is skipped, schedules follow, ends are near."""

from itertools import pairwise

import pytest

from suite.training import forecast_cache
from suite.training.budget_plan import BudgetPlan
from suite.training.context import TrialContext
from suite.training.setup import prepare
from tests.support.checkpoints import Memory, assert_same, finish, stop
from tests.support.helpers import trained, trial


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RESONANCE_CACHE", str(tmp_path))
    monkeypatch.setattr(forecast_cache, "_known", {})


def of(method, budget=0.3, **given):
    return trial(method, recipe={"flops_budget": budget, "epochs": 8}, **given)


def plans(outcome):
    return {row[1]: int(row[5]) for row in outcome.curves.rows if row[2] == "planned_steps"}


@pytest.mark.parametrize(
    ("method", "follows"),
    [("rigl", False), ("magnitude", False), ("lottery_ticket", False), ("dense", False),
     ("resonance", True), ("str", True), ("srigl", True)],
)  # fmt: skip
def test_only_what_is_not_known_before_is_forecast_again(method, follows):
    given = {"sparsity": 0.36} if method == "lottery_ticket" else {}
    assert (BudgetPlan.of(TrialContext.of(of(method, **given))) is not None) == follows
    assert BudgetPlan.of(TrialContext.of(trial(method, **given))) is None


def test_forecasts_are_made_at_epochs_and_halfway_through_the_last_and_training_ends_at_the_last():
    outcome = trained(of("str"))
    found = plans(outcome)
    steps = outcome.record.steps
    assert {0, 40, 80} <= found.keys()  # more within epochs, as less of the budget is left
    assert found[max(found)] == steps
    assert max(found) == steps - 1  # masks change to the end: one step before it is the last one
    losses = [row[1] for row in outcome.curves.rows if row[2] == "train_loss"]
    assert losses == [*range(40, steps, 40), steps]  # a pause for a forecast is not an epoch


def test_the_learning_rate_follows_the_plan():
    training = prepare(TrialContext.of(of("resonance")))
    before = training.steps
    training.plan_steps(before + 50, 0)
    assert training.steps == training.rate.steps == training.sparsifier.plan.steps == before + 50
    assert training.rate(before + 50) < training.rate(before)


def spend(training, share):
    """Charge a share of the budget, as if it had been spent so far."""
    training.ledger.total = share * training.budget.costs.budget


def test_a_shorter_plan_does_not_skip_the_last_pruning():
    training = prepare(TrialContext.of(of("resonance")))
    freeze = training.sparsifier.schedule.freeze
    step = freeze - 20
    spend(training, 2.0)  # nothing is left
    training.forecast(step)
    schedule = training.sparsifier.schedule
    assert step < schedule.freeze <= freeze
    shorter = training.budget.costs.make(training.steps - 1)
    assert shorter.schedule.freeze < training.sparsifier.next_update(step)


def test_once_connectivity_is_fixed_a_spent_budget_ends_training():
    outcome = trained(of("resonance"))
    training = prepare(TrialContext.of(of("resonance")))
    training.sparsifier._fixed_at = 100
    for layer, zeros in training.sparsifier.target_zeros().items():
        (weight,) = [one for one in training.sparsifier.layers if one.name == layer]
        mask = weight.mask.clone()
        mask.view(-1)[:zeros] = False
        weight.set_mask(mask)
    spend(training, 1.0)
    training.forecast(120)
    assert training.steps == 120 != outcome.record.steps


def test_what_a_training_is_expected_to_cost_is_where_it_was_between_its_bounds():
    training = prepare(TrialContext.of(of("str", 1.0)))
    budget, steps = training.budget, training.steps
    dense = 3 * training.ledger.flops.dense * training.ledger.batch_size
    training.ledger.total += 40 * 0.25 * dense  # an epoch at a quarter of the weights
    training.forecast(40)
    assert budget.share == pytest.approx(0.25)
    left = budget.costs.budget - training.ledger.total
    assert training.steps == 40 + round(left / (0.25 * dense))
    assert training.steps > steps


def test_state_is_restored():
    training = prepare(TrialContext.of(of("str")))
    training.ledger.total += 1e6
    training.forecast(40)
    again = prepare(TrialContext.of(of("str"))).budget
    again.load(training.budget.state())
    assert again == training.budget


def test_what_auto_chose_in_steps_stays():
    training = prepare(TrialContext.of(of("resonance")))
    every = training.sparsifier.schedule.every
    training.plan_steps(3 * training.steps, 40)
    assert training.sparsifier.schedule.every == every
    assert training.sparsifier.options.cooldown == 2 * every


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [{"flops_budget": 0.3}, {"flops_budget": 1.0, "epochs": 2}])
def test_a_training_that_is_resumed_close_to_its_end_pauses_where_it_would_have(recipe):
    like = trial("str", recipe={"epochs": 8} | recipe)
    whole = trained(like)
    memory = Memory()
    for last, left in pairwise((whole.record.steps, 22, 9, 3, 2)):
        stop(like, memory, last - left)
        checkpoint = memory.content
        assert_same(whole, finish(like, memory))
        memory.content = checkpoint


@pytest.mark.parametrize(
    "recipe",
    [
        {"epochs": 2, "max_steps": 13, "flops_budget": 2.0},  # planned: little more than an epoch
        {"epochs": 3, "flops_budget": 1.0},  # cheap for a while, then as dear as before
    ],
)
def test_no_more_is_spent_within_an_epoch_than_there_is(recipe):
    record = trained(trial("str", recipe=recipe)).record
    budget = recipe["flops_budget"] * record.flops["dense_training"]
    assert record.flops["training"] == pytest.approx(budget, rel=0.01)


@pytest.mark.slow
def test_forecasts_do_not_multiply_with_the_epochs_of_a_long_training():
    of_epochs = {}
    for epochs in (50, 5000):
        context = TrialContext.of(
            trial("resonance", recipe={"flops_budget": 0.8, "epochs": epochs})
        )
        plan, steps = BudgetPlan.of(context), context.plan.steps
        dense = plan.costs.dense / plan.costs.plan.steps
        of_epochs[epochs] = 0
        for step in range(0, steps, 40):  # as if each step cost as much as the other
            plan.certain = int((plan.costs.budget * (1 - step / steps)) / dense)
            if plan.is_due(step, steps):
                of_epochs[epochs] += 1
                plan.step = step
    assert of_epochs[5000] < 3 * of_epochs[50]
