"""The overview in words: what was found, and the cells of its table.

`assets/overview_text.js` writes the same in the browser: change both together.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from leaderboard.board_columns import Column
from leaderboard.boards import Board
from leaderboard.forest import ForestMark, forest_mark, scale_limit
from leaderboard.overview import Overview, OverviewRow
from leaderboard.page_data import page_name
from leaderboard.score_text import heading
from leaderboard.statistics.families import Claim
from leaderboard.statistics.intervals import Interval
from leaderboard.statistics.paired_comparisons import MIN_SEEDS, Verdict
from leaderboard.terms import Terms

OWN_METHOD = "resonance"
"""The method of this project, whose place the finding names."""
MAX_NAMES = 6
"""Names in a list before the rest is counted."""


@dataclass(frozen=True)
class FindingPart:
    """One statement of the finding, under a short heading."""

    heading: str
    text: str


@dataclass(frozen=True)
class ForestCell:
    """A cell with differences: how they are drawn, their numbers, and all of it in words.

    Attributes:
        beyond: the difference that is beyond the scale, as text; empty if none is.
    """

    marks: tuple[ForestMark, ...]
    number: str
    beyond: str
    words: str


@dataclass(frozen=True)
class OverviewLine:
    """A row as text; empty texts where there is nothing to say.

    Attributes:
        reason: why there is no rank.
        counts: wins, ties and losses against the reference.
    """

    row: OverviewRow
    rank: str
    rank_ends: str
    reason: str
    share: str
    share_ends: str
    counts: str
    cost: str
    over_tasks: ForestCell | None
    cells: tuple[ForestCell | None, ...]


@dataclass(frozen=True)
class OverviewHead:
    """The head of a task's column: its name in parts, its recipe, and the limit of its scale.

    `metric` is what the task is ranked by; empty where it is the same for all.
    """

    title: str
    parts: tuple[str, ...]
    settings: str
    page: str
    limit: str
    metric: str


@dataclass(frozen=True)
class OverviewTable:
    """The finding and the table; `limit` is that of the column over all tasks."""

    finding: tuple[FindingPart, ...]
    note: str
    limit: str
    heads: tuple[OverviewHead, ...]
    lines: tuple[OverviewLine, ...]


def overview_table(view: Overview, terms: Terms) -> OverviewTable:
    """Return an overview of boards on these terms as text."""
    gaps = [row.against.comparison.difference for row in view.rows if row.against]
    limit = scale_limit(gap.mean for gap in gaps if gap)
    limits = [_limit(view, board) for board in view.boards]
    lines = [_line(view, row, limit, limits) for row in view.rows]
    heads = [
        OverviewHead(
            board.title,
            name_parts(board.task),
            board.title.removeprefix(board.task).strip(),
            page_name("tasks", board.title),
            limit_text(board.metric, at),
            "" if view.metric else heading(board.metric),
        )
        for board, at in zip(view.boards, limits, strict=True)
    ]
    shown = limit_text(view.metric, limit) if view.metric else ""
    return OverviewTable(tuple(finding(view, terms)), note(view), shown, tuple(heads), tuple(lines))


def name_parts(task: str) -> tuple[str, ...]:
    """Return a task's name in two lines, dataset and model."""
    dataset, slash, model = task.partition("/")
    return (dataset + slash, model) if slash else (dataset,)


# ---------------------------------------------------------------- the finding


def finding(view: Overview, terms: Terms) -> list[FindingPart]:
    """Return what was found: who leads, against whom, at what cost, and what is not known."""
    ranked = view.ranked
    if not ranked:
        where = sparsities_text(view)
        return [
            FindingPart(
                "No ranking",
                f"No two methods have {MIN_SEEDS} seeds each on a common task{where}"
                + ("." if view.comparisons else ": what is shown below supports no claim."),
            ),
            *_not_ranked(view),
        ]
    first = ranked[0]
    found = [_leader(view, first)]
    found += _against(view, first)
    found += _cost(view, first, terms)
    own = next((row for row in view.rows if row.entry.label == _own_label(view)), None)
    if own is not None and own is not first and own.rank is not None:
        found.append(FindingPart(own.entry.label, _standing(view, own, terms)))
    return [*found, *_not_ranked(view)]


def sparsities_text(view: Overview) -> str:
    """Return at which sparsities, with a space before it; empty without any."""
    if not view.sparsities:
        return ""
    named = [f"{100 * sparsity:g}" for sparsity in view.sparsities]
    if len(named) == 1:
        return f" at {named[0]} % sparsity"
    return f" and the sparsities {', '.join(named[:-1])} and {named[-1]} %"


def _leader(view: Overview, first: OverviewRow) -> FindingPart:
    ranked = view.ranked
    seeds = f"{view.fewest}" if view.fewest == view.most else f"{view.fewest} to {view.most}"
    equal = [row.entry.label for row in ranked[1:] if _same_rank(row, first)]
    tied = f" (tied with {names(equal)})" if equal else ""
    return FindingPart(
        "Who leads",
        f"{first.entry.label}{tied}: mean rank {_rank(first)} among {len(ranked)} methods"
        f"{_ends(first.rank)} over {tasks_text(len(view.compared))}"
        f"{sparsities_text(view)}, {seeds} seeds each. {_told(view)}",
    )


def _same_rank(one: OverviewRow, other: OverviewRow) -> bool:
    """Return whether two rows have the same mean rank, but for rounding."""
    return bool(one.rank and other.rank and abs(one.rank.mean - other.rank.mean) < 1e-9)


def _told(view: Overview) -> str:
    """Return which of the other ranked methods are told apart from the first."""

    def those(*verdicts: Verdict) -> list[str]:
        labels = [row.entry.label for row in view.ranked]
        return [label for label in labels if view.against_leader.get(label) in verdicts]

    better, undecided = those(Verdict.BETTER), those(Verdict.UNDECIDED)
    alike = those(Verdict.NO_DIFFERENCE, Verdict.EQUIVALENT)
    others = len(view.ranked) - 1
    if len(undecided) == others:
        return (
            "So few seeds cannot tell the others from it over these tasks; single cells may."
            if others > 1
            else "So few seeds cannot tell the other from it over these tasks; single cells may."
        )
    parts = []
    if better:
        parts.append(f"Shown to be better than it over these tasks: {names(better)}.")
    if alike:
        parts.append(f"Not told apart from it over these tasks: {names(alike)}.")
    if undecided:
        parts.append(f"Too few seeds to tell from it: {names(undecided)}.")
    if not parts:
        one = others == 1
        parts.append(
            f"The other{'' if one else f' {others}'} {'is' if one else 'are'} shown to be worse "
            "over these tasks."
        )
    return " ".join(parts)


def _against(view: Overview, first: OverviewRow) -> list[FindingPart]:
    if not view.reference or first.entry.label == view.reference:
        return []
    if first.against is None and view.metric is not None:
        text = f"{first.entry.label} and {view.reference} have no seed in common on a task."
    else:
        text = f"{first.entry.label} differs by {_gap(view, first)}"
    return [FindingPart(f"Against {view.reference}", text)]


def _cost(view: Overview, first: OverviewRow, terms: Terms) -> list[FindingPart]:
    if terms.flops_budget:
        text = f"Every method may use {terms.flops_budget:g} × the FLOPs of dense training."
        return [FindingPart("Cost", text)]
    if first.cost is None:
        return []
    parts = [f"{first.entry.label} takes {cost_text(first.cost)} the FLOPs of dense training"]
    base = next((row for row in view.rows if row.entry.label == view.reference), None)
    if base is not None and base is not first and base.cost is not None:
        parts.append(f", {base.entry.label} {cost_text(base.cost)}")
    told = (Verdict.NO_DIFFERENCE, Verdict.EQUIVALENT)
    alike = [
        row
        for row in view.ranked
        if row.cost is not None
        and (row is first or view.against_leader.get(row.entry.label) in told)
    ]
    cheapest = min(alike, key=lambda row: row.cost or 0.0, default=first)
    if cheapest is not first and cheapest.cost is not None:
        parts.append(
            f"; the cheapest not told apart from it is {cheapest.entry.label}, "
            f"{cost_text(cheapest.cost)}"
        )
    return [FindingPart("Cost", "".join(parts) + ".")]


def _standing(view: Overview, row: OverviewRow, terms: Terms) -> str:
    text = f"Mean rank {_rank(row)} of {len(view.ranked)}{_ends(row.rank)}"
    if row.against is not None or view.metric is None:
        text += f". It differs by {_gap(view, row)}"
    else:
        text += "."
    if terms.flops_budget or not row.cost:
        return text
    return f"{text} It takes {cost_text(row.cost)} the FLOPs of dense training."


def _gap(view: Overview, row: OverviewRow) -> str:
    """Return how a row stands against the reference, over tasks and in single cells."""
    cells = row.wins + row.ties + row.losses
    single = (
        f"it is shown to be better in {row.wins} and worse in {row.losses} of "
        f"{cells} {'cell' if cells == 1 else 'cells'}."
    )
    found = row.against.comparison.difference if row.against else None
    if row.against is None or found is None or view.metric is None:
        return f"what is named below for each task; {single}"
    certain = []
    if found.low is not None and found.high is not None:
        low, high = (signed_text(view.metric, end) for end in (found.low, found.high))
        certain.append(f"95 % interval {low} to {high}")
    if row.against.p is not None:
        certain.append(p_words(row.against.p))
    inside = f" ({', '.join(certain)})" if certain else ""
    unit = " points" if view.metric.unit == "percent" else ""
    way = ", + being better," if view.metric.better == "less" else ""
    number = row.against.tasks
    tasks = "the one task" if number == 1 else f"the mean of the {tasks_text(number)}"
    return (
        f"{signed_text(view.metric, found.mean)}{unit}{inside}{way} from {view.reference} on "
        f"{tasks} that both have; {single}"
    )


def _not_ranked(view: Overview) -> list[FindingPart]:
    """Return who has no rank, and why: without any result, or without one on every task."""
    reasons: dict[str, list[str]] = {}
    for row in view.rows:
        if row.entry.dense or row.rank is not None:
            continue
        if not row.ran:
            reasons.setdefault(_reason(row), []).append(row.entry.label)
        elif view.compared:
            words = sorted({row.lacking[task] for task in view.compared if task in row.lacking})
            reason = f"{', '.join(words)} on some of the compared tasks"
            reasons.setdefault(reason, []).append(row.entry.label)
    parts = [f"{names(labels)} ({reason})" for reason, labels in reasons.items()]
    return [FindingPart("Not ranked", ". ".join(parts) + ".")] if parts else []


def note(view: Overview) -> str:
    """Return what the table shows and over what it is corrected."""
    if not view.reference or not view.comparisons:
        return ""
    one = view.comparisons == 1
    family = "one comparison" if one else f"{view.comparisons:,} comparisons"
    return (
        f"Points are differences from {view.reference} on the same seeds, to the right if better, "
        "with 95 % intervals; filled: shown to differ; ± is where a column's scale ends. Paired "
        f"t-tests at 5 %, Holm-corrected over the {family} with {view.reference} that this table "
        "shows; over all tasks, a sign-flip "
        f"test, Holm-corrected over the methods. Fewer than {MIN_SEEDS} common seeds: no claim."
    )


def _own_label(view: Overview) -> str:
    return next(
        (
            row.entry.label
            for row in view.rows
            if row.entry.method == OWN_METHOD and not row.entry.settings and not row.entry.older
        ),
        "",
    )


# ---------------------------------------------------------------- rows


def _line(view: Overview, row: OverviewRow, limit: float, limits: Sequence[float]) -> OverviewLine:
    share = row.share
    over_tasks = _over_tasks(view, row, limit)
    cells = [
        _forest_cell(view, row, board, at) for board, at in zip(view.boards, limits, strict=True)
    ]
    compared = row.wins + row.ties + row.losses
    return OverviewLine(
        row,
        _rank(row) if row.rank else "",
        "" if row.rank is None or row.rank.low is None or row.rank.high is None
        else f"{tenths(row.rank.low)}–{tenths(row.rank.high)}",
        _reason(row),
        "" if share is None else f"{tenths(100 * share.mean)} %",
        "" if share is None or share.low is None or share.high is None
        else f"{tenths(100 * share.low)}–{tenths(100 * share.high)}",
        f"{row.wins} / {row.ties} / {row.losses}" if compared else "",
        "" if row.cost is None else cost_text(row.cost).replace(" ", ""),
        over_tasks,
        tuple(cells),
    )  # fmt: skip


def _reason(row: OverviewRow) -> str:
    """Return why a row has no rank."""
    if row.entry.dense or row.rank is not None:
        return ""
    if not row.ran:
        return ", ".join(sorted(set(row.lacking.values()) - {"not run"}) or ["not run"])
    return "; ".join(f"{task}: {why}" for task, why in row.lacking.items())


def _over_tasks(view: Overview, row: OverviewRow, limit: float) -> ForestCell | None:
    found = row.against.comparison.difference if row.against else None
    if row.against is None or found is None or view.metric is None:
        return None
    mark = forest_mark(found, row.against.verdict, limit)
    certain = "" if row.against.p is None else f", {p_words(row.against.p)}"
    number = signed_text(view.metric, found.mean)
    words = (
        f"{_difference(view.metric, found)}{certain}: {row.against.verdict}, "
        f"{tasks_text(row.against.tasks)}"
    )
    return ForestCell((mark,), number, "", words)


def _forest_cell(view: Overview, row: OverviewRow, board: Board, limit: float) -> ForestCell | None:
    """Return a row's differences on one task, one for each sparsity shown."""
    shown = [s for s in board.sparsities if s in view.sparsities]
    marks, words, beyond = [], [], []
    for number, sparsity in enumerate(shown):
        claim = row.claims.get((board.title, sparsity))
        found = claim.comparison.difference if claim else None
        if claim is None or found is None:
            continue
        mark = forest_mark(found, claim.verdict, limit, number, len(shown))
        marks.append(mark)
        if mark.beyond:
            beyond.append(signed_text(board.metric, found.mean))
        words.append(_claim_words(board.metric, claim, found, sparsity))
    if not marks:
        return None
    # Several numbers beyond the scale would overlap in one cell: their words hold them.
    return ForestCell(tuple(marks), "", beyond[0] if len(marks) == 1 and beyond else "",
                      "; ".join(words))  # fmt: skip


def _claim_words(metric: Column, claim: Claim, found: Interval, sparsity: float) -> str:
    certain = "" if claim.p is None else f", {p_words(claim.p)}"
    alike = claim.verdict is Verdict.EQUIVALENT and claim.equivalence_p is not None
    if alike:
        certain = f", {p_words(claim.equivalence_p or 0.0)}"
    return f"{100 * sparsity:g} %: {_difference(metric, found)}{certain}: {claim.verdict}"


def _limit(view: Overview, board: Board) -> float:
    found = [
        claim.comparison.difference
        for row in view.rows
        for (task, _), claim in row.claims.items()
        if task == board.title
    ]
    return scale_limit(one.mean for one in found if one)


# ---------------------------------------------------------------- figures


def gap_text(metric: Column, size: float) -> str:
    """Return the size of a difference, of per cents in points."""
    if metric.unit == "percent":
        points = 100 * size
        if points and points < 0.1:
            return plain(points, 2)
        return tenths(points) if points < 100 else f"{math.floor(points + 0.5)}"
    return plain(size)


def plain(size: float, digits: int = 3) -> str:
    """Return a positive number with some significant digits, as a browser writes numbers."""
    rounded = float(f"{size:.{digits}g}")
    if rounded == 0 or 1e-6 <= rounded < 1e21:
        return np.format_float_positional(rounded, trim="-")
    return repr(rounded).replace("e-0", "e-")


def limit_text(metric: Column, limit: float) -> str:
    """Return the largest difference on a scale."""
    size = 100 * limit if metric.unit == "percent" else limit
    return plain(size)


def signed_text(metric: Column, difference: float) -> str:
    """Return a difference with its sign."""
    sign = "−" if difference < 0 else "+"
    return f"{sign}{gap_text(metric, abs(difference))}"


def _difference(metric: Column, found: Interval) -> str:
    unit = " points" if metric.unit == "percent" else ""
    text = f"{signed_text(metric, found.mean)}{unit}"
    if found.low is None or found.high is None:
        return text
    return f"{text} ({signed_text(metric, found.low)} to {signed_text(metric, found.high)})"


def cost_text(cost: float | None) -> str:
    """Return FLOPs as a multiple."""
    if cost is None:
        return ""
    digits = 3 if cost < 0.0995 else 2
    return f"{math.floor(cost * 10**digits + 0.5) / 10**digits:.{digits}f} ×"


def p_words(p: float) -> str:
    """Return a corrected p-value."""
    return "p < 0.001" if p < 0.001 else f"p = {float(f'{p:.2g}'):g}"


def tasks_text(number: int) -> str:
    """Return a number of tasks."""
    return "1 task" if number == 1 else f"{number} tasks"


def names(labels: Sequence[str]) -> str:
    """Return names, which may hold commas, in a list; above `MAX_NAMES` the rest is counted."""
    if len(labels) > MAX_NAMES:
        more = len(labels) - MAX_NAMES + 1
        return f"{'; '.join(labels[: MAX_NAMES - 1])} and {more} more"
    return "; ".join(labels)


def tenths(x: float) -> str:
    """Return a number with one decimal, halves rounded up as in the browser.

    Mean ranks over four tasks are quarters, so halves are common.
    """
    return f"{math.floor(10 * x + 0.5) / 10:.1f}"


def _rank(row: OverviewRow) -> str:
    return "" if row.rank is None else tenths(row.rank.mean)


def _ends(interval: Interval | None) -> str:
    if interval is None or interval.low is None or interval.high is None:
        return ""
    return f" (95 % interval {tenths(interval.low)} to {tenths(interval.high)})"
