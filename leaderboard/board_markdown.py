"""Boards as Markdown tables, spliced between two markers of a file that may hold other text."""

import html
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from leaderboard.board_claims import BoardClaims
from leaderboard.board_groups import BoardGroup, states_terms
from leaderboard.boards import Board, Cell, Entry
from leaderboard.sampling_error import sampling_error_text
from leaderboard.score_text import caption, interval_texts
from leaderboard.statistics.paired_comparisons import MIN_SEEDS
from leaderboard.terms import NO_UPDATE, OFF_BUDGET
from suite.core.errors import InvalidInput
from suite.core.shown_text import shown

BEGIN = "<!-- leaderboard:begin -->"
END = "<!-- leaderboard:end -->"
MAX_UNFOLDED = 2
"""Largest number of boards that are all shown unfolded."""


def cell_text(cell: Cell | None, sparsity: float | None) -> str:
    """Return a cell as text: mean ± half the interval in the metric's unit, or why there is none.

    `sparsity` is the nominal one, None if it is not a fraction of zeros.
    """
    if cell is None:
        return "not run"
    interval = cell.interval
    if interval is None:
        if cell.failures:
            return "failed"
        if cell.off_budget:
            return OFF_BUDGET
        return NO_UPDATE if cell.no_update else "out of date"
    text, half = interval_texts(cell.metric, interval)
    text += f" ± {half}" if half else ""
    if interval.n < MIN_SEEDS:
        text += f" (n = {interval.n})"
    if sparsity is not None and (zeros := cell.off_nominal(sparsity)) is not None:
        text += f", {100 * zeros:.1f} % zeros"
    if cell.failures:
        text += f", {len(cell.failures)} failed"
    return text


def row_texts(
    board: Board, entry: Entry, cells: Sequence[Cell | None], claims: BoardClaims | None = None
) -> list[str]:
    """Return the cells of a board's row as text, with the signs of `claims` if given."""
    nominal = [sparsity if entry.zeros else None for sparsity in board.sparsities]
    texts = list(map(cell_text, cells, nominal))
    if claims is None:
        return texts
    signs = [claims.signs.get((board.title, s), {}).get(entry) for s in board.sparsities]
    return [
        f"{text} {sign.sign}" if sign else text for text, sign in zip(texts, signs, strict=True)
    ]


def board_markdown(board: Board, claims: BoardClaims | None = None) -> str:
    """Return one board as a Markdown table of what its task ranks by.

    `claims` are those of all boards that are shown together.
    """
    head = ["Method", *(f"s = {sparsity:g}" for sparsity in board.sparsities)]
    what = caption(board.metric)
    first = f"**{escape(board.title)}**: {what}. Mean ± half the 95 % interval over seeds."
    lines = [f"{first} {sampling_error_text(board)}".rstrip(), ""]
    lines.append("| " + " | ".join(head) + " |")
    lines.append("|---" + "|---:" * len(board.sparsities) + "|")
    for entry, cells in board.rows:
        texts = row_texts(board, entry, cells, claims)
        lines.append("| " + " | ".join([escape(entry.label), *texts]) + " |")
    return "\n".join(lines)


def _on_terms(groups: Sequence[BoardGroup]) -> Iterator[str]:
    """Yield the boards' tables, under what is claimed from them unless all are at equal steps."""
    for group in groups:
        if states_terms(groups):
            yield f"**{escape(group.terms.heading)}.** {escape(group.terms.claim)}"
        where = f"tables {group.terms.words}" if states_terms(groups) else "these tables"
        if sentences := group.claims.sentences(f"in all {where}"):
            yield escape(sentences)
        yield from _folded(group.boards, group.claims)


def _folded(boards: Sequence[Board], claims: BoardClaims) -> Iterator[str]:
    """Yield the boards' tables; with more than two, all but the first are folded."""
    for number, board in enumerate(boards):
        table = board_markdown(board, claims)
        if number == 0 or len(boards) <= MAX_UNFOLDED:
            yield table
            continue
        title = html.escape(" ".join(shown(board.title).split()))
        yield f"<details><summary>{title}</summary>\n\n{table}\n\n</details>"


def surroundings(path: Path) -> tuple[str, str]:
    """Return the text of a file before and after the boards.

    Raises:
        InvalidInput: the file cannot be read, or does not hold both markers, once each, in order.
    """
    try:
        text = path.read_bytes().decode("utf-8") if path.exists() else f"{BEGIN}\n{END}\n"
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} cannot be read as UTF-8 text: {error}") from error
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise InvalidInput(
            f"{path} has no place for a leaderboard: add a line {BEGIN}, and after it a line {END}"
        )
    before, _, rest = text.partition(BEGIN)
    return before, rest.partition(END)[2]


def boards_markdown(groups: Sequence[BoardGroup]) -> str:
    """Return the tables of all boards, given in their groups."""
    return "\n\n".join(_on_terms(groups)) or "No trials yet."


def spliced(tables: str, around: tuple[str, str]) -> str:
    """Return a file's text with the tables (`boards_markdown`), given its `surroundings`."""
    before, after = around
    return f"{before}{BEGIN}\n{tables}\n{END}{after}"


def escape(text: str) -> str:
    """Return text as one line that Markdown shows literally."""
    one_line = html.escape(" ".join(shown(text).split()), quote=False)
    return re.sub(r"([\\|`*_\[\]])", r"\\\1", one_line)
