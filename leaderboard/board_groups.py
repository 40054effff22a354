"""Boards by the terms on which they compare methods: what may be shown and added up together."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from leaderboard.board_claims import BoardClaims, board_claims
from leaderboard.boards import Board
from leaderboard.terms import EQUAL_STEPS, INDEX, Terms


@dataclass(frozen=True)
class BoardGroup:
    """The boards on the same terms.

    Attributes:
        terms: of all its boards.
        boards: in their order.
        page: address of the page that shows them all.
    """

    terms: Terms
    boards: tuple[Board, ...]
    page: str

    @cached_property
    def claims(self) -> BoardClaims:
        """What its boards claim, as one family; several pages state it."""
        return board_claims(self.boards)

    @property
    def prefix(self) -> str:
        """What the names of its charts begin with; empty for those of the main page."""
        return "" if self.page == INDEX else self.page.removesuffix(".html") + "-"


def board_groups(boards: Sequence[Board]) -> list[BoardGroup]:
    """Return the boards by their terms, those at equal steps first; the first has the main page.

    Without a board there is one group, which is empty.
    """
    found: dict[Terms, list[Board]] = {} if boards else {EQUAL_STEPS: []}
    for board in boards:
        found.setdefault(board.terms, []).append(board)
    return [
        BoardGroup(terms, tuple(found[terms]), terms.page if number else INDEX)
        for number, terms in enumerate(sorted(found))
    ]


def states_terms(groups: Sequence[BoardGroup]) -> bool:
    """Return whether readers must be told the terms: there are several, or not those expected."""
    return [group.terms for group in groups] != [EQUAL_STEPS]


def on_other_terms(board: Board, boards: Sequence[Board]) -> list[Board]:
    """Return a board and those of its task that differ in their terms alone, by terms."""
    same = [one for one in boards if (one.task, one.otherwise) == (board.task, board.otherwise)]
    return sorted(same, key=lambda one: one.terms)
