"""Two methods compared: in every cell that both have, and over all tasks together."""

from collections.abc import Sequence
from dataclasses import dataclass

from leaderboard.boards import Board, Cell, Entry
from leaderboard.statistics.multiple_comparisons import holm
from leaderboard.statistics.paired_comparisons import Comparison, compare, compare_over_tasks
from leaderboard.statistics.pooled_scores import seed_means
from suite.core.declarations import unknown
from suite.core.errors import InvalidInput

TUNED = "tuned"
"""Stands for the settings that a tuner found, in METHOD:tuned."""


@dataclass(frozen=True)
class CellComparison:
    """The comparison in one cell.

    Attributes:
        task, sparsity: the cell.
        comparison: on the seeds that both have.
        p: the p-value, Holm-corrected over the cells; None if there is none.
        verdict: the conclusion at the corrected p-value, in words.
    """

    task: str
    sparsity: float
    comparison: Comparison
    p: float | None
    verdict: str


@dataclass(frozen=True)
class MethodComparison:
    """The comparison of two entries.

    Attributes:
        first, second: their labels.
        lines: one per cell that both have.
        overall: over all tasks, weighted equally; None for a single cell.
        verdict: of `overall`, in words.
    """

    first: str
    second: str
    lines: list[CellComparison]
    overall: Comparison | None
    verdict: str


def compare_entries(
    boards: Sequence[Board], first: str, second: str, task: str | None = None
) -> MethodComparison:
    """Compare two entries, named ``METHOD``, ``METHOD:SETTINGS`` or ``METHOD:tuned``.

    Raises:
        InvalidInput: an entry does not exist or is ambiguous, or they share no cell.
    """
    chosen = [board for board in boards if task in (None, board.task)]
    if not chosen:
        raise InvalidInput(
            unknown("task", task or "", [board.task for board in boards], see="status")
        )
    one, two = _find(chosen, first), _find(chosen, second)
    cells = [
        (board.title, sparsity, mine, theirs)
        for board in chosen
        for sparsity, mine, theirs in _common(board, one, two)
    ]
    if not cells:
        raise InvalidInput(
            f"{one.label} and {two.label} have no task and sparsity in common: run both in one "
            "study"
        )
    comparisons = [compare(mine.by_seed, theirs.by_seed) for _, _, mine, theirs in cells]
    corrected = iter(holm([c.p for c in comparisons if c.p is not None]))
    lines = []
    for (title, sparsity, _, _), comparison in zip(cells, comparisons, strict=True):
        p = None if comparison.p is None else next(corrected)
        words = comparison.verdict(one.label, two.label, p=p)
        lines.append(CellComparison(title, sparsity, comparison, p, words))
    if len(cells) == 1:
        return MethodComparison(one.label, two.label, lines, None, lines[0].verdict)
    overall = compare_over_tasks(*_by_task(cells))
    words = overall.verdict(one.label, two.label)
    return MethodComparison(one.label, two.label, lines, overall, words)


def _by_task(
    cells: Sequence[tuple[str, float, Cell, Cell]],
) -> tuple[dict[str, dict[int, float]], dict[str, dict[int, float]]]:
    """Return task → seed → mean over the sparsities, for each of the two.

    Sparsities of one seed share initial weights and batches, so they are not independent pairs.
    """
    one, two = {}, {}
    for task in dict.fromkeys(title for title, *_ in cells):
        pairs = [(a, b) for title, _, a, b in cells if title == task]
        one[task], two[task] = map(seed_means, zip(*pairs, strict=True))
    return one, two


def _common(board: Board, one: Entry, two: Entry) -> list[tuple[float, Cell, Cell]]:
    rows = dict(board.rows)
    if one not in rows or two not in rows:
        return []
    triples = zip(board.sparsities, rows[one], rows[two], strict=True)
    return [(s, a, b) for s, a, b in triples if a and b and a.runs and b.runs]


def _find(boards: Sequence[Board], text: str) -> Entry:
    """Return the entry named by METHOD, METHOD:SETTINGS or METHOD:tuned; @DIGITS of older code."""
    words, _, older = text.partition("@")
    method, _, settings = words.partition(":")
    entries = {entry: entry for board in boards for entry, _ in board.rows}
    if (found := entries.get(Entry(method, settings, older=older))) is not None:
        return found
    same = [entry for entry in entries if entry.method == method]
    same.sort(key=lambda entry: (bool(entry.older), entry.tuned, entry.settings))
    chosen = [e for e in same if e.tuned == (settings == TUNED) and e.older == older]
    if len(chosen) == 1 and settings in ("", TUNED):
        return chosen[0]
    if same:
        names = ", ".join(dict.fromkeys(_name(entry) for entry in same))
        raise InvalidInput(f"'{text}' is not in the store: give one of {names}")
    raise InvalidInput(unknown("method", text, sorted({e.method for e in entries}), see="status"))


def _name(entry: Entry) -> str:
    settings = TUNED if entry.tuned else entry.settings
    name = f"{entry.method}:{settings}" if settings else entry.method
    name += f"@{entry.older}" if entry.older else ""
    return f"'{name}'" if settings or entry.older else name
