"""An ablation as tables of text, for the terminal, Markdown and pages."""

from collections.abc import Sequence

from leaderboard.ablation_effects import (
    SHUFFLE,
    CellEffect,
    ControlEffect,
    CorrectedComparison,
    DesignEffects,
)
from leaderboard.board_columns import Column
from leaderboard.score_text import difference_texts, heading, interval_texts
from leaderboard.statistics.intervals import Interval

TextTable = tuple[str, list[str], list[list[str]]]
"""Title, columns, rows."""

DIFFERENCE = ("n", "difference", "95 % interval", "p (Holm)", "verdict")


def tables(effects: Sequence[DesignEffects]) -> list[TextTable]:
    """Return the tables of all designs; means and differences are in the metric's unit."""
    return [
        table
        for one in effects
        for table in (
            main_effects(one),
            *cells_against_controls(one),
            *cell_means(one),
            *cells_against_base(one),
            *interactions(one),
        )
    ]


def main_effects(one: DesignEffects) -> TextTable:
    """Return the main effect of each level; factors varied one at a time share the base."""
    columns = ["level", one.metric.title, *DIFFERENCE]
    if one.grid:
        rows = [
            [
                f"{x.factor}={x.level}",
                mean_text(one.metric, x.mean),
                *difference(one.metric, x.against_base),
            ]
            for x in one.levels
        ]
        return f"{one.title}: levels, averaged over the other factors", columns, rows
    rows = [["base", cell_text(one.metric, one.cells[0]), *difference(one.metric, None)]]
    for x in one.levels:
        if x.against_base is not None:
            name = f"{x.factor}={x.level}, not {one.base[x.factor]}"
            mean = mean_text(one.metric, x.mean)
            rows.append([name, mean, *difference(one.metric, x.against_base)])
    return f"{one.title}: one factor at a time", columns, rows


def has_control_cells(one: DesignEffects) -> bool:
    """Return whether cells of more factors than the shuffle have controls of their own."""
    return one.grid and len(one.factors) > 1 and bool(one.controls)


def control_label(one: DesignEffects, control: ControlEffect) -> str:
    """Return a cell's levels as text; where there are several kinds of controls, also which."""
    several = len({x.control for x in one.controls}) > 1
    return control.label + (f", {SHUFFLE}={control.control}" if several else "")


def cells_against_controls(one: DesignEffects) -> list[TextTable]:
    """Return every cell of a grid against its own shuffled control, if the design has any."""
    if not has_control_cells(one):
        return []
    rows = [
        [
            control_label(one, x),
            mean_text(one.metric, x.mean),
            mean_text(one.metric, x.control_mean),
            *difference(one.metric, x.effect),
        ]
        for x in one.controls
    ]
    columns = ["cell", one.metric.title, "its control", *DIFFERENCE]
    return [(f"{one.title}: cells against their shuffled controls", columns, rows)]


def cell_means(one: DesignEffects) -> list[TextTable]:
    """Return the mean of every cell of a grid of two factors, as rows × columns."""
    if not one.grid or len(one.factors) != 2:
        return []
    (down, rows), (across, columns) = one.factors.items()
    means = {(cell.levels[down], cell.levels[across]): cell for cell in one.cells}
    lines = [
        [f"{down}={row}", *(cell_text(one.metric, means[row, column]) for column in columns)]
        for row in rows
    ]
    heads = [f"{across}={column}" for column in columns]
    return [(f"{one.title}: {heading(one.metric)}", ["", *heads], lines)]


def cells_against_base(one: DesignEffects) -> list[TextTable]:
    """Return every cell of a grid against the base; other designs have `main_effects` alone."""
    if not one.grid or len(one.factors) < 2:
        return []
    rows = [
        [cell.label, cell_text(one.metric, cell), *difference(one.metric, cell.against_base)]
        for cell in one.cells
    ]
    columns = ["cell", one.metric.title, *DIFFERENCE]
    return [(f"{one.title}: cells against the base", columns, rows)]


def interactions(one: DesignEffects) -> list[TextTable]:
    """Return the differences of differences of a grid."""
    if not one.interactions:
        return []
    rows = [
        ["=".join(x.first), "=".join(x.second), *difference(one.metric, x.effect)]
        for x in one.interactions
    ]
    title = f"{one.title}: interaction, (both − first) − (second − neither)"
    return [(title, ["first", "second", *DIFFERENCE], rows)]


def mean_text(metric: Column, found: Interval | None) -> str:
    """Return a mean with half its interval, in the metric's unit."""
    if found is None:
        return "–"
    mean, half = interval_texts(metric, found)
    return f"{mean} ± {half}" if half else mean


def cell_text(metric: Column, cell: CellEffect) -> str:
    """Return a cell's mean, and how many trials are missing, failed or do not count."""
    gaps = [
        f"{count} {word}"
        for count, word in (
            (cell.missing, "not run"),
            (cell.failed, "failed"),
            (cell.no_update, "without an update"),
            (cell.off_budget, "off budget"),
        )
        if count
    ]
    return mean_text(metric, cell.mean) + (f" ({', '.join(gaps)})" if gaps else "")


def difference(metric: Column, found: CorrectedComparison | None) -> list[str]:
    """Return the columns `DIFFERENCE`; for the base itself only a verdict, "base"."""
    if found is None:
        return ["", "", "", "", "base"]
    interval = found.comparison.difference
    if interval is None:
        return ["0", "", "", "", found.verdict]
    p = "" if found.p is None else f"{found.p:.3g}"
    return [str(interval.n), *difference_texts(metric, interval), p, found.verdict]
