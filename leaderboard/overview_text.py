"""The overview as text: the finding, and the cells of its table.

`assets/overview_text.js` writes the same in the browser: change both together.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from leaderboard.board_columns import Column
from leaderboard.boards import Board
from leaderboard.forest import ForestMark, forest_mark, scale_limit
from leaderboard.overview import Overview, OverviewRow
from leaderboard.overview_finding import (
    FindingPart,
    cost_text,
    finding,
    note,
    p_words,
    rank_text,
    tasks_text,
    tenths,
    unranked_reason,
)
from leaderboard.page_data import page_name
from leaderboard.score_text import (
    difference_text,
    heading,
    interval_texts,
    number_and_ends,
    plain,
)
from leaderboard.statistics.families import Claim
from leaderboard.statistics.intervals import Interval
from leaderboard.statistics.paired_comparisons import Verdict
from leaderboard.terms import Terms


@dataclass(frozen=True)
class ForestCell:
    """A cell with differences: how they are drawn, in figures, and all of it in words.

    Attributes:
        number, ends: the difference and its interval; empty where the cell has several (one for
            each sparsity), and `ends` where there is no interval.
    """

    marks: tuple[ForestMark, ...]
    number: str
    ends: str
    words: str


@dataclass(frozen=True)
class OverviewLine:
    """A row as text; empty texts where there is nothing to say.

    Attributes:
        score, score_half: its mean on the one task at the one sparsity shown, and half the 95 %
            interval; empty where more than one is shown.
        reason: why there is no rank.
        counts: wins, ties and losses against the reference.
    """

    row: OverviewRow
    score: str
    score_half: str
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
class OverviewColumns:
    """Which columns stand between the methods and their differences on each task.

    A column that would be empty is left out, and that over all tasks where there is only one.

    Attributes:
        score: head of the column of scores; empty without one.
    """

    score: str
    ranks: bool
    over_tasks: bool
    costs: bool
    shares: bool
    counts: bool

    @property
    def number(self) -> int:
        """How many there are."""
        shown = (self.score, self.ranks, self.over_tasks, self.costs, self.shares, self.counts)
        return sum(map(bool, shown))


@dataclass(frozen=True)
class OverviewTable:
    """The finding and the table; `limit` is that of the scale of the column over all tasks."""

    finding: tuple[FindingPart, ...]
    note: str
    limit: str
    columns: OverviewColumns
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
            limit_text(board.metric, at) if at else "",
            "" if view.metric else heading(board.metric),
        )
        for board, at in zip(view.boards, limits, strict=True)
    ]
    shown = limit_text(view.metric, limit) if view.metric else ""
    return OverviewTable(
        tuple(finding(view, terms)),
        note(view),
        shown,
        OverviewColumns(
            _sentence(heading(view.boards[0].metric)) if any(line.score for line in lines) else "",
            any(line.rank for line in lines),
            len(view.boards) > 1,
            any(line.cost for line in lines),
            any(line.share for line in lines),
            any(line.counts for line in lines),
        ),
        tuple(heads),
        tuple(lines),
    )


def name_parts(task: str) -> tuple[str, ...]:
    """Return a task's name in two lines, dataset and model."""
    dataset, slash, model = task.partition("/")
    return (dataset + slash, model) if slash else (dataset,)


# ---------------------------------------------------------------- rows


def _line(
    view: Overview, row: OverviewRow, limit: float, limits: Sequence[float | None]
) -> OverviewLine:
    share = row.share
    over_tasks = _over_tasks(view, row, limit)
    cells = [
        _forest_cell(view, row, board, at) if at else None
        for board, at in zip(view.boards, limits, strict=True)
    ]
    compared = row.wins + row.ties + row.losses
    return OverviewLine(
        row,
        *_score(view, row),
        rank_text(row) if row.rank else "",
        "" if row.rank is None or row.rank.low is None or row.rank.high is None
        else f"{tenths(row.rank.low)}–{tenths(row.rank.high)}",
        unranked_reason(row),
        "" if share is None else f"{tenths(100 * share.mean)} %",
        "" if share is None or share.low is None or share.high is None
        else f"{tenths(100 * share.low)}–{tenths(100 * share.high)}",
        f"{row.wins} / {row.ties} / {row.losses}" if compared else "",
        "" if row.cost is None else cost_text(row.cost).replace(" ", ""),
        over_tasks,
        tuple(cells),
    )  # fmt: skip


def _score(view: Overview, row: OverviewRow) -> tuple[str, str]:
    """Return mean and half the interval on the one task at the one sparsity shown."""
    if len(view.boards) != 1 or len(view.sparsities) != 1:
        return "", ""
    (board,) = view.boards
    cell = dict(board.rows)[row.entry][board.sparsities.index(view.sparsities[0])]
    interval = cell.interval if cell else None
    return interval_texts(board.metric, interval) if interval else ("", "")


def _over_tasks(view: Overview, row: OverviewRow, limit: float) -> ForestCell | None:
    found = row.against.comparison.difference if row.against else None
    if row.against is None or found is None or view.metric is None:
        return None
    mark = forest_mark(found, row.against.verdict, limit)
    certain = "" if row.against.p is None else f", {p_words(row.against.p)}"
    words = (
        f"{difference_text(view.metric, found)}{certain}: {row.against.verdict}, "
        f"{tasks_text(row.against.tasks)}"
    )
    return ForestCell((mark,), *number_and_ends(view.metric, found), words)


def _forest_cell(view: Overview, row: OverviewRow, board: Board, limit: float) -> ForestCell | None:
    """Return a row's differences on one task, one for each sparsity shown."""
    shown = [s for s in board.sparsities if s in view.sparsities]
    marks, words, figures = [], [], ("", "")
    for number, sparsity in enumerate(shown):
        claim = row.claims.get((board.title, sparsity))
        found = claim.comparison.difference if claim else None
        if claim is None or found is None:
            continue
        marks.append(forest_mark(found, claim.verdict, limit, number, len(shown)))
        words.append(_claim_words(board.metric, claim, found, sparsity))
        if len(view.sparsities) == 1:
            figures = number_and_ends(board.metric, found)
    return ForestCell(tuple(marks), *figures, "; ".join(words)) if marks else None


def _claim_words(metric: Column, claim: Claim, found: Interval, sparsity: float) -> str:
    certain = "" if claim.p is None else f", {p_words(claim.p)}"
    alike = claim.verdict is Verdict.EQUIVALENT and claim.equivalence_p is not None
    if alike:
        certain = f", {p_words(claim.equivalence_p or 0.0)}"
    return f"{100 * sparsity:g} %: {difference_text(metric, found)}{certain}: {claim.verdict}"


def _limit(view: Overview, board: Board) -> float | None:
    """Return the limit of a task's scale; None without any difference."""
    found = [
        claim.comparison.difference
        for row in view.rows
        for (task, _), claim in row.claims.items()
        if task == board.title
    ]
    means = [one.mean for one in found if one]
    return scale_limit(means) if means else None


def limit_text(metric: Column, limit: float) -> str:
    """Return the largest difference on a scale."""
    size = 100 * limit if metric.unit == "percent" else limit
    return plain(size)


def _sentence(words: str) -> str:
    """Return words with a capital."""
    return f"{words[0].upper()}{words[1:]}"
