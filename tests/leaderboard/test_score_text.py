"""Boards of tasks that rank by another metric than accuracy: order, unit and direction."""

import json

import pytest

from leaderboard.ablation_tables import mean_text
from leaderboard.board_claims import board_claims
from leaderboard.board_columns import NAMED_COLUMNS
from leaderboard.board_markdown import board_markdown
from leaderboard.boards import build_boards
from leaderboard.charts.board_charts import board_charts
from leaderboard.method_comparison import compare_entries
from leaderboard.page_data import page_data
from leaderboard.pages.index_page import index_page
from leaderboard.pages.paper_view import paper_table
from leaderboard.pooled_scores import pooled_scores
from leaderboard.score_text import (
    difference_text,
    difference_texts,
    difference_words,
    direction,
    fixed,
    heading,
    interval_texts,
    number_and_ends,
    plain,
    shown_metric,
    value_text,
)
from leaderboard.statistics.intervals import Interval
from leaderboard.summary_table import summary_table
from suite.experiments import registry
from suite.results.record import Record
from tests.leaderboard.random_boards import TASKS, random_boards
from tests.support.sample_records import done, done_real, make_trial

ACCURACY, R2, RMSE = (NAMED_COLUMNS[f"test_{name}"] for name in ("accuracy", "r2", "rmse"))
WORSE, BETTER = [60.0, 61, 62, 63, 64, 65], [50.2, 51.1, 52.3, 53.2, 54.1, 55.3]


def real(method: str, errors: list[float]) -> list[Record]:
    """Return records of diabetes/mlp with these RMSEs."""
    return [
        done_real(make_trial(method, task="diabetes/mlp", seed=seed), 1 - (error / 80) ** 2, error)
        for seed, error in enumerate(errors)
    ]


@pytest.fixture
def by_rmse(monkeypatch):
    """Let diabetes/mlp rank by RMSE, of which less is better."""
    task = registry.tasks()["diabetes/mlp"]
    monkeypatch.setitem(task.__dict__, "metric", "rmse")


def test_values_are_written_in_the_unit_of_their_column():
    assert (heading(ACCURACY), value_text(ACCURACY, 0.9123)) == ("test accuracy in %", "91.23")
    assert (heading(R2), value_text(R2, 0.41236)) == ("test R²", "0.412")
    assert value_text(RMSE, 58.234) == "58.2"
    assert interval_texts(RMSE, Interval(58.234, 57.0, 59.468, 5)) == ("58.2", "1.2")
    assert mean_text(R2, Interval(0.5, None, None, 1)) == "0.500"
    assert difference_texts(ACCURACY, Interval(0.012, 0.01, 0.014, 5)) == ["+1.20", "+1.00 … +1.40"]
    assert difference_texts(RMSE, Interval(-8.0, -9.0, -7.0, 5)) == ["−8.00", "−9.00 … −7.00"]
    assert [direction(column) for column in (ACCURACY, R2, RMSE)] == [
        "higher is better", "higher is better", "lower is better"
    ]  # fmt: skip
    assert difference_words(ACCURACY) == "differences in points of test accuracy; higher is better"


def test_a_page_says_what_it_shows():
    assert shown_metric([ACCURACY, ACCURACY]) == "Test accuracy in %; higher is better"
    assert shown_metric([RMSE]) == "Test RMSE (in the target's unit); lower is better"
    assert shown_metric([ACCURACY, RMSE]) == "What each task ranks by, as named beside it"
    assert shown_metric([]) == shown_metric([ACCURACY])


def test_the_lower_error_is_first_ranks_first_and_wins(by_rmse):
    boards, excluded = build_boards([*real("set", WORSE), *real("rigl", BETTER)])
    assert excluded == []
    (board,) = boards
    assert board.metric is RMSE
    assert [entry.method for entry, _ in board.rows] == ["rigl", "set"]
    (ranks,) = board_claims(boards).ranks.values()
    assert {entry.method: rank for entry, rank in ranks.items()} == {"rigl": (1, 1), "set": (2, 2)}
    table = summary_table(boards)
    rigl, other = (row.cells[0] for row in table.rows)
    assert (rigl.mean, rigl.top, rigl.best) == ("52.7", "lowest", True)
    assert (other.mean, other.top, other.best) == ("62.5", "", False)
    scores = pooled_scores(boards).means()
    assert scores["RigL"]["diabetes/mlp"] > scores["SET"]["diabetes/mlp"]
    assert "(in the target's unit); lower is better. Mean" in board_markdown(board)
    paper = paper_table(board, board_claims(boards))
    assert "unit), lower is better, on diabetes/mlp: mean" in paper.latex
    assert "accuracy" not in paper.latex + paper.markdown


def test_a_comparison_has_the_difference_of_the_values_and_the_better_one_as_verdict(by_rmse):
    boards, _ = build_boards([*real("set", WORSE), *real("rigl", BETTER)])
    found = compare_entries(boards, "set", "rigl")
    (line,) = found.lines
    assert line.metric == "test_rmse"
    assert line.comparison.difference is not None
    assert line.comparison.difference.mean == pytest.approx(9.8, abs=0.2)  # SET's error is higher
    assert line.comparison.effect is not None
    assert line.comparison.effect > 0
    assert line.verdict == "RigL is better than SET"


def test_tasks_that_rank_by_different_metrics_have_no_common_difference():
    others = [
        done(make_trial(method, seed=seed), 0.9 + 0.001 * seed)
        for method in ("set", "rigl")
        for seed in range(6)
    ]
    boards, _ = build_boards([*real("set", WORSE), *real("rigl", BETTER), *others])
    found = compare_entries(boards, "set", "rigl")
    assert found.overall is None
    assert "they rank by test R² and test accuracy" in found.verdict
    data = page_data(boards)
    assert data["score"] == "score"
    assert [task["score"] for task in data["tasks"]] == ["test_r2", "test_accuracy"]
    kept = data["trials"]["values"]["score"]
    assert kept == [
        r2 if accuracy is None else accuracy
        for r2, accuracy in zip(
            data["trials"]["values"]["test_r2"],
            data["trials"]["values"]["test_accuracy"],
            strict=True,
        )
    ]
    page = index_page(boards, [])
    assert "What each task ranks by, as named beside it" in page
    assert "<small>test R²</small>" in page
    assert "<small>test accuracy in %</small>" in page


def test_a_page_of_one_metric_ranks_by_its_column():
    boards, _ = build_boards(real("set", WORSE))
    assert page_data(boards)["score"] == "test_r2"
    assert "Test R²; higher is better" in index_page(boards, [])


def test_a_record_without_the_metric_that_its_task_ranks_by_is_left_out(monkeypatch):
    old = done(make_trial("set"))
    monkeypatch.setitem(registry.tasks()["digits/mlp"].__dict__, "metric", "macro_f1")
    boards, (left,) = build_boards([old])
    assert boards[0].metric.name == "test_macro_f1"
    assert "no test_macro_f1, which the task ranks by" in left.reason


def test_a_task_that_is_not_installed_ranks_as_its_records_say():
    record = real("set", WORSE)[0]
    text = record.to_json().decode().replace("diabetes/mlp", "theirs/net")
    theirs = Record.model_validate(json.loads(text))
    (board,), _ = build_boards([theirs])
    assert board.metric is R2


def test_charts_of_accuracy_leave_other_metrics_to_a_chart_of_their_own():
    import vl_convert

    metrics = ("test_accuracy", "test_r2", "test_rmse", "test_balanced_accuracy")
    boards = random_boards(1, tasks=TASKS[:4], sparsities=(0.9, 0.98), metrics=metrics)
    charts = board_charts(boards)
    assert {row["task"] for row in charts["accuracy"]["datasets"]["rows"]} == {TASKS[0]}
    rows = charts["score"]["datasets"]["rows"]
    assert {row["task"] for row in rows} == set(TASKS[1:4])
    assert {row["metric"] for row in rows} == {
        "test R²; higher is better",
        "test RMSE (in the target's unit); lower is better",
        "test balanced accuracy in %; higher is better",
    }
    picture = vl_convert.vegalite_to_svg(charts["score"])
    assert "NaN" not in picture
    assert "lower is better" in picture


def test_a_difference_has_as_many_decimals_as_its_interval_supports():
    def said(mean, low=None, high=None, column=ACCURACY):
        return number_and_ends(column, Interval(mean, low, high, 5))

    assert said(0.12, 0.102, 0.141) == ("+12.0", "[10.2, 14.1]")
    assert said(-0.2361, -0.276, -0.2) == ("−23.6", "[−27.6, −20.0]")
    assert said(0.0145, 0.0119, 0.0172) == ("+1.45", "[1.19, 1.72]")
    assert said(0.0005, -0.0005, 0.0015) == ("+0.05", "[−0.05, 0.15]")
    assert said(-0.00001, -0.001, 0.001) == ("0.00", "[−0.10, 0.10]")  # no sign at zero
    assert said(-0.0932) == ("−9.32", "")
    assert said(-12.345, -13.0, -11.0, RMSE) == ("−12.3", "[−13, −11]")
    assert difference_text(ACCURACY, Interval(0.12, 0.102, 0.141, 5)) == (
        "+12.0 points [10.2, 14.1]"
    )
    assert difference_text(RMSE, Interval(2.0, None, None, 5)) == "+2"


def test_halves_are_rounded_up_and_long_numbers_are_written_as_a_browser_does():
    assert [fixed(0.125, 2), fixed(2.5, 0)] == ["0.13", "3"]
    assert [plain(x) for x in (1750.0, 123_456.0, 5e-5, 9.36e-7)] == [
        "1750", "123000", "0.00005", "9.36e-7"
    ]  # fmt: skip
