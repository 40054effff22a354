"""The table at a glance: methods × (task, sparsity), how sure each figure is, and who is best.

`assets/summary_table.js` draws the same table in the browser, where tasks, sparsities, competitors and
the column can be chosen; this one is what the page shows before, and without a script.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from leaderboard.data import page_name
from leaderboard.statistics import ENOUGH, rank_intervals
from leaderboard.tables import Board, Cell, Entry

RankInterval = tuple[int, int]

NOT_RUN = "not run"


@dataclass(frozen=True)
class Mark:
    """What a reader must know of a cell: a sign, and what it stands for in words."""

    kind: str
    sign: str
    reason: str


@dataclass(frozen=True)
class Shown:
    """One cell of the table, in words.

    Attributes:
        mean: in per cent; empty without a finished trial.
        half: half the 95 % interval, in per cent; empty where there is none.
        rank: the ranks it may have; empty where nothing is claimed.
        cost: training operations as a multiple of the dense network's.
        best: whether no other is shown to be better and at least half are shown to be worse.
        highest: whether no other with enough seeds has a higher mean, which is no claim.
    """

    mean: str
    half: str
    rank: str
    cost: str
    best: bool
    highest: bool
    marks: list[Mark]


@dataclass(frozen=True)
class Row:
    """One competitor."""

    entry: Entry
    page: str
    cells: list[Shown]


@dataclass(frozen=True)
class SummaryTable:
    """The table: `heads` are task's title, its page and its sparsities."""

    heads: list[tuple[str, str, list[float]]]
    rows: list[Row]


def summary_table(boards: Sequence[Board]) -> SummaryTable:
    """Return the table of all boards, dense entries first, then by how they stand on average."""
    places = [(board, place) for board in boards for place in range(len(board.sparsities))]
    contests = [_cells(board, place) for board, place in places]
    ranks = [rank for board in boards for rank in ranks_of(board)]
    tops = [max(_means(cells, ENOUGH).values(), default=math.inf) for cells in contests]
    rows = []
    for entry in dict.fromkeys(entry for board in boards for entry, _ in board.rows):
        shown = [
            _shown(board, place, cells.get(entry), rank, entry, top)
            for (board, place), cells, rank, top in zip(places, contests, ranks, tops, strict=True)
        ]
        rows.append(Row(entry, page_name("methods", entry.method), shown))
    means = [_means(cells) for cells in contests]
    standing = {row.entry: _standing(row.entry, means) for row in rows}
    rows.sort(key=lambda row: (not row.entry.dense, standing[row.entry]))  # stable: board order
    heads = [(b.title, page_name("tasks", b.title), b.sparsities) for b in boards]
    return SummaryTable(heads, rows)


def ranks_of(board: Board) -> list[dict[Entry, RankInterval]]:
    """Return the ranks that each entry may have at each sparsity of a board.

    Dense networks are what others are measured by and take no rank.
    """
    entries = [entry for entry, _ in board.rows]
    among = [
        {str(i): cell.by_seed for i, (entry, cells) in enumerate(board.rows)
         if (cell := cells[place]) and cell.runs and not entry.dense}
        for place in range(len(board.sparsities))
    ]  # fmt: skip
    return [
        {entries[int(number)]: interval for number, interval in found.items()}
        for found in rank_intervals(among)
    ]


def is_best(entry: Entry, n: int, ranks: dict[Entry, RankInterval]) -> bool:
    """Return whether no other is shown to be better and at least half are shown to be worse.

    Not to be told apart is not enough: of few seeds that vary much nothing can be told apart.
    """
    if n < ENOUGH or entry not in ranks:
        return False
    best, worst = ranks[entry]
    others = len(ranks) - 1
    return best == 1 and others > 0 and 2 * (len(ranks) - worst) >= others


def marks(cell: Cell | None, sparsity: float | None) -> list[Mark]:
    """Return the marks of a cell; `sparsity` is its nominal fraction of zeros, None if it has none."""
    if cell is None:
        return [Mark("missing", "–", f"{NOT_RUN}: there is no trial of it")]
    found = []
    if 0 < len(cell.runs) < ENOUGH:
        reason = f"n = {len(cell.runs)}: fewer than {ENOUGH} seeds make no claim"
        found.append(Mark("few", f"n={len(cell.runs)}", reason))
    if sparsity is not None and (zeros := cell.off_nominal(sparsity)) is not None:
        share = f"{100 * zeros:.1f} %"
        reason = f"{share} of the weights are zero, not the nominal {100 * sparsity:g} %"
        found.append(Mark("off", f"s={share}", reason))
    for kind, sign, word, reasons in (
        ("failed", "✕", "failed", cell.failures),
        ("outdated", "↺", "out of date", cell.outdated),
    ):
        if reasons:
            words = "; ".join(dict.fromkeys(reasons))
            found.append(Mark(kind, f"{sign}{len(reasons)}", f"{len(reasons)} {word}: {words}"))
    return found


def _cells(board: Board, place: int) -> dict[Entry, Cell]:
    return {entry: cell for entry, cells in board.rows if (cell := cells[place])}


def _shown(
    board: Board,
    place: int,
    cell: Cell | None,
    ranks: dict[Entry, RankInterval],
    entry: Entry,
    top: float,
) -> Shown:
    signs = marks(cell, board.sparsities[place] if entry.zeros else None)
    interval = cell.interval if cell else None
    if cell is None or interval is None:
        return Shown("", "", "", "", False, False, signs)
    half = "" if interval.half is None else f"{100 * interval.half:.2f}"
    rank = ""
    if interval.n >= ENOUGH and entry in ranks:
        best, worst = ranks[entry]
        rank = f"{best}" if best == worst else f"{best}–{worst}"
    flops = board.column(cell, "training_flops")
    cost = "" if flops is None else f"{flops:.{3 if flops < 0.0995 else 2}f}×"
    highest = rank != "" and interval.mean == top
    best_of = is_best(entry, interval.n, ranks)
    return Shown(f"{100 * interval.mean:.2f}", half, rank, cost, best_of, highest, signs)


def _means(cells: dict[Entry, Cell], least: int = 1) -> dict[Entry, float]:
    """Return the means of those that compete, with at least so many seeds."""
    found = ((e, cell.interval) for e, cell in cells.items() if not e.dense)
    return {entry: interval.mean for entry, interval in found if interval and interval.n >= least}


def _standing(entry: Entry, contests: Sequence[dict[Entry, float]]) -> float:
    """Return the mean fraction of others that are better by their means; 2 where it has no score."""
    shares = []
    for means in contests:
        if entry in means:
            better = sum(mean > means[entry] for mean in means.values())
            shares.append(better / len(means))
    return sum(shares) / len(shares) if shares else 2.0
