"""The overview in words: what was found, and the cells of its table.

`assets/overview_text.js` writes the same in the browser: change both together.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from leaderboard.board_columns import Column
from leaderboard.boards import Board
from leaderboard.forest import ForestMark, forest_mark, scale_limit
from leaderboard.overview import Overview, OverviewRow
from leaderboard.page_data import page_name
from leaderboard.score_text import (
    difference_figures,
    difference_text,
    fixed,
    heading,
    interval_texts,
    number_and_ends,
    plain,
)
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


# ---------------------------------------------------------------- the finding


def finding(view: Overview, terms: Terms) -> list[FindingPart]:
    """Return what was found: who leads, against whom, at what cost, and what is not known."""
    ranked = view.ranked
    if not ranked:
        return [_no_ranking(view), *_without_dense(view, terms), *_not_ranked(view)]
    first = ranked[0]
    found = [_leader(view, first)]
    found += _against(view, first)
    found += _cost(view, first, terms)
    own = next((row for row in view.rows if row.entry.label == _own_label(view)), None)
    if own is not None and own is not first and own.rank is not None:
        found.append(FindingPart(own.entry.label, _standing(view, own, terms)))
    return [*found, *_without_dense(view, terms), *_not_ranked(view)]


def sparsities_text(view: Overview) -> str:
    """Return at which sparsities, with a space before it; empty without any."""
    if not view.sparsities:
        return ""
    named = [f"{100 * sparsity:g}" for sparsity in view.sparsities]
    if len(named) == 1:
        return f" at {named[0]} % sparsity"
    return f" at {', '.join(named[:-1])} and {named[-1]} % sparsity"


def _no_ranking(view: Overview) -> FindingPart:
    ran = [row.entry.label for row in view.rows if row.ran and not row.entry.dense]
    where = sparsities_text(view)
    if not ran:
        text = f"No method has a finished trial{where}."
    elif len(ran) == 1:
        text = f"Only {ran[0]} has finished trials{where}: there is no method to compare it with."
    else:
        text = f"No two methods have {MIN_SEEDS} seeds each on a common task{where}" + (
            "." if view.comparisons else ": what is shown below supports no claim."
        )
    return FindingPart("No ranking", text)


def _leader(view: Overview, first: OverviewRow) -> FindingPart:
    ranked, number, shown = view.ranked, len(view.compared), len(view.boards)
    seeds = f"{view.fewest}" if view.fewest == view.most else f"{view.fewest} to {view.most}"
    equal = [row.entry.label for row in ranked[1:] if _same_rank(row, first)]
    tied = f" (tied with {names(equal)})" if equal else ""
    if shown == 1:
        tasks = "on the one task shown"
    elif number == shown:
        tasks = f"over the {shown} tasks shown"
    else:
        tasks = f"{'on' if number == 1 else 'over'} {number} of the {shown} tasks shown"
    return FindingPart(
        "Who leads",
        f"{first.entry.label}{tied}: {_rank_words(view, first)} among {len(ranked)} methods"
        f"{_ends(first.rank)} {tasks}{sparsities_text(view)}, {seeds} seeds each. {_told(view)}",
    )


def _rank_words(view: Overview, row: OverviewRow) -> str:
    """Return a rank in words; that on a single task is no mean, and 1 rather than 1.0."""
    return f"rank {_rank(row).removesuffix('.0')}" if len(view.compared) == 1 else (
        f"mean rank {_rank(row)}"
    )  # fmt: skip


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
    one = len(view.compared) == 1
    where = "on this task" if one else "over these tasks"
    if len(undecided) == others:
        test = "sign-flip test" if one else "sign-flip test over tasks"
        return (
            f"With so few seeds the {test} cannot show any difference from it; the t-tests in "
            "single cells may."
        )
    parts = []
    if better:
        parts.append(f"Shown to be better than it {where}: {names(better)}.")
    if alike:
        parts.append(f"Not told apart from it {where}: {names(alike)}.")
    if undecided:
        parts.append(f"Too few seeds to tell from it: {names(undecided)}.")
    if not parts:
        parts.append(
            f"The other method is shown to be worse {where}."
            if others == 1
            else f"The other {others} are shown to be worse {where}."
        )
    return " ".join(parts)


def _against(view: Overview, first: OverviewRow) -> list[FindingPart]:
    if not view.reference or first.entry.label == view.reference:
        return []
    if first.against is None and view.metric is not None:
        text = f"{first.entry.label} and {view.reference} have no seed in common on a task."
    else:
        text = _gap(view, first, first.entry.label)
    return [FindingPart(f"Against {view.reference}", text)]


def _cost(view: Overview, first: OverviewRow, terms: Terms) -> list[FindingPart]:
    if terms.flops_budget:
        text = f"Every method may use {terms.flops_budget:g} × the FLOPs of dense training."
        return [FindingPart("Cost", text)]
    if first.cost is None:
        return []
    where = sparsities_text(view).strip().capitalize()
    if len(view.boards) > 1 or len(view.sparsities) > 1:
        where += ", averaged over the cells that ran,"
    parts = [
        f"{where} {first.entry.label} takes {cost_text(first.cost)} the FLOPs of dense training"
    ]
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
    words = _rank_words(view, row)
    text = f"{words[0].upper()}{words[1:]} of {len(view.ranked)}{_ends(row.rank)}."
    if row.against is not None or view.metric is None:
        text += f" {_gap(view, row, 'It')}"
    if terms.flops_budget or not row.cost:
        return text
    return f"{text} It takes {cost_text(row.cost)} the FLOPs of dense training."


def _gap(view: Overview, row: OverviewRow, name: str) -> str:
    """Return how a row, named so, stands against the reference, over tasks and in single cells."""
    single = _single_cells(row)
    found = row.against.comparison.difference if row.against else None
    if row.against is None or found is None or view.metric is None:
        return (
            "The tasks rank by different metrics, so that there is no difference over all of them: "
            f"{name if name != 'It' else 'it'} {single}."
        )
    number, low, high = difference_figures(view.metric, found)
    certain = []
    if low:
        certain.append(f"95 % interval {low} to {high}")
    if row.against.p is not None:
        certain.append(p_words(row.against.p))
    inside = f" ({', '.join(certain)})" if certain else ""
    unit = " points" if view.metric.unit == "percent" else ""
    way = ", + being better" if view.metric.better == "less" else ""
    tasks = row.against.tasks
    where = " on the one task" if tasks == 1 else f", averaged over the {tasks} tasks"
    return (
        f"{name} differs from {view.reference} by {number}{unit}{inside}{way}{where} that both "
        f"have; it {single}."
    )


def _single_cells(row: OverviewRow) -> str:
    """Return in which cells a row is shown to differ from the reference, after its name."""
    cells = row.wins + row.ties + row.losses
    if not cells:
        return f"has no cell with {MIN_SEEDS} common seeds"
    if cells == 1:
        shown = "better" if row.wins else "worse" if row.losses else ""
        return f"is {f'shown to be {shown}' if shown else 'not shown to differ'} in its one cell"
    return f"is shown to be better in {row.wins} and worse in {row.losses} of {cells} cells"


def _without_dense(view: Overview, terms: Terms) -> list[FindingPart]:
    """Return on which tasks there is no dense network, and what is missing for it."""
    lacking = [board.title for board in view.boards if not set(board.dense) - {"training_flops"}]
    if not lacking:
        return []
    needing = "Shares of dense" if terms.flops_budget else (
        "Shares of dense, and costs as multiples of dense training,"
    )  # fmt: skip
    where = "" if len(lacking) == len(view.boards) else f" on {names(lacking)}"
    return [
        FindingPart(
            "No dense run",
            f"{needing} need a dense run of the same recipe, and there is none{where}: run the "
            "method dense too.",
        )
    ]


def _not_ranked(view: Overview) -> list[FindingPart]:
    """Return who has no rank, and why: without any result, or without one on every task."""
    reasons: dict[str, list[str]] = {}
    where = "the compared task" if len(view.compared) == 1 else "some of the compared tasks"
    for row in view.rows:
        if row.entry.dense or row.rank is not None:
            continue
        if not row.ran:
            reasons.setdefault(_reason(row), []).append(row.entry.label)
        elif view.compared:
            words = sorted({row.lacking[task] for task in view.compared if task in row.lacking})
            reasons.setdefault(f"{', '.join(words)} on {where}", []).append(row.entry.label)
    parts = [f"{names(labels)} ({reason})" for reason, labels in reasons.items()]
    return [FindingPart("Not ranked", ". ".join(parts) + ".")] if parts else []


def note(view: Overview) -> str:
    """Return what the table shows and over what it is corrected."""
    gaps = [
        claim.comparison.difference
        for row in view.rows
        for claim in row.claims.values()
        if claim.comparison.difference
    ]
    if not view.reference or not gaps:
        return ""
    differences = f"Differences are from {view.reference} on the same seeds, + being better"
    scale = "± is where the scale of a column's points ends. "
    few = f"Fewer than {MIN_SEEDS} common seeds: no claim."
    if any(gap.low is not None for gap in gaps):
        differences += ", with 95 % intervals"
    one = view.comparisons == 1
    several = (
        "In a task's column are points only, one for each sparsity, the lowest at the top. "
        if len(view.sparsities) > 1
        else ""
    )
    if not view.comparisons:
        return f"{differences}. {scale}{several}{few}"
    tests = (
        f"Paired t-test at 5 % of the only comparison with {view.reference} in a cell"
        if one
        else f"Paired t-tests at 5 % in single cells, Holm-corrected over the {view.comparisons:,} "
        f"comparisons with {view.reference} that this table shows"
    )
    tested = sum(row.against is not None and row.against.p is not None for row in view.rows)
    over_all = "" if not tested else (
        "; over all tasks, a sign-flip test"
        + (f", Holm-corrected over the {tested} methods" if tested > 1 else "")
    )  # fmt: skip
    return (
        f"{differences}, which are not corrected; in colour, and the point filled: shown to "
        f"differ. {scale}{several}{tests}{over_all}. {few}"
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


def _score(view: Overview, row: OverviewRow) -> tuple[str, str]:
    """Return mean and half the interval on the one task at the one sparsity shown."""
    if len(view.boards) != 1 or len(view.sparsities) != 1:
        return "", ""
    (board,) = view.boards
    cell = dict(board.rows)[row.entry][board.sparsities.index(view.sparsities[0])]
    interval = cell.interval if cell else None
    return interval_texts(board.metric, interval) if interval else ("", "")


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


# ---------------------------------------------------------------- figures


def limit_text(metric: Column, limit: float) -> str:
    """Return the largest difference on a scale."""
    size = 100 * limit if metric.unit == "percent" else limit
    return plain(size)


def cost_text(cost: float | None) -> str:
    """Return FLOPs as a multiple."""
    if cost is None:
        return ""
    digits = 3 if cost < 0.0995 else 2
    return f"{fixed(cost, digits)} ×"


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


def _sentence(words: str) -> str:
    """Return words with a capital."""
    return f"{words[0].upper()}{words[1:]}"


def tenths(x: float) -> str:
    """Return a number with one decimal.

    Mean ranks over four tasks are quarters, so halves are common.
    """
    return fixed(x, 1)


def _rank(row: OverviewRow) -> str:
    return "" if row.rank is None else tenths(row.rank.mean)


def _ends(interval: Interval | None) -> str:
    if interval is None or interval.low is None or interval.high is None:
        return ""
    return f" (95 % interval {tenths(interval.low)} to {tenths(interval.high)})"
