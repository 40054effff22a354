"""What a group of boards shows of each method over its tasks: the rows of the main page.

`assets/overview.js` computes the same in the browser for other sparsities, tasks, methods and
references: change both together.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from leaderboard.board_claims import REFERENCE, family_cells
from leaderboard.board_columns import Column
from leaderboard.boards import Board, Cell, Entry, same_terms
from leaderboard.page_data import page_name
from leaderboard.pooled_scores import seed_means
from leaderboard.statistics.aggregates import interquartile_mean, mean_ranks_over_tasks
from leaderboard.statistics.families import (
    Claim,
    ClaimOverTasks,
    Family,
    against_reference,
    over_tasks,
)
from leaderboard.statistics.intervals import Interval
from leaderboard.statistics.paired_comparisons import ALPHA, MIN_SEEDS, Verdict

SeedsByTask = dict[str, dict[int, float]]
"""Task's title → seed → score, of which more is better."""


@dataclass(frozen=True)
class OverviewRow:
    """One entry over the tasks of a view.

    Attributes:
        rank: its mean rank among the entries that ran on all compared tasks; None if it lacks one.
        share: the interquartile mean of its runs on these tasks as a fraction of the dense
            network's; None where the metric has no such fraction, or it lacks a task.
        wins, ties, losses: in how many cells it is shown to be better than the reference, not
            shown to differ, and shown to be worse.
        cost: its mean training FLOPs in the cells it has, as a multiple of dense training; None
            also where a task has no dense network.
        ran: whether it has a finished trial in a cell shown.
        against: the comparison with the reference over the tasks both have; None for dense
            networks, for the reference, and where tasks are ranked by different metrics.
        claims: the comparisons with the reference in single cells, by task's title and sparsity.
        lacking: task's title → why it has no score there.
    """

    entry: Entry
    page: str
    rank: Interval | None
    share: Interval | None
    wins: int
    ties: int
    losses: int
    cost: float | None
    ran: bool
    against: ClaimOverTasks | None
    claims: dict[tuple[str, float], Claim]
    lacking: dict[str, str]


@dataclass(frozen=True)
class Overview:
    """The rows of a view, and what they have in common.

    Attributes:
        sparsities: those shown, in order.
        boards: those shown: with at least one of the sparsities.
        compared: titles of the tasks that ranks and shares are over.
        rows: dense networks, then by mean rank, then those without one.
        reference: its label; empty if no cell has it.
        comparisons: number of comparisons in single cells that are corrected together.
        metric: what all tasks are ranked by; None if they differ.
        fewest, most: numbers of seeds of the ranked entries on a task.
        against_leader: label → how the other ranked entries compare with the first over the
            compared tasks; undecided where so few seeds cannot show a difference.
    """

    sparsities: tuple[float, ...]
    boards: tuple[Board, ...]
    compared: tuple[str, ...]
    rows: tuple[OverviewRow, ...]
    reference: str
    comparisons: int
    metric: Column | None
    fewest: int
    most: int
    against_leader: dict[str, Verdict]

    @property
    def ranked(self) -> list[OverviewRow]:
        """The rows that have a mean rank, the best first."""
        return [row for row in self.rows if row.rank is not None]


def overview(
    boards: Sequence[Board],
    sparsities: Collection[float] | None = None,
    reference: str = REFERENCE,
) -> Overview:
    """Return the overview at some sparsities; None stands for `default_sparsities`.

    An entry is scored on a task by the mean over the sparsities that the task's board has of them,
    for the seeds it has at all of these. Ranks are over the tasks and entries of
    `complete_block`, so nothing is imputed. `reference` is the name of a method.

    Raises:
        InvalidInput: the boards are on different terms.
    """
    same_terms(boards)
    if sparsities is None:
        sparsities = default_sparsities(boards)
    shown = [board for board in boards if set(board.sparsities) & set(sparsities)]
    scores, lacking = _scores(shown, sparsities)
    present = {entry for board in shown for entry, _ in board.rows}
    entries = {e.label: e for board in boards for e, _ in board.rows if e in present}
    enough = {
        label: {task: by for task, by in tasks.items() if len(by) >= MIN_SEEDS}
        for label, tasks in scores.items()
        if not entries[label].dense
    }
    block, compared = complete_block(enough)
    inside = {label: {task: scores[label][task] for task in compared} for label in block}
    chosen = Entry(reference, "").label
    metrics = {board.metric.name: board.metric for board in shown}
    metric = next(iter(metrics.values())) if len(metrics) == 1 else None
    ranks = mean_ranks_over_tasks(_runs(inside)) if inside else {}
    family = _family(shown, sparsities, chosen)
    against = _over_tasks(scores, entries, chosen) if metric else {}
    rows = [
        _row(entry, shown, sparsities, compared, scores, ranks, family, against, lacking)
        for entry in entries.values()
    ]
    rows.sort(key=lambda row: _order(row, chosen))  # stable: in the order of the boards
    seeds = [len(by) for tasks in inside.values() for by in tasks.values()]
    return Overview(
        tuple(sorted({s for board in shown for s in board.sparsities if s in sparsities})),
        tuple(shown),
        compared,
        tuple(rows),
        chosen if family.claims else "",
        family.tested,
        metric,
        min(seeds, default=0),
        max(seeds, default=0),
        _against_leader(rows, inside),
    )


def default_sparsities(boards: Sequence[Board]) -> list[float]:
    """Return what is shown first: the highest sparsity at which most of the comparison was run.

    That is the highest with at least half as many ranked scores as the one that has the most.
    Differences between methods are largest there.
    """
    sizes = {}
    for sparsity in sorted({s for board in boards for s in board.sparsities}):
        counted = [
            (entry.label, board.title)
            for board in boards
            if sparsity in board.sparsities
            for entry, cells in board.rows
            if not entry.dense and (cell := cells[board.sparsities.index(sparsity)]) and cell.runs
        ]
        sizes[sparsity] = len(counted)
    most = max(sizes.values(), default=0)
    return [max(s for s, size in sizes.items() if 2 * size >= most)] if sizes else []


def complete_block(
    scores: Mapping[str, Mapping[str, object]],
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return entries and tasks such that every one of the entries has a score on all the tasks.

    Of the candidates, whose tasks are those of one entry or those that two have in common, it is
    the one with the most scores, then the one with the most tasks; at least two entries.
    """
    tasks_of = {label: frozenset(by) for label, by in scores.items() if by}
    candidates = {one & other for one in tasks_of.values() for other in tasks_of.values()}
    best: tuple[int, int, list[str], list[str]] = (0, 0, [], [])
    for tasks in sorted(candidates, key=sorted):
        members = [label for label, own in tasks_of.items() if own >= tasks]
        found = (len(members) * len(tasks), len(tasks), members, sorted(tasks))
        if tasks and len(members) > 1 and found[:2] > best[:2]:
            best = found
    return tuple(best[2]), tuple(best[3])


def _scores(
    boards: Sequence[Board], sparsities: Collection[float]
) -> tuple[dict[str, SeedsByTask], dict[str, dict[str, str]]]:
    """Return entry → task → seed → score, and entry → task → why it has none."""
    scores: dict[str, SeedsByTask] = {}
    lacking: dict[str, dict[str, str]] = {}
    labels = dict.fromkeys(entry.label for board in boards for entry, _ in board.rows)
    for board in boards:
        places = [i for i, s in enumerate(board.sparsities) if s in sparsities]
        present = {entry.label: row for entry, row in board.rows}
        for label in labels:
            cells = [present[label][i] if label in present else None for i in places]
            means = seed_means(cells)
            if means:
                scores.setdefault(label, {})[board.title] = means
            if len(means) < MIN_SEEDS:
                lacking.setdefault(label, {})[board.title] = _why(cells, len(means))
    return scores, lacking


def _why(cells: Sequence[Cell | None], seeds: int) -> str:
    """Return why an entry has too few seeds at all of these cells."""
    for cell in cells:
        if cell is None:
            return "not run"
        if not cell.runs:
            words = (
                ("failed", cell.failures),
                ("out of date", cell.outdated),
                ("off budget", cell.off_budget),
                ("no update", cell.no_update),
            )
            return next((word for word, found in words if found), "not run")
    return f"{seeds} {'seed' if seeds == 1 else 'seeds'}"


def _family(boards: Sequence[Board], sparsities: Collection[float], reference: str) -> Family:
    cells = [cell for board in boards for cell in family_cells(board)]
    return against_reference([cell for cell in cells if cell.sparsity in sparsities], reference)


def _over_tasks(
    scores: Mapping[str, SeedsByTask], entries: Mapping[str, Entry], reference: str
) -> dict[str, ClaimOverTasks]:
    """Return entry → comparison with the reference over tasks, of those that compete."""
    competing = {label: by for label, by in scores.items() if not entries[label].dense}
    if reference not in competing:
        return {}
    return {claim.method: claim for claim in over_tasks(competing, reference) if claim.tasks}


def _against_leader(
    rows: Sequence[OverviewRow], scores: Mapping[str, SeedsByTask]
) -> dict[str, Verdict]:
    """Return how the ranked entries compare with the first of them over tasks.

    So few pairs may be common that no p-value reaches 5 % after the correction: that no difference
    is shown then says nothing.
    """
    first = next((row.entry.label for row in rows if row.rank is not None), None)
    if first is None:
        return {}
    claims = over_tasks(scores, first)
    tested = sum(claim.p is not None for claim in claims)
    return {
        claim.method: Verdict.UNDECIDED
        if claim.comparison.least_p * tested > ALPHA
        else claim.verdict
        for claim in claims
    }


def _runs(scores: Mapping[str, SeedsByTask]) -> dict[str, dict[str, list[float]]]:
    return {
        label: {task: [by[seed] for seed in sorted(by)] for task, by in tasks.items()}
        for label, tasks in scores.items()
    }


def _row(
    entry: Entry,
    boards: Sequence[Board],
    sparsities: Collection[float],
    compared: Sequence[str],
    scores: Mapping[str, SeedsByTask],
    ranks: Mapping[str, Interval],
    family: Family,
    against: Mapping[str, ClaimOverTasks],
    lacking: Mapping[str, Mapping[str, str]],
) -> OverviewRow:
    label = entry.label
    claims = {(one.task, one.sparsity): one for one in family.claims if one.method == label}
    verdicts = [one.verdict for one in claims.values() if one.p is not None]
    wins, losses = (verdicts.count(one) for one in (Verdict.BETTER, Verdict.WORSE))
    whole = label in ranks or entry.dense
    return OverviewRow(
        entry,
        page_name("methods", entry.method),
        ranks.get(label),
        _share(boards, compared, scores.get(label, {})) if whole else None,
        wins,
        len(verdicts) - wins - losses,
        losses,
        _cost(entry, boards, sparsities),
        any(
            cell.runs
            for board in boards
            for one, _, cell in _cells(board, sparsities)
            if one == entry
        ),
        against.get(label),
        claims,
        dict(lacking.get(label, {})),
    )


def _share(
    boards: Sequence[Board], compared: Sequence[str], scores: SeedsByTask
) -> Interval | None:
    """Return the interquartile mean of runs ÷ dense on the compared tasks."""
    runs = {}
    for board in boards:
        if board.title not in compared:
            continue
        dense = board.dense.get(board.metric.name)
        if not board.metric.fraction or not dense or board.title not in scores:
            return None
        by = scores[board.title]
        runs[board.title] = [by[seed] / dense for seed in sorted(by)]
    return interquartile_mean(runs) if runs else None


def _cost(entry: Entry, boards: Sequence[Board], sparsities: Collection[float]) -> float | None:
    """Return the mean of training FLOPs ÷ dense over the cells that have a run."""
    found = [
        flops
        for board in boards
        for one, _, cell in _cells(board, sparsities)
        if one == entry and (flops := board.column(cell, "training_flops")) is not None
    ]
    return sum(found) / len(found) if found else None


def _cells(board: Board, sparsities: Collection[float]) -> list[tuple[Entry, float | None, Cell]]:
    return [
        (entry, sparsity, cell)
        for entry, sparsity, cell in board.cells()
        if sparsity is None or sparsity in sparsities
    ]


def _order(row: OverviewRow, reference: str) -> tuple[int, float]:
    """Return what rows are sorted by: without a rank, the difference from the reference."""
    if row.entry.dense:
        return 0, 0.0
    if row.rank is not None:
        return 1, round(row.rank.mean, 9)  # equal ones, summed in another order, differ by less
    gap = row.against.comparison.difference if row.against else None
    if gap is not None:
        return 2, -gap.mean
    if row.entry.label == reference:
        return 2, 0.0
    return (3, 0.0) if row.ran else (4, 0.0)
