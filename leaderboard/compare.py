"""Two methods side by side: every cell that both have, and all of them together."""

from collections.abc import Sequence
from dataclasses import dataclass

from leaderboard.statistics import Comparison, compare, compare_over_tasks, holm
from leaderboard.tables import Board, Cell, Entry
from suite.declare import unknown
from suite.errors import InvalidInput


@dataclass(frozen=True)
class Line:
    """One cell of a comparison.

    Attributes:
        task, sparsity: which cell.
        comparison: on the seeds that both have.
        p: the p-value, Holm-corrected over the cells; None where there is none.
        verdict: what may be said at the corrected p-value, in words.
    """

    task: str
    sparsity: float
    comparison: Comparison
    p: float | None
    verdict: str


@dataclass(frozen=True)
class Report:
    """What is known of two entries.

    Attributes:
        first, second: their labels.
        lines: a line per cell that both have.
        overall: all tasks together, each weighing alike; None for a single cell.
        verdict: of `overall`, in words.
    """

    first: str
    second: str
    lines: list[Line]
    overall: Comparison | None
    verdict: str


def compare_entries(
    boards: Sequence[Board], first: str, second: str, task: str | None = None
) -> Report:
    """Compare two entries of the boards, named ``METHOD`` or ``METHOD:SETTINGS``.

    Raises:
        InvalidInput: no such entry, several of one method, or no cell that both have.
    """
    chosen = [board for board in boards if task in (None, board.task)]
    if not chosen:
        raise InvalidInput(
            unknown("task", task or "", [board.task for board in boards], see="status")
        )
    one, two = _find(chosen, first), _find(chosen, second)
    cells = [
        (board.title, sparsity, _by_seed(mine), _by_seed(theirs))
        for board in chosen
        for sparsity, mine, theirs in _common(board, one, two)
    ]
    if not cells:
        raise InvalidInput(
            f"{one.label} and {two.label} have no task and sparsity in common: run both in one "
            "study"
        )
    found = [compare(mine, theirs) for _, _, mine, theirs in cells]
    corrected = iter(holm([c.p for c in found if c.p is not None]))
    lines = []
    for (title, sparsity, _, _), comparison in zip(cells, found, strict=True):
        p = None if comparison.p is None else next(corrected)
        words = comparison.verdict(one.label, two.label, p=p)
        lines.append(Line(title, sparsity, comparison, p, words))
    if len(cells) == 1:
        return Report(one.label, two.label, lines, None, lines[0].verdict)
    overall = compare_over_tasks(*_by_task(cells))
    words = overall.verdict(one.label, two.label)
    return Report(one.label, two.label, lines, overall, words)


def _by_seed(cell: Cell) -> dict[int, float]:
    return dict(zip(cell.seeds, cell.values, strict=True))


def _by_task(
    cells: Sequence[tuple[str, float, dict[int, float], dict[int, float]]],
) -> tuple[dict[str, dict[int, float]], dict[str, dict[int, float]]]:
    """Return task → seed → mean over the sparsities, of the seeds that all of them have.

    The sparsities of one seed share initial weights and batches, so they are not further pairs.
    """
    one: dict[str, dict[int, float]] = {}
    two: dict[str, dict[int, float]] = {}
    for task in dict.fromkeys(title for title, *_ in cells):
        here = [(a, b) for title, _, a, b in cells if title == task]
        seeds = set.intersection(*(set(a) & set(b) for a, b in here))
        one[task] = {s: sum(a[s] for a, _ in here) / len(here) for s in sorted(seeds)}
        two[task] = {s: sum(b[s] for _, b in here) / len(here) for s in sorted(seeds)}
    return one, two


def _common(board: Board, one: Entry, two: Entry) -> list[tuple[float, Cell, Cell]]:
    rows = dict(board.rows)
    if one not in rows or two not in rows:
        return []
    triples = zip(board.sparsities, rows[one], rows[two], strict=True)
    return [(s, a, b) for s, a, b in triples if a and b and a.values and b.values]


def _find(boards: Sequence[Board], text: str) -> Entry:
    method, _, settings = text.partition(":")
    entries = {entry for board in boards for entry, _ in board.rows}
    if Entry(method, settings) in entries:
        return Entry(method, settings)
    same = sorted(entry.settings for entry in entries if entry.method == method)
    if len(same) == 1 and not settings:
        return Entry(method, same[0])
    if same:
        names = ", ".join(f"'{method}:{one}'" if one else method for one in same)
        raise InvalidInput(f"'{text}' is not in the store; of {method} there are {names}")
    raise InvalidInput(unknown("method", text, sorted({e.method for e in entries}), see="status"))
