"""Boards by the terms on which they compare methods: what may be shown and added up together."""

from collections.abc import Sequence
from dataclasses import dataclass

from leaderboard.boards import Board
from leaderboard.terms import EQUAL_STEPS, INDEX, Terms
from suite.core.errors import InvalidInput


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


def same_terms(boards: Sequence[Board]) -> None:
    """Check that boards may be shown in one table, or their scores pooled.

    Raises:
        InvalidInput: they are on different terms.
    """
    terms = sorted({board.terms for board in boards})
    if len(terms) > 1:
        listed = " and ".join(one.words for one in terms)
        raise InvalidInput(
            f"boards {listed} are never put together: give the boards of one group of "
            "board_groups(boards)"
        )
