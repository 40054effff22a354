"""One row a method over the tasks shown: who is ranked, over what, and against whom."""

from dataclasses import replace

import pytest

from leaderboard.board_claims import family_cells
from leaderboard.boards import Board, Cell, Entry, Run, build_boards
from leaderboard.overview import Overview, complete_block, default_sparsities, overview
from leaderboard.statistics.aggregates import interquartile_mean, mean_ranks_over_tasks
from leaderboard.statistics.families import against_reference
from leaderboard.statistics.paired_comparisons import Verdict
from leaderboard.terms import Terms
from suite.core.errors import InvalidInput
from tests.leaderboard.random_boards import random_boards
from tests.leaderboard.sample_boards import TASKS, planted


@pytest.fixture(scope="module")
def boards() -> list[Board]:
    return build_boards(planted())[0]


def labels(view: Overview) -> list[str]:
    return [row.entry.label for row in view.rows]


def row_of(view: Overview, label: str):
    return next(row for row in view.rows if row.entry.label == label)


def test_dense_is_first_then_ranked_methods_then_those_that_lack_a_task(boards):
    view = overview(boards, [0.98])
    assert labels(view)[:4] == ["Dense", "RigL", "GraNet", "Resonance"]
    assert [row.entry.label for row in view.ranked] == ["RigL", "GraNet", "Resonance"]
    assert set(labels(view)[4:]) == {"SET", "SNIP", "Static random"}
    assert view.compared == TASKS
    assert row_of(view, "SET").lacking == {TASKS[0]: "failed"}
    assert row_of(view, "SNIP").lacking == {TASKS[0]: "3 seeds"}
    assert row_of(view, "Static random").lacking == {TASKS[0]: "not run"}
    assert (view.fewest, view.most) == (5, 5)


def test_with_every_cell_run_all_methods_are_ranked_by_the_same_function(boards):
    view = overview(boards, [0.9])
    scores = {
        row.entry.label: {
            board.title: cells[board.sparsities.index(0.9)].scores
            for board in boards
            for entry, cells in board.rows
            if entry == row.entry
        }
        for row in view.ranked
    }
    assert {row.entry.label: row.rank for row in view.ranked} == mean_ranks_over_tasks(scores)
    dense = {board.title: board.dense["test_accuracy"] for board in boards}
    rigl = {task: [x / dense[task] for x in by] for task, by in scores["RigL"].items()}
    assert row_of(view, "RigL").share == interquartile_mean(rigl)
    assert [row.rank.mean for row in view.ranked] == [1, 2, 3, 4, 5, 6]


def test_wins_and_losses_are_those_of_the_family_of_what_is_shown(boards):
    view = overview(boards, [0.9], "set")
    cells = [c for board in boards for c in family_cells(board) if c.sparsity == 0.9]
    family = against_reference(cells, "SET")
    assert view.comparisons == family.tested == 10
    for row in view.rows:
        verdicts = [claim.verdict for claim in family.claims if claim.method == row.entry.label]
        assert row.wins == verdicts.count(Verdict.BETTER)
        assert row.losses == verdicts.count(Verdict.WORSE)
        assert row.wins + row.ties + row.losses == len(verdicts)
    assert (row_of(view, "RigL").wins, row_of(view, "Static random").losses) == (2, 2)
    assert row_of(view, "RigL").against.comparison.difference.mean == pytest.approx(0.02)
    assert row_of(view, "SET").against is None


def test_a_method_that_is_nowhere_is_no_reference(boards):
    view = overview(boards, [0.9], "lottery_ticket")
    assert (view.reference, view.comparisons) == ("", 0)
    assert all(not row.claims and row.against is None for row in view.rows)
    assert len(view.ranked) == 6


def test_who_is_shown_to_be_worse_than_the_leader_is_told_apart(boards):
    view = overview(boards, [0.9])
    assert view.ranked[0].entry.label == "RigL"
    assert view.against_leader == {
        "GraNet": Verdict.NO_DIFFERENCE,
        **dict.fromkeys(("SET", "SNIP", "Static random", "Resonance"), Verdict.WORSE),
    }


def board(task: str, levels: dict[str, float], seeds: int = 5, *, dense: bool = True) -> Board:
    """Return a board at one sparsity: each method's scores around its level."""
    noise = (0.001, -0.002, 0.0, 0.002, -0.001)
    rows: list[tuple[Entry, list[Cell | None]]] = []
    for place, (method, level) in enumerate(levels.items()):
        values = [level + noise[(seed + place) % 5] for seed in range(seeds)]
        rows.append((Entry(method, ""), [Cell([
            Run(f"{task}{method}{seed}", seed, {"test_accuracy": x, "training_flops": 10.0})
            for seed, x in enumerate(values)
        ])]))  # fmt: skip
    return Board(task, "", [0.9], rows, {"test_accuracy": 0.97, "training_flops": 20.0}
                 if dense else {})  # fmt: skip


def test_a_method_that_is_better_over_tasks_than_the_first_by_rank_is_named_so():
    """SET is a little better on three tasks, and far worse on two."""
    near, far = {"set": 0.902, "rigl": 0.9}, {"set": 0.5, "rigl": 0.9}
    view = overview([*(board(f"t{i}", near) for i in range(3)), *(board(f"u{i}", far)
                    for i in range(2))])  # fmt: skip
    assert view.ranked[0].entry.method == "set"
    assert view.against_leader == {"RigL": Verdict.BETTER}


def test_seeds_that_cannot_show_a_difference_decide_nothing_over_tasks():
    view = overview([board("t", {"set": 0.9, "rigl": 0.5, "snip": 0.4})])
    assert set(view.against_leader.values()) == {Verdict.UNDECIDED}
    # Ten pairs can show a difference of two methods, but not after a correction over 29.
    many = {f"m{i}": 0.5 + i / 100 for i in range(30)}
    view = overview([board("t", many), board("u", many)])
    assert set(view.against_leader.values()) == {Verdict.UNDECIDED}


def test_a_method_that_ran_is_not_called_not_run_where_dense_is_missing():
    view = overview([board("t", {"set": 0.9, "rigl": 0.8}, dense=False), board("u", {"rigl": 0.8})])
    assert row_of(view, "SET").ran
    assert row_of(view, "SET").cost is None


def test_the_score_over_sparsities_is_of_the_seeds_that_all_have(boards):
    view = overview(boards, [0.8, 0.98])
    assert view.sparsities == (0.8, 0.98)
    assert row_of(view, "SNIP").lacking == {TASKS[0]: "3 seeds"}
    first = replace(boards[0], sparsities=[0.8], rows=[(e, c[:1]) for e, c in boards[0].rows])
    mixed = overview([first, boards[1]], [0.8, 0.98])
    assert len(mixed.ranked) == 6  # of each task those of the sparsities that it has


def test_cost_is_the_mean_over_the_cells_that_were_run(boards):
    assert row_of(overview(boards, [0.8]), "RigL").cost == pytest.approx(0.4)
    assert row_of(overview(boards, [0.8, 0.9]), "RigL").cost == pytest.approx(0.35)
    assert row_of(overview(boards, [0.98]), "SET").cost == pytest.approx(0.22)
    assert row_of(overview(boards), "Dense").cost == pytest.approx(1.0)


def test_tasks_that_are_ranked_by_different_metrics_have_no_common_difference():
    view = overview(random_boards(1, metrics=["test_accuracy", "test_rmse"]))
    assert view.metric is None
    assert all(row.against is None and row.share is None for row in view.rows)
    assert view.ranked


def test_less_is_better_where_the_metric_says_so():
    view = overview(random_boards(3, metrics=["test_rmse"]), [0.9])
    first, last = view.ranked[0], view.ranked[-1]
    for board in view.boards:
        place = board.sparsities.index(0.9)
        means = {e.label: c[place].interval.mean for e, c in board.rows if not e.dense}
        assert means[first.entry.label] < means[last.entry.label]


def test_without_five_seeds_nobody_is_ranked():
    view = overview(build_boards(planted(4))[0])
    assert (view.ranked, view.compared, view.comparisons) == ([], (), 0)
    assert all(row.wins == row.losses == 0 for row in view.rows)
    assert row_of(view, "GraNet").claims  # the differences are shown all the same


def test_no_board_is_an_empty_overview():
    view = overview([])
    assert (view.rows, view.boards, view.sparsities) == ((), (), ())


def test_boards_on_different_terms_are_refused(boards):
    other = replace(boards[0], terms=Terms(0.3))
    with pytest.raises(InvalidInput):
        overview([boards[0], other])


@pytest.mark.parametrize(
    ("scores", "block"),
    [
        ({}, ((), ())),
        ({"a": {"t": 1}}, ((), ())),
        ({"a": {"t": 1}, "b": {"t": 1}}, (("a", "b"), ("t",))),
        # Three methods on two tasks are more than four on one.
        (
            {"a": {"t": 1, "u": 1}, "b": {"t": 1, "u": 1}, "c": {"t": 1, "u": 1}, "d": {"t": 1}},
            (("a", "b", "c"), ("t", "u")),
        ),
        # As many scores: more tasks win.
        (
            {"a": {"t": 1, "u": 1}, "b": {"t": 1, "u": 1}, "c": {"t": 1}, "d": {"t": 1}},
            (("a", "b"), ("t", "u")),
        ),
        # The tasks that two have in common, though no method has these alone.
        (
            {
                "a": {"t": 1, "u": 1, "v": 1},
                "b": {"t": 1, "u": 1, "w": 1},
                "c": {"t": 1, "u": 1, "x": 1},
            },
            (("a", "b", "c"), ("t", "u")),
        ),
        ({"a": {"t": 1}, "b": {"u": 1}}, ((), ())),
    ],
)
def test_the_block_has_every_score_and_is_the_largest(scores, block):
    assert complete_block(scores) == block


def test_what_is_shown_first_is_the_highest_sparsity_that_most_were_run_at():
    def board(*numbers: int) -> Board:
        sparsities = [0.8, 0.9, 0.98]
        rows = [
            (Entry(f"m{i}", ""), [Cell([Run("k", 0, {})]) if i < n else None for n in numbers])
            for i in range(max(numbers))
        ]
        return Board("t", "", sparsities, rows, {})

    assert default_sparsities([board(4, 4, 4)]) == [0.98]
    assert default_sparsities([board(4, 4, 2)]) == [0.98]
    assert default_sparsities([board(4, 4, 1)]) == [0.9]
    assert default_sparsities([]) == []
