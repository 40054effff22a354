"""What boards claim: ranks from all pairs, and each method against the reference.

All boards that are handed over are one family, so that a cell says the same in docs/results.md, on
the main page, and on the pages of its task and its method.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from leaderboard.boards import Board, Entry, same_terms
from leaderboard.score_text import (
    DEFAULT_ROPE,
    default_rope,
    difference_texts,
    p_text,
    rope_text,
)
from leaderboard.statistics.families import Claim, Family, FamilyCell, against_reference
from leaderboard.statistics.multiple_comparisons import AllPairs, RankInterval, all_pairs
from leaderboard.statistics.paired_comparisons import MIN_SEEDS, Verdict, of_values

REFERENCE = "rigl"
"""The method that others are compared with, at its default settings, where it is present."""
SIGNS = {Verdict.BETTER: "▲", Verdict.WORSE: "▼", Verdict.EQUIVALENT: "≈"}

QUOTED_ELSEWHERE = (
    "In a paper quote the p-values of the study's page: they are corrected over that study alone, "
    "as the signs of the paper view are, whatever else is on this site."
)
QUOTED_HERE = "These are the p-values to quote in a paper: the signs of its paper view agree."
"""Which of the p-values of one comparison are for a paper (docs/protocol.md, Statistics)."""
QUOTED_BY_TABLE = (
    "Each table of an ablation is a family by itself: its p-values, of paired t-tests, are "
    f"Holm-corrected over its rows with at least {MIN_SEEDS} common seeds, and not over the other "
    "tables, tasks and sparsities of the ablation. In a paper quote those of the tables that were "
    "to answer its question before the results were known, and say over how many rows they are "
    "corrected: a table that is chosen among several afterwards corrects over too few."
)
"""The same for an ablation."""

Place = tuple[str, float]
"""The title of a board, and a sparsity."""


@dataclass(frozen=True)
class ReferenceSign:
    """How a cell compares with the reference: a sign, and what it says in words."""

    verdict: Verdict
    sign: str
    reason: str


@dataclass(frozen=True)
class BoardClaims:
    """The claims of boards.

    Attributes:
        ranks: the possible ranks of each entry in each cell; dense networks have none.
        pairs: number of pairs that the ranks are corrected over.
        against: each entry minus the reference, by cell.
        signs: how entries compare with the reference, by cell; no sign where no difference is
            shown or too few seeds are common.
        reference: its label; empty if no board has it.
        comparisons: number of comparisons with the reference, which are corrected together.
        within: the region of practical equivalence, in words; empty if there is none.
    """

    ranks: dict[Place, dict[Entry, RankInterval]]
    pairs: int
    against: dict[Place, dict[Entry, Claim]]
    signs: dict[Place, dict[Entry, ReferenceSign]]
    reference: str
    comparisons: int
    within: str

    def sentences(self, where: str = "in all cells shown") -> str:
        """Return what the signs mean, and over what they are corrected; empty without a reference.

        `where` says where the cells are that the family consists of.
        """
        if not self.reference or not self.comparisons:
            return ""
        one = self.comparisons == 1
        family = "one comparison" if one else f"{self.comparisons:,} comparisons"
        alike = f", ≈ equivalent to it within ± {self.within}" if self.within else ""
        return (
            f"▲ better and ▼ worse than {self.reference} on the same seeds{alike}; no sign: no "
            f"difference shown, or fewer than {MIN_SEEDS} common seeds. Paired t-tests "
            f"at 5 %, Holm-corrected over the {family} with "
            f"{self.reference} {where}."
        )


def board_claims(boards: Sequence[Board], reference: str = REFERENCE) -> BoardClaims:
    """Return the claims of boards, each kind corrected over all their cells.

    `reference` is the name of a method.

    Raises:
        InvalidInput: the boards are on different terms, which are never one family.
    """
    same_terms(boards)
    cells = [cell for board in boards for cell in family_cells(board)]
    pairs: AllPairs = all_pairs([cell.scores for cell in cells])
    chosen = Entry(reference, "")
    family: Family = against_reference(cells, chosen.label)
    entries = {entry.label: entry for board in boards for entry, _ in board.rows}
    ranks = {
        (cell.task, cell.sparsity): {entries[label]: rank for label, rank in found.items()}
        for cell, found in zip(cells, pairs.ranks, strict=True)
    }
    titles = {board.title: board for board in boards}
    against: dict[Place, dict[Entry, Claim]] = {}
    signs: dict[Place, dict[Entry, ReferenceSign]] = {}
    for claim in family.claims:
        place, entry = (claim.task, claim.sparsity), entries[claim.method]
        against.setdefault(place, {})[entry] = claim
        if claim.verdict in SIGNS:
            sign = _sign(titles[claim.task], claim, chosen.label)
            signs.setdefault(place, {})[entry] = sign
    named = chosen.label if family.claims else ""
    return BoardClaims(ranks, pairs.tested, against, signs, named, family.tested, _within(boards))


def family_cells(board: Board) -> list[FamilyCell]:
    """Return a board's columns as cells of a family; dense networks are no competitors."""
    return [
        FamilyCell(
            board.title,
            sparsity,
            {
                entry.label: cell.by_seed
                for entry, cells in board.rows
                if (cell := cells[place]) and cell.runs and not entry.dense
            },
            default_rope(board.metric),
            board.resolution,
        )
        for place, sparsity in enumerate(board.sparsities)
    ]


def _within(boards: Sequence[Board]) -> str:
    """Return the region of practical equivalence of all boards, in words."""
    ropes = [default_rope(board.metric) for board in boards]
    only = " (only where scores are in per cent)" if None in ropes else ""
    return f"{DEFAULT_ROPE:g} points{only}" if any(ropes) else ""


def _sign(board: Board, claim: Claim, reference: str) -> ReferenceSign:
    """Return the sign of a claim."""
    shown = of_values(claim.comparison, board.metric.sign)
    mean, ends = difference_texts(board.metric, shown.difference)
    unit = " points" if board.metric.unit == "percent" else ""
    if claim.verdict is Verdict.EQUIVALENT:
        within = rope_text(board.metric, default_rope(board.metric))
        words, p = f"equivalent to {reference} within ± {within}", claim.equivalence_p
    else:
        words, p = f"{claim.verdict} than {reference}", claim.p
    numbers = f"difference {mean}{unit}, 95 % interval {ends}" if ends else f"difference {mean}"
    certain = "" if p is None else f", corrected {p_text(p)}"
    return ReferenceSign(claim.verdict, SIGNS[claim.verdict], f"{words}: {numbers}{certain}")
