"""Values of a column as text, in the column's unit, as `assets/format.js` writes them."""

from collections.abc import Sequence

from leaderboard.board_columns import NAMED_COLUMNS, SCORE, Column
from leaderboard.statistics.intervals import Interval


def value_text(column: Column, value: float) -> str:
    """Return a value without its unit, which `heading` names: per cent, or the number itself."""
    factor, digits = _scale(column, value)
    return f"{factor * value:.{digits}f}"


def interval_texts(column: Column, interval: Interval) -> tuple[str, str]:
    """Return the mean and half the interval; the half is empty if there is none."""
    factor, digits = _scale(column, interval.mean)
    half = "" if interval.half is None else f"{factor * interval.half:.{digits}f}"
    if interval.half and float(half) == 0:
        half = f"<{10.0**-digits:.{digits}f}"  # no interval has the width zero
    return f"{factor * interval.mean:.{digits}f}", half


def difference_texts(column: Column, difference: Interval | None) -> list[str]:
    """Return a difference and its interval; empty where there is none. Of per cents: in points."""
    if difference is None:
        return ["", ""]
    factor, digits = _scale(column, difference.mean)
    mean = f"{factor * difference.mean:+.{digits}f}"
    if difference.low is None or difference.high is None:
        return [mean, ""]
    low, high = (f"{factor * end:+.{digits}f}" for end in (difference.low, difference.high))
    return [mean, f"{low} … {high}"]


def heading(column: Column) -> str:
    """Return a column's title with its unit."""
    return f"{column.title} in %" if column.unit == "percent" else column.title


def direction(column: Column) -> str:
    """Return which direction is better, in words."""
    return "lower is better" if column.better == "less" else "higher is better"


def caption(column: Column) -> str:
    """Return a column's title with its unit, and which direction is better."""
    return f"{heading(column)}; {direction(column)}"


def shown_metric(metrics: Sequence[Column]) -> str:
    """Return what a page shows that ranks by these metrics, as `unitInWords` of `assets/app.js`.

    The caption of the only one, as the start of a sentence; accuracy's if there is none.
    """
    different = list({metric.name: metric for metric in metrics}.values())
    if len(different) > 1:
        return "What each task ranks by, as named beside it"
    text = caption(different[0] if different else NAMED_COLUMNS[SCORE])
    return f"{text[0].upper()}{text[1:]}"


def difference_words(column: Column) -> str:
    """Return what a difference is of, and which direction is better, in words."""
    unit = "points of " if column.unit == "percent" else ""
    return f"differences in {unit}{column.title}; {direction(column)}"


DEFAULT_ROPE = 0.5
"""Region of practical equivalence, in points of a per cent."""


def default_rope(column: Column) -> float | None:
    """Return the largest difference that counts as equivalent, in the column's own values.

    Half a point of metrics in per cent. None for others: nobody can say it for every unit.
    """
    return DEFAULT_ROPE / 100 if column.unit == "percent" else None


def rope_text(column: Column, rope: float | None) -> str:
    """Return the size of a region of practical equivalence with its unit; empty for None."""
    if rope is None:
        return ""
    if column.unit != "percent":
        return f"{rope:g} of {column.title}"
    return "1 point" if rope == 0.01 else f"{100 * rope:g} points"


def p_text(p: float) -> str:
    """Return a p-value to two digits."""
    return "p < 0.001" if p < 0.001 else f"p = {float(f'{p:.2g}'):g}"


def _scale(column: Column, value: float) -> tuple[float, int]:
    """Return the factor, and the decimals: of numbers for three significant digits."""
    if column.unit == "percent":
        return 100.0, 2
    size = abs(value)
    return 1.0, 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3
