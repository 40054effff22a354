"""A leaderboard as Markdown, between two markers of a file that may hold other text."""

import html
import re
from pathlib import Path

from leaderboard.tables import Board, Cell
from suite.errors import InvalidInput

BEGIN = "<!-- leaderboard:begin -->"
END = "<!-- leaderboard:end -->"
ENOUGH = 5
"""Seeds below which a cell shows its n and is never set in bold."""


def cell_text(cell: Cell | None) -> str:
    """Return a cell in words: mean ± half the interval in per cent, or why there is none."""
    if cell is None:
        return "not run"
    interval = cell.interval
    if interval is None:
        return "failed"
    text = f"{100 * interval.mean:.2f}"
    if interval.half is not None:
        text += f" ± {100 * interval.half:.2f}"
    if interval.n < ENOUGH:
        text += f" (n = {interval.n})"
    if cell.failures:
        text += f", {len(cell.failures)} failed"
    return text


def board_markdown(board: Board) -> str:
    """Return one board as a Markdown table of test accuracy in per cent."""
    head = ["Method", *(f"s = {sparsity:g}" for sparsity in board.sparsities)]
    lines = [f"**{_escape(board.title)}**: test accuracy in %, mean ± 95 % interval over seeds", ""]
    lines.append("| " + " | ".join(head) + " |")
    lines.append("|---" + "|---:" * len(board.sparsities) + "|")
    for entry, cells in board.rows:
        lines.append("| " + " | ".join([_escape(entry.label), *map(cell_text, cells)]) + " |")
    return "\n".join(lines)


def spliced(boards: list[Board], path: Path) -> str:
    """Return the text of `path` with the boards between its markers; both, if it is a new file.

    Raises:
        InvalidInput: the file cannot be read, or does not hold both markers, once each, in order.
    """
    try:
        text = path.read_bytes().decode("utf-8") if path.exists() else f"{BEGIN}\n{END}\n"
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} cannot be read as UTF-8 text: {error}") from error
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise InvalidInput(
            f"{path} holds no place for a leaderboard: add a line {BEGIN} and after it a line {END}"
        )
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    tables = "\n\n".join(board_markdown(board) for board in boards) or "No trials yet."
    return f"{before}{BEGIN}\n{tables}\n{END}{after}"


def _escape(text: str) -> str:
    one_line = html.escape(" ".join(text.split()), quote=False)
    return re.sub(r"([\\|`*_\[\]])", r"\\\1", one_line)
