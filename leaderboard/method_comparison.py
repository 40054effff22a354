"""Two methods compared: in every cell that both have, and over all tasks together."""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from leaderboard.board_columns import Column
from leaderboard.boards import Board, Cell, Entry
from leaderboard.pooled_scores import seed_means
from leaderboard.score_text import default_rope, rope_text
from leaderboard.statistics.families import (
    Claim,
    ClaimOverTasks,
    FamilyCell,
    against_reference,
    over_tasks,
)
from leaderboard.statistics.paired_comparisons import Comparison, of_values
from leaderboard.terms import Terms
from suite.core.declarations import unknown
from suite.core.errors import InvalidInput
from suite.experiments import registry
from suite.experiments.trial_config import show

TUNED = "tuned"
"""Stands for the settings that a tuner found, in METHOD:tuned."""


@dataclass(frozen=True)
class CellComparison:
    """The comparison in one cell.

    Attributes:
        task, sparsity: the cell.
        metric: name of the column that the task ranks by, and that differences are of.
        comparison: on the seeds that both have.
        p: the p-value of a difference, Holm-corrected over the cells on the same terms (equal
            steps, or one budget of training FLOPs); None if there is none.
        equivalence_p: the p-value of equivalence, corrected in the same way.
        rope: differences up to this count as equivalent in practice, in the metric's own values;
            None if nobody has said.
        verdict: the conclusion at the corrected p-values, in words.
        trials: the keys of the two trials, by seed.
    """

    task: str
    sparsity: float
    metric: str
    comparison: Comparison
    p: float | None
    equivalence_p: float | None
    rope: float | None
    verdict: str
    trials: dict[int, tuple[str, str]]


@dataclass(frozen=True)
class MethodComparison:
    """The comparison of two entries, of which the second is the reference.

    Attributes:
        first, second: their labels.
        lines: one per cell that both have.
        family: what the p-values of the lines are corrected over, in words.
        overall: over all tasks, weighted equally; None for a single cell, and where tasks rank by
            different metrics, whose differences have no common unit.
        over_tasks: the same with the tests of the tasks' differences; scores, higher being better.
        verdict: of `overall`, in words.
        left_out: cells that count for neither, one line each: connectivity was never updated.
    """

    first: str
    second: str
    lines: list[CellComparison]
    family: str
    overall: Comparison | None
    over_tasks: ClaimOverTasks | None
    verdict: str
    left_out: tuple[str, ...] = ()


def compare_entries(
    boards: Sequence[Board],
    first: str,
    second: str,
    task: str | None = None,
    sparsities: Collection[float] = (),
    rope: float | None = None,
) -> MethodComparison:
    """Compare two entries, named ``METHOD``, ``METHOD:SETTINGS`` or ``METHOD:tuned``.

    Only on one `task` or at some `sparsities`, if given: then p-values are corrected over those
    cells only. `rope` is the largest difference that counts as equivalent in practice, in points of
    metrics in per cent, else in the metric's own unit; half a point if left out, and nothing for
    metrics that are not in per cent.

    Raises:
        InvalidInput: an entry, the task or a sparsity does not exist, an entry is ambiguous, both
            are the same one, they share no cell, or `rope` is not above 0 or has no common unit.
    """
    chosen = [board for board in boards if task in (None, board.task)]
    if not chosen:
        tasks = list(dict.fromkeys(board.task for board in boards))
        raise InvalidInput(unknown("task", task or "", tasks, see="list trials"))
    _check_sparsities(chosen, sparsities)
    one, two = find_entry(chosen, first), find_entry(chosen, second)
    if one == two:
        raise InvalidInput(_same(chosen, one))
    cells = [
        (board.title, sparsity, mine, theirs)
        for board in sorted(chosen, key=lambda board: board.terms)
        for sparsity, mine, theirs in _common(board, one, two)
        if not sparsities or sparsity in sparsities
    ]
    without = tuple(
        line
        for board in chosen
        for sparsity, line in _never_updated(board, one, two)
        if not sparsities or sparsity in sparsities
    )
    if not cells and without:
        raise InvalidInput(
            f"{one.label} and {two.label} cannot be compared: {without[0]}: train longer, or "
            "update more often"
        )
    if not cells:
        raise InvalidInput(
            f"{one.label} and {two.label} have no task and sparsity in common{_where(sparsities)}: "
            "run both in one study"
        )
    metrics = list({mine.metric.name: mine.metric for _, _, mine, _ in cells}.values())
    ropes = _ropes(metrics, rope)
    terms_of = {board.title: board.terms for board in chosen}
    families = {
        terms: against_reference(
            [
                FamilyCell(
                    title,
                    sparsity,
                    {one.label: mine.by_seed, two.label: theirs.by_seed},
                    ropes[mine.metric.name],
                    mine.resolution or theirs.resolution,
                )
                for title, sparsity, mine, theirs in cells
                if terms_of[title] == terms
            ],
            two.label,
        )
        for terms in dict.fromkeys(terms_of[title] for title, *_ in cells)
    }
    claims = [claim for family in families.values() for claim in family.claims]
    lines = [
        _line(claim, one.label, two.label, ropes[mine.metric.name], mine, theirs)
        for claim, (_, _, mine, theirs) in zip(claims, cells, strict=True)
    ]
    tested = {terms: family.tested for terms, family in families.items()}
    words = _family_words(tested, task, sparsities)
    if len(cells) == 1:
        return MethodComparison(
            one.label, two.label, lines, words, None, None, lines[0].verdict, without
        )
    if len(families) > 1:
        verdict = (
            "no comparison over all tasks: some boards are at equal steps, others at equal "
            "training FLOPs; name a study or a task that has one kind alone"
        )
        return MethodComparison(one.label, two.label, lines, words, None, None, verdict, without)
    if len(metrics) > 1:
        named = " and ".join(metric.title for metric in metrics)
        verdict = f"no comparison over all tasks: they rank by {named}"
        return MethodComparison(one.label, two.label, lines, words, None, None, verdict, without)
    scores = dict(zip((one.label, two.label), _by_task(cells), strict=True))
    (claim,) = over_tasks(scores, two.label, rope=ropes[metrics[0].name])
    verdict = claim.comparison.verdict(one.label, two.label)
    overall = of_values(claim.comparison, metrics[0].sign)
    return MethodComparison(one.label, two.label, lines, words, overall, claim, verdict, without)


def _line(
    claim: Claim, first: str, second: str, rope: float | None, mine: Cell, theirs: Cell
) -> CellComparison:
    words = claim.comparison.verdict(
        first,
        second,
        p=claim.p,
        equivalence_p=claim.equivalence_p,
        within=rope_text(mine.metric, rope),
    )
    return CellComparison(
        claim.task,
        claim.sparsity,
        mine.metric.name,
        of_values(claim.comparison, mine.metric.sign),
        claim.p,
        claim.equivalence_p,
        rope,
        words,
        _trials(mine, theirs),
    )


def _ropes(metrics: Sequence[Column], given: float | None) -> dict[str, float | None]:
    """Return the region of practical equivalence of each metric, in its own values."""
    if given is None:
        return {metric.name: default_rope(metric) for metric in metrics}
    if not 0 < given < math.inf:
        raise InvalidInput(
            f"--rope {given:g}: the largest difference that counts as equivalent "
            "is a number above 0"
        )
    if len({metric.unit == "percent" for metric in metrics}) > 1 or (
        len(metrics) > 1 and metrics[0].unit != "percent"
    ):
        named = " and ".join(metric.title for metric in metrics)
        raise InvalidInput(
            f"--rope {given:g} has no common unit: the tasks rank by {named}; give one with --task"
        )
    return {metric.name: given / 100 if metric.unit == "percent" else given for metric in metrics}


def _family_words(
    tested: Mapping[Terms, int], task: str | None, sparsities: Collection[float]
) -> str:
    """Return what p-values are corrected over, in words; `tested` cells are a family by terms."""
    some = {terms: number for terms, number in tested.items() if number}
    if not some:
        return "p-values: none, because no cell has five common seeds"
    only = ([f"task {task}"] if task else []) + (
        [f"sparsity {', '.join(f'{s:g}' for s in sparsities)}"] if sparsities else []
    )
    cells = {t: "one cell" if number == 1 else f"{number} cells" for t, number in some.items()}
    of = f" of {' and '.join(only)}" if only else ""
    if len(tested) == 1:
        over = f"over the {cells[next(iter(some))]} with five common seeds{of}"
    else:
        each = " and the ".join(f"{words} {terms.words}" for terms, words in cells.items())
        over = f"over the {each} with five common seeds{of}, each of these by itself"
    if not only:
        return f"p-values: Holm-corrected {over}"
    return (
        f"p-values: Holm-corrected {over} only; a claim about all cells needs the comparison of all"
    )


def _trials(one: Cell, two: Cell) -> dict[int, tuple[str, str]]:
    """Return the keys of two cells' trials by the seeds they share, in ascending order."""
    mine, theirs = ({run.seed: run.key for run in cell.runs} for cell in (one, two))
    return {seed: (mine[seed], theirs[seed]) for seed in sorted(mine.keys() & theirs.keys())}


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


def _never_updated(board: Board, one: Entry, two: Entry) -> Iterator[tuple[float, str]]:
    """Yield the cells of a board without a result because connectivity was never updated."""
    rows = dict(board.rows)
    for entry in (one, two):
        for sparsity, cell in zip(board.sparsities, rows.get(entry, ()), strict=False):
            if cell and cell.no_update and not cell.runs:
                words = f"{board.title} at {sparsity:g}: {entry.label} has no result there"
                yield sparsity, f"{words} ({cell.no_update[0]})"


def find_entry(boards: Sequence[Board], text: str) -> Entry:
    """Return the entry named by METHOD, METHOD:SETTINGS or METHOD:tuned; @DIGITS of older code."""
    words, _, older = text.partition("@")
    method, _, settings = words.partition(":")
    settings = _without_defaults(method, settings)
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
        raise InvalidInput(f"'{text}' is not among these trials: give one of {names}")
    present = sorted({entry.method for entry in entries})
    if method in registry.methods():
        raise InvalidInput(
            f"method '{method}' has no trial among these: there are {', '.join(present)} "
            f"(`resonance list trials`); run {method} first, or name another"
        )
    declared = [one.name for one in registry.methods() if one.name not in present]
    raise InvalidInput(unknown("method", method, [*present, *declared], see="list trials"))


def _without_defaults(method: str, settings: str) -> str:
    """Return settings as entries have them: without what a hyperparameter has by default."""
    known = registry.methods()
    if method not in known:
        return settings
    default = {f"{one.name}={show(one.default)}" for one in known[method].hyperparameters}
    kept = [part for part in settings.split(",") if part.strip() not in default]
    return ",".join(kept).strip()


def _same(boards: Sequence[Board], one: Entry) -> str:
    """Return why an entry is not compared with itself, and what else there is."""
    entries = {entry for board in boards for entry, _ in board.rows} - {one}
    own = sorted(_name(entry) for entry in entries if entry.method == one.method)
    others = own or sorted({entry.method for entry in entries})
    hint = f"give another for B: {', '.join(others)}" if others else "run another method first"
    return f"A and B are both {_name(one)}: a method is not compared with itself; {hint}"


def _check_sparsities(boards: Sequence[Board], given: Collection[float]) -> None:
    known = sorted({sparsity for board in boards for sparsity in board.sparsities})
    for sparsity in given:
        if sparsity not in known:
            nearest = sorted(sorted(known, key=lambda s: abs(s - sparsity))[:3])
            raise InvalidInput(
                f"sparsity {sparsity:g} is not among these trials: nearest are "
                f"{', '.join(f'{s:g}' for s in nearest)}"
            )


def _where(sparsities: Collection[float]) -> str:
    return f" at {', '.join(f'{s:g}' for s in sparsities)}" if sparsities else ""


def _name(entry: Entry) -> str:
    settings = TUNED if entry.tuned else entry.settings
    name = f"{entry.method}:{settings}" if settings else entry.method
    name += f"@{entry.older}" if entry.older else ""
    return f"'{name}'" if settings or entry.older else name
