"""The summary table of boards: methods × (task, sparsity), with intervals, ranks and the best."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from leaderboard.board_claims import BoardClaims, board_claims
from leaderboard.boards import Board, Cell, Entry, same_terms
from leaderboard.page_data import page_name
from leaderboard.score_text import heading, interval_texts
from leaderboard.statistics.multiple_comparisons import RankInterval
from leaderboard.statistics.paired_comparisons import MIN_SEEDS
from leaderboard.terms import NO_UPDATE, OFF_BUDGET

NOT_RUN = "not run"


@dataclass(frozen=True)
class Mark:
    """A symbol beside a cell, and its reason in words: a warning, or a claim."""

    kind: str
    sign: str
    reason: str


@dataclass(frozen=True)
class SummaryCell:
    """One cell of the table, as text.

    Attributes:
        mean: of the task's metric, in its unit; empty without a finished trial.
        half: half the 95 % interval; empty if there is none.
        rank: the possible ranks; empty if nothing is claimed.
        cost: training FLOPs as a multiple of the dense network's.
        best: whether no other is shown to be better and at least half are shown to be worse.
        top: "highest", or "lowest" where less is better, if it has the best mean of those with
            enough seeds, which is not a claim; else empty.
    """

    mean: str
    half: str
    rank: str
    cost: str
    best: bool
    top: str
    marks: list[Mark]


@dataclass(frozen=True)
class SummaryRow:
    """The cells of one entry; `page` is the address of its method's page."""

    entry: Entry
    page: str
    cells: list[SummaryCell]


@dataclass(frozen=True)
class SummaryHead:
    """The head of a task's columns.

    Attributes:
        title: of the board.
        page: the address of its page.
        sparsities: one for each of its columns.
        metric: what the task ranks by, with its unit.
    """

    title: str
    page: str
    sparsities: list[float]
    metric: str


@dataclass(frozen=True)
class SummaryTable:
    """The table: a head for each task, a row for each entry."""

    heads: list[SummaryHead]
    rows: list[SummaryRow]


def summary_table(boards: Sequence[Board], claims: BoardClaims | None = None) -> SummaryTable:
    """Return the table of all boards: dense entries first, then the best on average.

    `claims` are those of all boards that are shown together, of which these may be some; without
    them, these boards are the family.

    Raises:
        InvalidInput: the boards are on different terms.
    """
    same_terms(boards)
    claims = board_claims(boards) if claims is None else claims
    places = [(board, place) for board in boards for place in range(len(board.sparsities))]
    columns = [_cells(board, place) for board, place in places]
    tops = [max(_means(cells, MIN_SEEDS).values(), default=math.inf) for cells in columns]
    rows = []
    for entry in dict.fromkeys(entry for board in boards for entry, _ in board.rows):
        shown = [
            _shown(board, place, cells.get(entry), claims, entry, top)
            for (board, place), cells, top in zip(places, columns, tops, strict=True)
        ]
        rows.append(SummaryRow(entry, page_name("methods", entry.method), shown))
    means = [_means(cells) for cells in columns]
    better = {row.entry: _fraction_better(row.entry, means) for row in rows}
    rows.sort(key=lambda row: (not row.entry.dense, better[row.entry]))  # stable: board order
    heads = [
        SummaryHead(b.title, page_name("tasks", b.title), b.sparsities, heading(b.metric))
        for b in boards
    ]
    return SummaryTable(heads, rows)


def is_best(entry: Entry, n: int, ranks: dict[Entry, RankInterval]) -> bool:
    """Return whether no other is shown to be better and at least half are shown to be worse.

    Absence of a significant difference is not enough: few noisy seeds show no difference at all.
    """
    if n < MIN_SEEDS or entry not in ranks:
        return False
    best, worst = ranks[entry]
    others = len(ranks) - 1
    return best == 1 and others > 0 and 2 * (len(ranks) - worst) >= others


def marks(cell: Cell | None, sparsity: float | None) -> list[Mark]:
    """Return the marks of a cell; `sparsity` is the nominal one, None if it has none."""
    if cell is None:
        return [Mark("missing", "–", f"{NOT_RUN}: there is no trial")]
    found = []
    if 0 < len(cell.runs) < MIN_SEEDS:
        reason = f"n = {len(cell.runs)}: fewer than {MIN_SEEDS} seeds support no claim"
        found.append(Mark("few", f"n={len(cell.runs)}", reason))
    if sparsity is not None and (zeros := cell.off_nominal(sparsity)) is not None:
        percent = f"{100 * zeros:.1f} %"
        reason = f"{percent} of the weights are zero, not the nominal {100 * sparsity:g} %"
        found.append(Mark("off", f"s={percent}", reason))
    for kind, sign, word, reasons in (
        ("failed", "✕", "failed", cell.failures),
        ("outdated", "↺", "out of date", cell.outdated),
    ):
        if reasons:
            words = "; ".join(dict.fromkeys(reasons))
            found.append(Mark(kind, f"{sign}{len(reasons)}", f"{len(reasons)} {word}: {words}"))
    if cell.off_budget:
        words = "; ".join(dict.fromkeys(cell.off_budget))
        found.append(Mark("off-budget", OFF_BUDGET, f"{len(cell.off_budget)} not counted: {words}"))
    if cell.no_update:
        words = "; ".join(dict.fromkeys(cell.no_update))
        reason = f"{len(cell.no_update)} not counted as trials of the method: {words}"
        found.append(Mark("no-update", NO_UPDATE, reason))
    return found


def _cells(board: Board, place: int) -> dict[Entry, Cell]:
    return {entry: cell for entry, cells in board.rows if (cell := cells[place])}


def _shown(
    board: Board,
    place: int,
    cell: Cell | None,
    claims: BoardClaims,
    entry: Entry,
    top: float,
) -> SummaryCell:
    warnings = marks(cell, board.sparsities[place] if entry.zeros else None)
    where = (board.title, board.sparsities[place])
    ranks = claims.ranks[where]
    if (sign := claims.signs.get(where, {}).get(entry)) is not None:
        warnings.insert(0, Mark(sign.verdict, sign.sign, sign.reason))
    interval = cell.interval if cell else None
    if cell is None or interval is None:
        return SummaryCell("", "", "", "", False, "", warnings)
    mean, half = interval_texts(board.metric, interval)
    rank = ""
    if interval.n >= MIN_SEEDS and entry in ranks:
        best, worst = ranks[entry]
        rank = f"{best}" if best == worst else f"{best}–{worst}"
    flops = board.column(cell, "training_flops")
    cost = "" if flops is None else f"{flops:.{3 if flops < 0.0995 else 2}f}×"
    word = "lowest" if board.metric.better == "less" else "highest"
    highest = word if rank != "" and board.metric.sign * interval.mean == top else ""
    best_of = is_best(entry, interval.n, ranks)
    return SummaryCell(mean, half, rank, cost, best_of, highest, warnings)


def _means(cells: dict[Entry, Cell], min_seeds: int = 1) -> dict[Entry, float]:
    """Return the mean scores of competing entries with at least `min_seeds` seeds."""
    found = ((e, cell.interval, cell.metric) for e, cell in cells.items() if not e.dense)
    return {
        entry: metric.sign * interval.mean
        for entry, interval, metric in found
        if interval and interval.n >= min_seeds
    }


def _fraction_better(entry: Entry, columns: Sequence[dict[Entry, float]]) -> float:
    """Return the mean fraction of others with a better mean; 2 for an entry without a score."""
    fractions = []
    for means in columns:
        if entry in means:
            better = sum(mean > means[entry] for mean in means.values())
            fractions.append(better / len(means))
    return sum(fractions) / len(fractions) if fractions else 2.0
