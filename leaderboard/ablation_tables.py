"""An ablation as tables of text, for the terminal, Markdown and pages."""

from collections.abc import Sequence

from leaderboard.statistics.ablation_effects import CellEffect, CorrectedComparison, DesignEffects
from leaderboard.statistics.intervals import Interval

TextTable = tuple[str, list[str], list[list[str]]]
"""Title, columns, rows."""

DIFFERENCE = ("n", "difference", "95 % interval", "p (Holm)", "verdict")


def tables(effects: Sequence[DesignEffects]) -> list[TextTable]:
    """Return the tables of all designs; accuracies and differences are in points."""
    return [
        table
        for one in effects
        for table in (
            main_effects(one),
            *cell_means(one),
            *cells_against_base(one),
            *interactions(one),
        )
    ]


def main_effects(one: DesignEffects) -> TextTable:
    """Return the main effect of each level; factors varied one at a time share the base."""
    columns = ["level", "accuracy", *DIFFERENCE]
    if one.grid:
        rows = [
            [f"{x.factor}={x.level}", points(x.mean), *difference(x.against_base)]
            for x in one.levels
        ]
        return f"{one.title}: levels, averaged over the other factors", columns, rows
    rows = [["base", cell_text(one.cells[0]), *difference(None)]]
    for x in one.levels:
        if x.against_base is not None:
            name = f"{x.factor}={x.level}, not {one.base[x.factor]}"
            rows.append([name, points(x.mean), *difference(x.against_base)])
    return f"{one.title}: one factor at a time", columns, rows


def cell_means(one: DesignEffects) -> list[TextTable]:
    """Return the mean of every cell of a grid of two factors, as rows × columns."""
    if not one.grid or len(one.factors) != 2:
        return []
    (down, rows), (across, columns) = one.factors.items()
    means = {(cell.levels[down], cell.levels[across]): cell for cell in one.cells}
    lines = [
        [f"{down}={row}", *(cell_text(means[row, column]) for column in columns)] for row in rows
    ]
    heads = [f"{across}={column}" for column in columns]
    return [(f"{one.title}: accuracy in %", ["", *heads], lines)]


def cells_against_base(one: DesignEffects) -> list[TextTable]:
    """Return every cell of a grid against the base; other designs have `main_effects` alone."""
    if not one.grid or len(one.factors) < 2:
        return []
    rows = [[cell.label, cell_text(cell), *difference(cell.against_base)] for cell in one.cells]
    return [(f"{one.title}: cells against the base", ["cell", "accuracy", *DIFFERENCE], rows)]


def interactions(one: DesignEffects) -> list[TextTable]:
    """Return the differences of differences of a grid."""
    if not one.interactions:
        return []
    rows = [
        ["=".join(x.first), "=".join(x.second), *difference(x.effect)] for x in one.interactions
    ]
    title = f"{one.title}: interaction, (both − first) − (second − neither)"
    return [(title, ["first", "second", *DIFFERENCE], rows)]


def points(found: Interval | None) -> str:
    """Return a mean in per cent with half its interval."""
    if found is None:
        return "–"
    half = "" if found.half is None else f" ± {100 * found.half:.2f}"
    return f"{100 * found.mean:.2f}{half}"


def cell_text(cell: CellEffect) -> str:
    """Return a cell's mean, and how many trials are missing or failed."""
    gaps = [
        f"{count} {word}"
        for count, word in ((cell.missing, "not run"), (cell.failed, "failed"))
        if count
    ]
    return points(cell.mean) + (f" ({', '.join(gaps)})" if gaps else "")


def difference(found: CorrectedComparison | None) -> list[str]:
    """Return the columns `DIFFERENCE`; for the base itself only a verdict, "base"."""
    if found is None:
        return ["", "", "", "", "base"]
    interval = found.comparison.difference
    if interval is None:
        return ["0", "", "", "", found.verdict]
    return [
        str(interval.n),
        f"{100 * interval.mean:+.2f}",
        _range(interval),
        "" if found.p is None else f"{found.p:.3g}",
        found.verdict,
    ]


def _range(interval: Interval) -> str:
    if interval.low is None or interval.high is None:
        return ""
    return f"{100 * interval.low:+.2f} … {100 * interval.high:+.2f}"
