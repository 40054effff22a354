"""The expected best of a search against its budget: which trials count, and what is said of it."""

import itertools
import statistics

import pytest

from leaderboard.charts.tuning_charts import tuning_charts
from leaderboard.pages.tuning_page import named_charts, tuning_page
from leaderboard.tuning_budget import budget_curve, budget_note, shown_budgets
from suite.tuning.schema import Candidate, MethodResult
from tests.tuning.sample import tuning


def search(*values: float | None) -> MethodResult:
    """Return a search with these values; the first is the default's, None is a failure."""
    trials = [
        Candidate(
            number=number, state="failed" if value is None else "complete", parameters={},
            hyperparameters={}, recipe={}, values=[] if value is None else [value],
        )
        for number, value in enumerate(values)
    ]  # fmt: skip
    return MethodResult(revision=1, space=[], trials=trials)


def test_the_default_is_the_reference_and_not_a_draw():
    curve = budget_curve(search(0.61, 0.5, 0.9, 0.4), "accuracy")
    assert curve.default == 0.61
    assert len(curve.points) == 3
    for k, point in enumerate(curve.points, start=1):
        best = [max(sample) for sample in itertools.product((0.5, 0.9, 0.4), repeat=k)]
        assert point.mean == pytest.approx(statistics.fmean(best))
        assert point.std == pytest.approx(statistics.pstdev(best))
    assert curve.needed == 2  # one draw is worth 0.6
    assert curve.unfinished == 0


def test_where_less_is_better_the_best_is_the_lowest():
    curve = budget_curve(search(3.0, 2.0, 5.0), "bits_per_character")
    assert [point.mean for point in curve.points] == pytest.approx([3.5, 0.75 * 2 + 0.25 * 5])
    assert all(point.std > 0 for point in curve.points)
    assert curve.needed == 2


def test_a_trial_that_did_not_finish_is_the_worst_of_the_draws():
    curve = budget_curve(search(0.6, 0.5, None, 0.9), "accuracy")
    assert curve.unfinished == 1
    assert curve.points[0].mean == pytest.approx((0.5 + 0.5 + 0.9) / 3)
    assert len(curve.points) == 3


def test_a_default_that_failed_or_that_nothing_beats_is_said():
    assert budget_curve(search(None, 0.5, 0.6), "accuracy").default is None
    assert budget_curve(search(None, 0.5, 0.6), "accuracy").needed is None
    assert budget_curve(search(0.7, 0.5, 0.6), "accuracy").needed is None


@pytest.mark.parametrize("values", [(), (0.5,), (0.5, 0.6), (0.5, None, 0.6)])
def test_fewer_than_two_values_are_no_curve(values):
    assert budget_curve(search(*values), "accuracy") is None


@pytest.mark.parametrize(
    ("most", "shown"),
    [(1, [1]), (2, [1, 2]), (4, [1, 2, 4]), (10, [1, 2, 5, 10]), (37, [1, 2, 5, 10, 20, 37])],
)
def test_a_table_shows_round_numbers_and_the_last(most, shown):
    assert shown_budgets(most) == shown


def test_an_adaptive_sampler_is_said_to_be_one():
    assert "tpe learns from its trials" in budget_note("tpe")
    assert "learns" not in budget_note("random")
    assert "learns" not in budget_note("qmc")


def test_the_page_has_the_chart_and_the_table():
    one = tuning()
    page = tuning_page(one, lambda key: None, {})
    assert "Expected best against budget" in page
    assert "k to beat the default" in page
    assert named_charts(one)["budget"]["title"] == "Expected best against budget"
    layers = tuning_charts(one)["budget"].to_dict()["layer"]
    assert [layer["mark"]["type"] for layer in layers] == ["area", "rule", "line"]


def test_a_search_of_the_default_alone_has_neither():
    one = tuning()
    alone = one.methods["rigl"].model_copy(update={"trials": one.methods["rigl"].trials[:1]})
    one = one.model_copy(update={"methods": {"rigl": alone}})
    assert "Expected best" not in tuning_page(one, lambda key: None, {})
    assert "budget" not in tuning_charts(one)
