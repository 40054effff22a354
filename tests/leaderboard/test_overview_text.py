"""The finding in words, and the cells of the overview."""

from dataclasses import replace

import pytest

from leaderboard.board_columns import NAMED_COLUMNS
from leaderboard.boards import Board, build_boards
from leaderboard.overview import overview
from leaderboard.overview_finding import cost_text, names, note, tenths
from leaderboard.overview_text import limit_text, name_parts, overview_table
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
    assert "over the 2 tasks shown at 98 % sparsity, 5 seeds each." in found["Who leads"]
    assert found["Who leads"].endswith("Not told apart from it over these tasks: GraNet.")
    assert found["Against SET"] == (
        "RigL differs from SET by +2.00 points on the one task that both have; it is shown to be "
        "better in its one cell."
    )
    assert found["Cost"] == (
        "At 98 % sparsity, averaged over the cells that ran, RigL takes 0.22 × the FLOPs of dense "
        "training, SET 0.22 ×."
    )
    assert found["Resonance"].startswith("Mean rank 3.0 of 3")
    assert found["Not ranked"] == (
        "SET (failed on some of the compared tasks). SNIP (3 seeds on some of the compared tasks). "
        "Static random (not run on some of the compared tasks)."
    )


def test_the_reference_that_leads_is_not_compared_with_itself(boards):
    found = finding(boards, [0.9])
    assert "Against RigL" not in found
    assert found["Cost"].endswith("RigL takes 0.30 × the FLOPs of dense training.")
    assert "It differs from RigL by −4.00 points" in found["Resonance"]


def test_all_sparsities_are_named(boards):
    found = finding(boards, [0.8, 0.9, 0.98])["Who leads"]
    assert "over the 2 tasks shown at 80, 90 and 98 % sparsity, 5 seeds each" in found


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
    assert first.words.startswith("80 %: +2.00 points [")
    assert "; 90 %: +2.00 points [" in first.words
    assert first.words.endswith(": better")
    assert (first.number, first.ends) == ("", "")  # two would not fit
    assert line.over_tasks.number == "+2.00"
    assert line.over_tasks.words.endswith("better, 2 tasks")
    assert [head.parts for head in table.heads] == [
        ("digits/", "mlp"), ("fashion_mnist/", "lenet_300_100")
    ]  # fmt: skip


def test_what_cannot_be_told_is_not_called_alike():
    found = finding([board("t", {"set": 0.9, "rigl": 0.5, "snip": 0.4})])
    assert found["Who leads"].endswith(
        "With so few seeds the sign-flip test cannot show any difference from it; the t-tests in "
        "single cells may."
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
    assert found["Not ranked"] == "SET (not run on the compared task)."
    assert finding(boards[:1])["No ranking"] == (
        "Only SET has finished trials at 90 % sparsity: there is no method to compare it with."
    )
    assert "Not ranked" not in finding(boards[:1])


def test_a_leader_without_a_common_seed_is_not_compared():
    boards = [board("t", {"set": 0.9, "snip": 0.8}), board("u", {"set": 0.9, "snip": 0.8})]
    boards += [board("v", {"rigl": 0.9, "granet": 0.8})]
    found = finding(boards)
    assert found["Against RigL"] == "SET and RigL have no seed in common on a task."


def test_figures_as_text():
    assert [tenths(x) for x in (10.25, 2.75, 0.05, 1.0)] == ["10.3", "2.8", "0.1", "1.0"]
    assert [limit_text(ACCURACY, x) for x in (0.02, 0.005, 2.0)] == ["2", "0.5", "200"]
    assert [cost_text(x) for x in (0.0261, 0.125, None)] == ["0.026 ×", "0.13 ×", ""]
    assert name_parts("a/b/c") == ("a/", "b/c")
    assert name_parts("a") == ("a",)
    assert names(list("abcdefgh")) == "a; b; c; d; e and 3 more"
    assert names(["RigL, mean", "b"]) == "RigL, mean; b"


def test_a_single_sparsity_has_its_numbers_in_the_cell(boards):
    table = overview_table(overview(boards, [0.9], "set"), EQUAL_STEPS)
    line = next(one for one in table.lines if one.row.entry.label == "RigL")
    assert line.cells[0].number == "+2.00"
    assert line.cells[0].ends.startswith("[1.")
    assert "points only" not in table.note
    both = overview_table(overview(boards, [0.8, 0.9], "set"), EQUAL_STEPS)
    assert "In a task's column are points only, one for each sparsity" in both.note


# ---------------------------------------------------------------- few tasks, methods, seeds


def test_two_methods_on_one_task_are_described_without_means_and_corrections():
    boards = [board("t", {"set": 0.9, "rigl": 0.8})]
    found = finding(boards)
    assert found["Who leads"] == (
        "SET: rank 1 among 2 methods on the one task shown at 90 % sparsity, 5 seeds each. With so "
        "few seeds the sign-flip test cannot show any difference from it; the t-tests in single "
        "cells may."
    )
    assert found["Against RigL"].endswith(
        " on the one task that both have; it is shown to be better in its one cell."
    )
    assert found["Cost"] == (
        "At 90 % sparsity SET takes 0.50 × the FLOPs of dense training, RigL 0.50 ×."
    )
    said = note(overview(boards))
    assert "Paired t-test at 5 % of the only comparison with RigL in a cell. Fewer" in said
    assert "Holm" not in said
    assert "Holm-corrected over the 2 comparisons with RigL" in note(
        overview([board("t", {"set": 0.9, "rigl": 0.8, "snip": 0.7})])
    )


def test_a_cell_without_a_shown_difference_is_not_counted_as_zero_of_one():
    found = finding([board("t", {"set": 0.9001, "rigl": 0.9}), board("u", {"set": 0.9})])
    assert found["Against RigL"].endswith("it is not shown to differ in its one cell.")


def test_on_fewer_tasks_than_are_shown_the_finding_says_on_how_many():
    both, one = {"set": 0.9, "rigl": 0.8, "snip": 0.7}, {"set": 0.9}
    found = finding([board("t", both), board("u", both), board("v", one)])
    assert "over 2 of the 3 tasks shown at 90 % sparsity" in found["Who leads"]
    assert "on 1 of the 2 tasks shown" in finding([board("t", both), board("v", one)])["Who leads"]


def test_one_method_and_one_seed_make_no_ranking():
    alone = finding([board("t", {"rigl": 0.9})])
    assert alone == {
        "No ranking": "Only RigL has finished trials at 90 % sparsity: there is no method to "
        "compare it with."
    }
    once = finding([board("t", {"rigl": 0.9, "set": 0.8}, seeds=1)])
    assert once["No ranking"].endswith("at 90 % sparsity: what is shown below supports no claim.")
    assert note(overview([board("t", {"rigl": 0.9, "set": 0.8}, seeds=1)])) == (
        "Differences are from RigL on the same seeds, + being better. ± is where the scale of a "
        "column's points ends. Fewer than 5 common seeds: no claim."
    )
    assert "with 95 % intervals. " in note(
        overview([board("t", {"rigl": 0.9, "set": 0.8}, seeds=3)])
    )
    assert note(overview([board("t", {"rigl": 0.9}, seeds=3)])) == ""


def test_without_a_dense_run_the_page_says_what_is_missing_and_leaves_its_columns_out():
    both = {"set": 0.9, "rigl": 0.8}
    without = overview([board("t", both, dense=False)])
    table = overview_table(without, EQUAL_STEPS)
    assert (table.columns.shares, table.columns.costs) == (False, False)
    found = {part.heading: part.text for part in table.finding}
    assert found["No dense run"] == (
        "Shares of dense, and costs as multiples of dense training, need a dense run of the same "
        "recipe, and there is none: run the method dense too."
    )
    some = finding([board("t", both, dense=False), board("u", both)])
    assert "there is none on t: run the method dense too." in some["No dense run"]
    assert "No dense run" not in finding([board("u", both)])
    budget = finding([board("t", both, dense=False)], terms=Terms(0.3))
    assert budget["No dense run"].startswith("Shares of dense need a dense run")


def test_one_task_at_one_sparsity_shows_scores_and_leaves_empty_columns_out():
    both = {"set": 0.9, "rigl": 0.8}
    few = overview_table(overview([board("t", both, seeds=3)]), EQUAL_STEPS)
    shown = few.columns
    assert shown.score == "Test accuracy in %"
    assert (shown.ranks, shown.over_tasks, shown.counts, shown.shares) == (False,) * 4
    assert shown.number == 1 + shown.costs
    (rigl,) = [line for line in few.lines if line.row.entry.label == "RigL"]
    assert float(rigl.score) == pytest.approx(80, abs=1)
    assert float(rigl.score_half) > 0
    ranked = overview_table(overview([board("t", both)]), EQUAL_STEPS).columns
    assert (ranked.ranks, ranked.over_tasks, ranked.counts) == (True, False, True)


def test_several_tasks_have_no_common_column_of_scores():
    both = {"set": 0.9, "rigl": 0.8}
    table = overview_table(overview([board("t", both), board("u", both)]), EQUAL_STEPS)
    assert (table.columns.score, table.columns.over_tasks) == ("", True)
    assert {(line.score, line.score_half) for line in table.lines} == {("", "")}
