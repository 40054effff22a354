"""The finding in words, and the cells of the overview."""

from dataclasses import replace

import pytest

from leaderboard.board_columns import NAMED_COLUMNS
from leaderboard.boards import Board, build_boards
from leaderboard.overview import overview
from leaderboard.overview_text import (
    cost_text,
    gap_text,
    limit_text,
    name_parts,
    names,
    overview_table,
    plain,
    signed_text,
    tenths,
)
from leaderboard.terms import EQUAL_STEPS, Terms
from tests.leaderboard.random_boards import random_boards
from tests.leaderboard.sample_boards import planted
from tests.leaderboard.test_overview import board

ACCURACY, RMSE = NAMED_COLUMNS["test_accuracy"], NAMED_COLUMNS["test_rmse"]


@pytest.fixture(scope="module")
def boards() -> list[Board]:
    return build_boards(planted())[0]


def finding(boards, *given, terms=EQUAL_STEPS) -> dict[str, str]:
    table = overview_table(overview(boards, *given), terms)
    return {part.heading: part.text for part in table.finding}


def test_the_finding_answers_who_leads_against_whom_at_what_cost_and_what_is_missing(boards):
    found = finding(boards, [0.98], "set")
    assert list(found) == ["Who leads", "Against SET", "Cost", "Resonance", "Not ranked"]
    assert found["Who leads"].startswith("RigL: mean rank 1.0 among 3 methods")
    assert "over 2 tasks at 98 % sparsity, 5 seeds each." in found["Who leads"]
    assert found["Who leads"].endswith("Not told apart from it over these tasks: GraNet.")
    assert found["Against SET"] == (
        "RigL differs by +2.0 points from SET on the one task that both have; it is shown to be "
        "better in 1 and worse in 0 of 1 cell."
    )
    assert found["Cost"] == "RigL takes 0.22 × the FLOPs of dense training, SET 0.22 ×."
    assert found["Resonance"].startswith("Mean rank 3.0 of 3")
    assert found["Not ranked"] == (
        "SET (failed on some of the compared tasks). SNIP (3 seeds on some of the compared tasks). "
        "Static random (not run on some of the compared tasks)."
    )


def test_the_reference_that_leads_is_not_compared_with_itself(boards):
    found = finding(boards, [0.9])
    assert "Against RigL" not in found
    assert found["Cost"] == "RigL takes 0.30 × the FLOPs of dense training."
    assert "It differs by −4.0 points" in found["Resonance"]


def test_all_sparsities_are_named(boards):
    found = finding(boards, [0.8, 0.9, 0.98])["Who leads"]
    assert "over 2 tasks and the sparsities 80, 90 and 98 %, 5 seeds each" in found


def test_without_five_seeds_there_is_no_claim():
    found = finding(build_boards(planted(4))[0])
    assert found["No ranking"] == (
        "No two methods have 5 seeds each on a common task at 98 % sparsity: what is shown below "
        "supports no claim."
    )


def test_at_equal_flops_the_cost_is_the_budget(boards):
    found = finding(boards, [0.9], terms=Terms(0.3))
    assert found["Cost"] == "Every method may use 0.3 × the FLOPs of dense training."
    assert "It takes" not in found["Resonance"]


def test_who_has_no_current_result_is_named_with_the_reason(boards):
    old = [
        replace(board, rows=[
            (entry, [cell and replace(cell, runs=[], outdated=["older"]) for cell in cells])
            if entry.method == "snip" else (entry, cells)
            for entry, cells in board.rows
        ])
        for board in boards
    ]  # fmt: skip
    assert "SNIP (out of date)" in finding(old, [0.9])["Not ranked"]
    table = overview_table(overview(old, [0.9]), EQUAL_STEPS)
    assert [line.reason for line in table.lines if line.row.entry.method == "snip"] == [
        "out of date"
    ]


def test_where_tasks_rank_by_different_metrics_no_common_difference_is_stated():
    boards = random_boards(1, metrics=["test_accuracy", "test_rmse"])
    table = overview_table(overview(boards), EQUAL_STEPS)
    assert table.limit == ""
    assert all(line.over_tasks is None for line in table.lines)
    found = {part.heading: part.text for part in table.finding}
    against = [text for heading, text in found.items() if heading.startswith("Against")]
    assert all("points (" not in text and " from " not in text for text in against)


def test_a_plot_says_in_words_what_it_draws(boards):
    table = overview_table(overview(boards, [0.8, 0.9], "set"), EQUAL_STEPS)
    line = next(one for one in table.lines if one.row.entry.label == "RigL")
    first = line.cells[0]
    assert len(first.marks) == 2
    assert first.words.startswith("80 %: +2.0 points (")
    assert "; 90 %: +2.0 points (" in first.words
    assert first.words.endswith(": better")
    assert line.over_tasks.number == "+2.0"
    assert line.over_tasks.words.endswith("better, 2 tasks")
    assert [head.parts for head in table.heads] == [
        ("digits/", "mlp"), ("fashion_mnist/", "lenet_300_100")
    ]  # fmt: skip


def test_what_cannot_be_told_is_not_called_alike():
    found = finding([board("t", {"set": 0.9, "rigl": 0.5, "snip": 0.4})])
    assert found["Who leads"].endswith(
        "So few seeds cannot tell the others from it over these tasks; single cells may."
    )
    assert "cheapest" not in found["Cost"]


def test_who_is_better_than_the_first_by_rank_is_named():
    near, far = {"set": 0.902, "rigl": 0.9}, {"set": 0.5, "rigl": 0.9}
    found = finding([board(f"t{i}", near if i < 3 else far) for i in range(5)])
    assert found["Who leads"].endswith("Shown to be better than it over these tasks: RigL.")


def test_equal_ranks_are_a_tie():
    found = finding([board("t", {"set": 0.9, "rigl": 0.8}), board("u", {"set": 0.8, "rigl": 0.9})])
    assert found["Who leads"].startswith("SET (tied with RigL): mean rank 1.5 among 2 methods")


def test_without_a_dense_network_a_method_that_ran_has_its_row():
    boards = [board("t", {"set": 0.9}, dense=False), board("u", {"rigl": 0.8, "snip": 0.7})]
    table = overview_table(overview(boards), EQUAL_STEPS)
    said = {line.row.entry.method: line.reason for line in table.lines}
    assert said["set"] == "u: not run"
    found = {part.heading: part.text for part in table.finding}
    assert found["Not ranked"] == "SET (not run on some of the compared tasks)."
    assert finding(boards[:1])["No ranking"].startswith("No two methods have 5 seeds each")
    assert "Not ranked" not in finding(boards[:1])


def test_a_leader_without_a_common_seed_is_not_compared():
    boards = [board("t", {"set": 0.9, "snip": 0.8}), board("u", {"set": 0.9, "snip": 0.8})]
    boards += [board("v", {"rigl": 0.9, "granet": 0.8})]
    found = finding(boards)
    assert found["Against RigL"] == "SET and RigL have no seed in common on a task."


def test_figures_as_text():
    assert [tenths(x) for x in (10.25, 2.75, 0.05, 1.0)] == ["10.3", "2.8", "0.1", "1.0"]
    assert [gap_text(ACCURACY, x) for x in (0.1234, 0.0005, 0.0, 1.2)] == [
        "12.3", "0.05", "0.0", "120"
    ]  # fmt: skip
    assert gap_text(RMSE, 12.345) == "12.3"
    assert signed_text(ACCURACY, -0.002) == "−0.2"
    assert [limit_text(ACCURACY, x) for x in (0.02, 0.005, 2.0)] == ["2", "0.5", "200"]
    assert [cost_text(x) for x in (0.0261, 0.125, None)] == ["0.026 ×", "0.13 ×", ""]
    assert [plain(x) for x in (1750.0, 123_456.0, 5e-5, 9.36e-7)] == [
        "1750", "123000", "0.00005", "9.36e-7"
    ]  # fmt: skip
    assert name_parts("a/b/c") == ("a/", "b/c")
    assert name_parts("a") == ("a",)
    assert names(list("abcdefgh")) == "a; b; c; d; e and 3 more"
    assert names(["RigL, mean", "b"]) == "RigL, mean; b"
