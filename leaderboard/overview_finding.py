"""The overview in words: what was found, and what the table shows.

`assets/overview_text.js` writes the same in the browser: change both together.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from leaderboard.overview import Overview, OverviewRow
from leaderboard.score_text import (
    difference_figures,
    fixed,
)
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
        f"{ends_text(first.rank)} {tasks}{sparsities_text(view)}, {seeds} seeds each. "
        f"{_told(view)}",
    )


def _rank_words(view: Overview, row: OverviewRow) -> str:
    """Return a rank in words; that on a single task is no mean, and 1 rather than 1.0."""
    return f"rank {rank_text(row).removesuffix('.0')}" if len(view.compared) == 1 else (
        f"mean rank {rank_text(row)}"
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
    text = f"{words[0].upper()}{words[1:]} of {len(view.ranked)}{ends_text(row.rank)}."
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
            reasons.setdefault(unranked_reason(row), []).append(row.entry.label)
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


# ---------------------------------------------------------------- figures


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


def tenths(x: float) -> str:
    """Return a number with one decimal.

    Mean ranks over four tasks are quarters, so halves are common.
    """
    return fixed(x, 1)


def unranked_reason(row: OverviewRow) -> str:
    """Return why a row has no rank."""
    if row.entry.dense or row.rank is not None:
        return ""
    if not row.ran:
        return ", ".join(sorted(set(row.lacking.values()) - {"not run"}) or ["not run"])
    return "; ".join(f"{task}: {why}" for task, why in row.lacking.items())


def rank_text(row: OverviewRow) -> str:
    """Return a mean rank with one decimal; empty without one."""
    return "" if row.rank is None else tenths(row.rank.mean)


def ends_text(interval: Interval | None) -> str:
    """Return an interval of ranks in brackets, with a space before it; empty if there is none."""
    if interval is None or interval.low is None or interval.high is None:
        return ""
    return f" (95 % interval {tenths(interval.low)} to {tenths(interval.high)})"
