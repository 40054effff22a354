"""The rows that the charts of a leaderboard show: one function per chart, from boards.

`assets/chart_rows.js` mirrors this file function by function: change both together.
Values are therefore rounded as in the page, and labels and tasks are sorted by code point, since
bootstrap draws depend on their order.

The dense network takes no sparsity: it is a reference in charts of accuracy and cost, and competes
(for ratings, ranks and win rates) only if a selection names it. Controls take a sparsity and
compete.

Charts of accuracy show the tasks that rank by it, `score` shows the others. Charts of fractions of
the dense network's score need a metric that is itself a fraction (`Column.fraction`). Ratings,
ranks and win rates only need to know which of two scores is better, and count all tasks.
"""

import math
import statistics
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from leaderboard.board_columns import NAMED_COLUMNS, SCORE, Column
from leaderboard.boards import Board, Cell, Entry, PlacedCell
from leaderboard.method_controls import controlled
from leaderboard.page_data import rounded
from leaderboard.pooled_scores import pooled_scores
from leaderboard.score_text import caption, default_rope
from leaderboard.statistics.aggregates import (
    average_ranks,
    interquartile_mean,
    pareto_front,
    performance_profile,
    ratings,
    win_rates,
)
from leaderboard.statistics.families import FamilyCell, against_reference
from leaderboard.statistics.intervals import Interval, mean_interval

Row = dict[str, Any]
RunsByEntry = dict[str, dict[str, list[float]]]
"""Entry's label → task's title → scores of its runs."""

ANYTHING = (-math.inf, math.inf)
THRESHOLDS = 60
"""Steps of a performance profile."""
ROBUST = {
    "test_accuracy_corrupted": "corrupted images",
    "test_accuracy_fgsm_8_255": "FGSM, ε = 8/255",
}
METHOD, CONTROL = "method", "control"
"""The two of a comparison of `controls`."""
CALIBRATION = {"test_ece": "ECE", "test_nll": "NLL (nats)"}


@dataclass(frozen=True)
class ChartSelection:
    """What to compare: labels of entries, titles of tasks, sparsities; None stands for all."""

    entries: Collection[str] | None = None
    tasks: Collection[str] | None = None
    sparsities: Collection[float] | None = None

    def competes(self, entry: Entry) -> bool:
        """Return whether an entry competes; the dense network does only if named."""
        return not entry.dense if self.entries is None else entry.label in self.entries

    def shows(self, place: PlacedCell) -> bool:
        """Return whether a chart shows a cell; that of a dense network always, as a reference."""
        if place.sparsity is None:
            return True
        wanted = self.sparsities is None or place.sparsity in self.sparsities
        return wanted and self.competes(place.entry)

    def boards(self, boards: Sequence[Board]) -> list[Board]:
        """Return the boards of the chosen tasks."""
        return [board for board in boards if self.tasks is None or board.title in self.tasks]

    def by_accuracy(self, boards: Sequence[Board], *, ranked: bool = True) -> list[Board]:
        """Return the boards of the chosen tasks that are (not) ranked by accuracy."""
        return [b for b in self.boards(boards) if (b.metric.name == SCORE) == ranked]


ALL = ChartSelection()


def accuracy(boards: Sequence[Board], selection: ChartSelection = ALL) -> list[Row]:
    """Return task, entry, family, sparsity, n, accuracy, low, high; dense without a sparsity.

    A task without an entry that has a sparsity has no rows.
    """
    return _against_sparsity(selection.by_accuracy(boards), selection, "accuracy")


def score(boards: Sequence[Board], selection: ChartSelection = ALL) -> list[Row]:
    """Return task, metric, entry, family, sparsity, n, value, low, high, of the other metrics.

    `metric` says in words what the task ranks by. Fractions are in per cent.
    """
    named = {board.title: caption(board.metric) for board in boards}
    rows = _against_sparsity(selection.by_accuracy(boards, ranked=False), selection, "value")
    return [{"metric": named[row["task"]], **row} for row in rows]


def _against_sparsity(boards: Sequence[Board], selection: ChartSelection, name: str) -> list[Row]:
    rows = []
    for board in boards:
        here = [
            _place(board, entry)
            | {"sparsity": sparsity, "n": len(cell.runs)}
            | _spread(name, _interval(cell, name), _ends(board.metric, name))
            for entry, sparsity, cell in _cells(board, selection)
        ]
        if any(row["sparsity"] is not None for row in here):
            rows += here
    return rows


def cost(boards: Sequence[Board], selection: ChartSelection = ALL) -> list[Row]:
    """Return task, entry, family, sparsity, training FLOPs (× dense), accuracy, n, front.

    `front` marks the Pareto front of a task: no other training, dense included, is cheaper and as
    good. Tasks without a dense network are left out: there is no cost to compare with. So are those
    at equal training FLOPs, where all cost the same.
    """
    rows = []
    for board in selection.by_accuracy(boards):
        if board.terms.flops_budget:
            continue
        dense = board.dense.get("training_flops")
        points: list[Row] = []
        for entry, sparsity, cell in _cells(board, selection):
            flops = _mean(cell, "training_flops")
            if dense is not None and flops is not None:
                points.append(
                    _place(board, entry)
                    | {"sparsity": sparsity, "cost": flops / dense}
                    | {"accuracy": statistics.fmean(cell.scores), "n": len(cell.runs)}
                )
        front = set(pareto_front([r["cost"] for r in points], [r["accuracy"] for r in points]))
        rows += [row | {"front": place in front} for place, row in enumerate(points)]
    return rows


def rating(boards: Sequence[Board], selection: ChartSelection = ALL) -> list[Row]:
    """Return entry, family, rating, low, high, tasks; best first."""
    runs = _runs(boards, selection)
    if len(runs) < 2:
        return []
    families = _families(boards)
    rated = ratings(runs)
    rows = []
    for label in _best_first({label: interval.mean for label, interval in rated.items()}):
        interval = rated[label]
        row = {"entry": label, "family": families[label]} | _spread("rating", interval)
        rows.append(row | {"tasks": interval.n})
    return rows


def win_rate(boards: Sequence[Board], selection: ChartSelection = ALL) -> list[Row]:
    """Return row, column, probability, low, high: how likely the row is better on a random task.

    Sorted by mean probability, best first; None on the diagonal and where two share no task.
    """
    runs = _runs(boards, selection)
    if len(runs) < 2:
        return []
    rates = win_rates(runs)
    wins = {a: [rate.mean for rate in by.values()] for a, by in rates.items()}
    order = _best_first({a: statistics.fmean(means) if means else 0 for a, means in wins.items()})
    nothing = {"probability": None, "low": None, "high": None}
    return [
        {"row": one, "column": other}
        | (_spread("probability", rates[one][other]) if other in rates[one] else nothing)
        for one in order
        for other in order
    ]


def ranks(boards: Sequence[Board], selection: ChartSelection = ALL) -> list[Row]:
    """Return the rows of a critical-difference diagram, of three kinds.

    method: entry, family, rank, the side of its label, its level counted from the axis; group:
    from, to (ranks without a significant difference), level; test: p of Friedman's test, critical
    difference, whether any difference could exceed it, tasks. Competitors are ranked on the tasks
    that at least half of them have; those that lack one of these tasks are left out.
    """
    runs = _common(_runs(boards, selection))
    if len(runs) < 2:
        return []
    families = _families(boards)
    means = {a: {t: statistics.fmean(x) for t, x in by.items()} for a, by in runs.items()}
    found = average_ranks(means)
    order = sorted(found.average, key=lambda label: found.average[label])
    rows: list[Row] = [
        {
            "kind": "test",
            "p": found.p,
            "critical_difference": found.critical_difference,
            "decides": found.decides,
            "tasks": found.tasks,
            "level": 0,
        }
    ]
    for level, group in enumerate(found.groups, start=1):
        inside = [found.average[label] for label in group]
        rows.append({"kind": "group", "from": min(inside), "to": max(inside), "level": level})
    half = math.ceil(len(order) / 2)
    for place, label in enumerate(order):
        left = place < half
        rows.append(
            {
                "kind": "method",
                "entry": label,
                "family": families[label],
                "rank": found.average[label],
                "side": "left" if left else "right",
                "level": len(found.groups) + 1 + (place if left else len(order) - 1 - place),
            }
        )
    return rows


def profile(boards: Sequence[Board], selection: ChartSelection = ALL) -> list[Row]:
    """Return entry, family, threshold, share, low, high: the fraction of runs above a threshold.

    Thresholds are fractions of the dense network's accuracy, so that tasks can be pooled.
    """
    runs = _common(_fractions_of_dense(boards, selection))
    scores = [score for by in runs.values() for of_task in by.values() for score in of_task]
    if not scores:
        return []
    families = _families(boards)
    low, high = math.floor(min(scores) * 50) / 50, math.ceil(max(scores) * 100) / 100
    thresholds = [low + (high - low) * i / THRESHOLDS for i in range(THRESHOLDS + 1)]
    return [
        {"entry": label, "family": families[label], "threshold": threshold}
        | _spread("share", interval)
        for label, by in runs.items()
        for threshold, interval in zip(thresholds, performance_profile(by, thresholds), strict=True)
    ]


def iqm(boards: Sequence[Board], selection: ChartSelection = ALL) -> list[Row]:
    """Return entry, family, interquartile mean of accuracy ÷ dense, low, high, n; best first."""
    runs = _common(_fractions_of_dense(boards, selection))
    families = _families(boards)
    means = {label: interquartile_mean(by) for label, by in runs.items()}
    return [
        {"entry": label, "family": families[label]}
        | _spread("mean", means[label])
        | {"n": means[label].n}
        for label in _best_first({label: interval.mean for label, interval in means.items()})
    ]


def controls(boards: Sequence[Board], selection: ChartSelection = ALL) -> list[Row]:
    """Return method, family, control, task, sparsity, difference, low, high, n, verdict.

    A method minus its control on the same seeds, in points, on tasks that rank by a fraction. All
    that are shown are one family of comparisons with a reference, the control.
    """
    cells: list[FamilyCell] = []
    pairs = []
    for board in selection.boards(boards):
        entries = sorted((e for e, _ in board.rows), key=lambda entry: entry.label)
        for control in entries if board.metric.fraction else []:
            for method in controlled(control, entries):
                if selection.competes(control) and selection.competes(method):
                    for cell in _control_cells(board, selection, method, control):
                        cells.append(cell)
                        pairs.append((method, control))
    rows = []
    for (method, control), claim in zip(
        pairs, against_reference(cells, CONTROL).claims, strict=True
    ):
        found = claim.comparison.difference
        if found is not None:
            low, high = (None if x is None else 100 * x for x in (found.low, found.high))
            points = Interval(100 * found.mean, low, high, found.n)
            rows.append(
                {
                    "method": method.label,
                    "family": method.family,
                    "control": control.label,
                    "task": claim.task,
                    "sparsity": claim.sparsity,
                    **_spread("difference", points, (-100, 100)),
                    "n": found.n,
                    "verdict": str(claim.verdict),
                }
            )
    return sorted(rows, key=lambda row: (row["method"], row["control"]))  # stable


def _control_cells(
    board: Board, selection: ChartSelection, method: Entry, control: Entry
) -> list[FamilyCell]:
    """Return the cells that have a method and its control, with these two alone."""
    by_entry = dict(board.rows)
    found = []
    for place, sparsity in enumerate(board.sparsities):
        wanted = selection.sparsities is None or sparsity in selection.sparsities
        two = [by_entry[entry][place] for entry in (control, method)]
        scores = {
            name: cell.by_seed
            for name, cell in zip((CONTROL, METHOD), two, strict=True)
            if cell and cell.runs
        }
        if wanted and len(scores) == len(two):
            rope = default_rope(board.metric)
            found.append(FamilyCell(board.title, sparsity, scores, rope, board.resolution))
    return found


def robustness(boards: Sequence[Board], selection: ChartSelection = ALL) -> list[Row]:
    """Return task, entry, family, sparsity, measure, accuracy, robust (accuracy), n."""
    rows = []
    for name, measure in ROBUST.items():
        for board in selection.by_accuracy(boards):
            for entry, sparsity, cell in _cells(board, selection):
                robust = _mean(cell, name)
                if robust is not None:
                    rows.append(
                        _place(board, entry)
                        | {"sparsity": sparsity, "measure": measure}
                        | {"accuracy": statistics.fmean(cell.scores), "robust": robust}
                        | {"n": len(cell.column(name))}
                    )
    return rows


def calibration(boards: Sequence[Board], selection: ChartSelection = ALL) -> list[Row]:
    """Return task, entry, family, sparsity, measure, n, accuracy, value, low, high."""
    rows = []
    for name, measure in CALIBRATION.items():
        for board in selection.by_accuracy(boards):
            for entry, sparsity, cell in _cells(board, selection):
                values = _values(cell, name)
                if values:
                    rows.append(
                        _place(board, entry)
                        | {"sparsity": sparsity, "measure": measure, "n": len(values)}
                        | {"accuracy": statistics.fmean(cell.scores)}
                        | _spread("value", mean_interval(values), _ends(NAMED_COLUMNS[name], name))
                    )
    return rows


CHART_ROWS: Mapping[str, Callable[[Sequence[Board], ChartSelection], list[Row]]] = {
    "accuracy": accuracy,
    "score": score,
    "cost": cost,
    "controls": controls,
    "rating": rating,
    "win_rate": win_rate,
    "ranks": ranks,
    "profile": profile,
    "iqm": iqm,
    "robustness": robustness,
    "calibration": calibration,
}
"""In the order of the page."""


def _interval(cell: Cell, name: str) -> Interval:
    """Return the mean of a cell's values as a chart shows them, with its interval."""
    factor = 100 if cell.metric.unit == "percent" and name == "value" else 1
    values = [factor * value for value in cell.values]
    return mean_interval(values, resolution=factor * cell.resolution)


def _ends(metric: Column, name: str) -> tuple[float, float]:
    """Return the least and the greatest value that a metric can have, as a chart shows it."""
    least, most = metric.possible
    return (least, 100 * most if metric.unit == "percent" and name == "value" else most)


def _cells(board: Board, selection: ChartSelection) -> list[PlacedCell]:
    """Return a board's finished cells of the selection; the dense network's once, always."""
    found = (place for place in board.cells() if place.cell.runs and selection.shows(place))
    return sorted(found, key=lambda place: place.entry.label)


def _place(board: Board, entry: Entry) -> Row:
    return {"task": board.title, "entry": entry.label, "family": entry.family}


def _spread(name: str, interval: Interval, ends: tuple[float, float] = ANYTHING) -> Row:
    """Return a mean and its interval, which ends where possible values do."""
    low, high = (
        None if x is None else min(max(x, ends[0]), ends[1]) for x in (interval.low, interval.high)
    )
    return {name: interval.mean, "low": low, "high": high}


def _values(cell: Cell, name: str) -> list[float]:
    found = (rounded(name, value) for value in cell.column(name))
    return [value for value in found if value is not None]


def _mean(cell: Cell, name: str) -> float | None:
    values = _values(cell, name)
    return statistics.fmean(values) if values else None


def _families(boards: Sequence[Board]) -> dict[str, str]:
    return {entry.label: entry.family for board in boards for entry, _ in board.rows}


def _runs(boards: Sequence[Board], selection: ChartSelection) -> RunsByEntry:
    """Return competitor → task → scores, sorted by label and by task."""
    boards = selection.boards(boards)
    entries = {e.label for board in boards for e, _ in board.rows if selection.competes(e)}
    runs = pooled_scores(boards, entries, selection.sparsities).runs()
    return {label: dict(sorted(runs[label].items())) for label in sorted(runs)}


def _fractions_of_dense(boards: Sequence[Board], selection: ChartSelection) -> RunsByEntry:
    """Return the runs with scores as fractions of the dense network's, on tasks that have one."""
    dense = {
        board.title: board.dense[board.metric.name]
        for board in selection.boards(boards)
        if board.metric.fraction and board.metric.name in board.dense
    }
    fractions = {
        label: {t: [x / dense[t] for x in scores] for t, scores in by.items() if dense.get(t)}
        for label, by in _runs(boards, selection).items()
    }
    return {label: by for label, by in fractions.items() if by}


def _common(runs: RunsByEntry) -> RunsByEntry:
    """Return the runs on tasks that at least half have, of entries that have all these tasks."""
    having = Counter(task for by in runs.values() for task in by)
    tasks = sorted(task for task, n in having.items() if 2 * n >= len(runs))
    complete = {label: by for label, by in runs.items() if tasks and by.keys() >= set(tasks)}
    return {label: {task: by[task] for task in tasks} for label, by in complete.items()}


def _best_first(values: Mapping[str, float]) -> list[str]:
    """Return the labels, highest value first; values equal up to rounding are sorted by label."""
    return sorted(sorted(values), key=lambda label: -math.floor(values[label] * 1e6 + 0.5))
