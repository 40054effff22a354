"""Tables with a row for each method in one cell: its score, and its difference from the reference.

The pages of studies and of methods show them; `leaderboard.summary_table` has the same numbers of
all sparsities side by side.
"""

from collections.abc import Collection
from dataclasses import dataclass

from leaderboard.board_claims import BoardClaims
from leaderboard.board_columns import NAMED_COLUMNS
from leaderboard.boards import Board, Entry
from leaderboard.score_text import difference_texts, p_text, value_text
from leaderboard.statistics.families import Claim
from leaderboard.statistics.paired_comparisons import MIN_SEEDS, of_values
from leaderboard.summary_table import SummaryCell, SummaryTable

DENSE_NEEDED = "Training FLOPs (a multiple of dense training) and shares of dense"
ADD_DENSE = "add dense to the study file (methods: [dense, …]) and run the study again"
TOO_FEW = "–"
"""In place of the p-value of fewer than five common seeds."""


@dataclass(frozen=True)
class ResultRow:
    """A method in one cell, as text.

    Attributes:
        entry, page: the method, and the address of its page.
        cell: its score with its interval, possible ranks, cost and marks.
        seeds: number of finished trials.
        difference: from the reference, in points of metrics in per cent; empty for the reference,
            for dense networks, and without a common seed.
        interval: its 95 % interval; empty if there is none.
        p: of the difference, corrected over the family; `TOO_FEW` where it cannot decide.
        sparsity: realised, in per cent; empty without a finished trial.
        reference: whether it is the reference, or a dense network.
    """

    entry: Entry
    page: str
    cell: SummaryCell
    seeds: int
    difference: str
    interval: str
    p: str
    sparsity: str
    reference: bool


@dataclass(frozen=True)
class ResultTable:
    """The rows of a board at one sparsity."""

    sparsity: float
    rows: list[ResultRow]


def result_tables(
    board: Board,
    table: SummaryTable,
    claims: BoardClaims,
    only: Collection[Entry] | None = None,
) -> list[ResultTable]:
    """Return the rows of a board by sparsity: dense networks, the reference, then as in `table`.

    `table` is the board's own. With `only`, rows are of these entries, beside them those of dense
    networks and of the reference, and sparsities at which none of them has a trial are left out.
    """
    cells = dict(board.rows)
    ordered = sorted(table.rows, key=lambda row: (not row.entry.dense, not _is(row.entry, claims)))
    found = []
    for place, sparsity in enumerate(board.sparsities):
        against = claims.against.get((board.title, sparsity), {})
        rows = []
        for row in ordered:
            entry, cell = row.entry, cells[row.entry][place]
            beside = entry.dense or _is(entry, claims)
            if cell is None or not (only is None or entry in only or beside):
                continue
            zeros = cell.mean("realised_sparsity")
            realised = NAMED_COLUMNS["realised_sparsity"]
            rows.append(
                ResultRow(
                    entry,
                    row.page,
                    row.cells[place],
                    len(cell.runs),
                    *_difference(board, against.get(entry)),
                    "" if zeros is None else value_text(realised, zeros),
                    beside,
                )
            )
        if rows and (only is None or any(row.entry in only for row in rows)):
            found.append(ResultTable(sparsity, rows))
    return found


def _is(entry: Entry, claims: BoardClaims) -> bool:
    """Return whether an entry is the reference."""
    return bool(claims.reference) and entry.label == claims.reference


def _difference(board: Board, claim: Claim | None) -> tuple[str, str, str]:
    """Return difference, interval and p-value."""
    if claim is None or claim.comparison.difference is None:
        return "", "", ""
    shown = of_values(claim.comparison, board.metric.sign)
    mean, ends = difference_texts(board.metric, shown.difference)
    p = TOO_FEW if claim.p is None else p_text(claim.p).removeprefix("p").removeprefix(" = ")
    return mean, ends, p.strip()


def difference_note(claims: BoardClaims) -> str:
    """Return what the columns of the difference show; empty without a reference."""
    if not claims.reference:
        return ""
    few = f"{TOO_FEW} with fewer than {MIN_SEEDS} common seeds"
    return (
        f"Difference: from {claims.reference} on the same seeds (of per cents in points), with its "
        f"95 % interval and the corrected p-value ({few})."
    )


def dense_note(board: Board) -> str:
    """Return that a board lacks a dense network, and how to add one; empty if it has one."""
    dense = (cell for entry, _, cell in board.cells() if entry.dense and not entry.older)
    if any(cell.runs for cell in dense):
        return ""
    needed = "Shares of dense" if "training_flops" in board.dense else DENSE_NEEDED
    return f"{needed} need a dense run of the same recipe, which is missing here: {ADD_DENSE}."
