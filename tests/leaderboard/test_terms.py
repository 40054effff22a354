"""The terms of a board: which records it is for, and what it says that every method is given."""

import pytest

from leaderboard.terms import EQUAL_STEPS, Terms
from tests.support.sample_records import done, make_trial


def record(flops_budget: float = 0.3, **flops: float):
    made = done(make_trial(recipe={"flops_budget": flops_budget} if flops_budget else {}))
    return made.model_copy(update={"flops": made.flops | flops})


def test_a_record_belongs_to_the_board_of_its_budget():
    assert Terms.of(record(0.0)) == EQUAL_STEPS
    assert Terms.of(record(0.3)) == Terms(0.3)


@pytest.mark.parametrize(
    "value",
    [None, "0.3", True, -1.0, float("inf"), [0.3], pytest.param(10**400, id="10**400")],
)
def test_what_is_no_budget_is_at_equal_steps(value):
    strange = record()
    strange.configuration["recipe"] = {"flops_budget": value}
    assert Terms.of(strange) == EQUAL_STEPS
    strange.configuration["recipe"] = ["no", "mapping"]
    assert Terms.of(strange) == Terms(0.3)  # that of its settings


@pytest.mark.parametrize(
    ("training", "counts"), [(300.0, 1), (302.9, 1), (297.1, 1), (303.1, 0), (296.9, 0)]
)
def test_a_training_more_than_one_per_cent_off_its_budget_does_not_count(training, counts):
    found = record(training=training, dense_training=1000.0)
    reason = Terms(0.3).left_out(found)
    assert (reason == "") == bool(counts)
    assert EQUAL_STEPS.left_out(found) == ""
    assert "\n" not in reason


def test_the_reason_names_both_figures():
    reason = Terms(0.3).left_out(record(training=315.0, dense_training=1000.0))
    assert "took 0.315 times the FLOPs of dense training, 5.0 % above its flops_budget" in reason
    assert "flops_budget of 0.3" in reason


def test_a_record_without_its_reference_does_not_count():
    assert "does not say what dense training costs" in Terms(0.3).left_out(record())


def test_claims_are_sentences_and_pages_differ():
    assert "same number of steps" in EQUAL_STEPS.claim
    assert "0.3 × the FLOPs of dense training; a sparser method trains longer." in Terms(0.3).claim
    assert EQUAL_STEPS.page == "index.html"
    assert Terms(0.3).page == "equal-flops-0.3.html"
    assert sorted([Terms(1.0), Terms(0.3), EQUAL_STEPS]) == [EQUAL_STEPS, Terms(0.3), Terms(1.0)]
