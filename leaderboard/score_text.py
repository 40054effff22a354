"""Values of a column as text, in the column's unit, as `assets/format.js` writes them."""

import math
from collections.abc import Sequence

import numpy as np

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
    """Return a difference and its interval; empty where there is none. Of per cents: in points.

    All three have the decimals of the difference, and a minus sign, not a hyphen.
    """
    if difference is None:
        return ["", ""]
    factor, digits = _scale(column, difference.mean)

    def write(x: float) -> str:
        return f"{factor * x:+.{digits}f}".replace("-", "−")

    if difference.low is None or difference.high is None:
        return [write(difference.mean), ""]
    return [write(difference.mean), f"{write(difference.low)} … {write(difference.high)}"]


def difference_figures(metric: Column, found: Interval) -> tuple[str, str, str]:
    """Return a difference with its sign, and the ends of its interval; empty without one.

    Of per cents in points: with two decimals, with one if the interval is a point wide or more.
    Others with three significant digits.
    """
    low, high = found.low, found.high
    wide = low is not None and high is not None and high - low >= 0.01

    def figure(x: float, plus: str = "") -> str:
        size = fixed(100 * abs(x), 1 if wide else 2) if metric.unit == "percent" else plain(abs(x))
        return size if float(size) == 0 else f"{'−' if x < 0 else plus}{size}"

    if low is None or high is None:
        return figure(found.mean, "+"), "", ""
    return figure(found.mean, "+"), figure(low), figure(high)


def number_and_ends(metric: Column, found: Interval) -> tuple[str, str]:
    """Return a difference, and its interval in brackets; empty without one."""
    number, low, high = difference_figures(metric, found)
    return number, f"[{low}, {high}]" if low else ""


def difference_text(metric: Column, found: Interval) -> str:
    """Return a difference with its unit and its interval."""
    number, ends = number_and_ends(metric, found)
    return f"{number}{' points' if metric.unit == 'percent' else ''}{ends and ' '}{ends}"


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


def fixed(x: float, digits: int) -> str:
    """Return a number with some decimals, halves rounded up as in the browser."""
    return f"{math.floor(10**digits * x + 0.5) / 10**digits:.{digits}f}"


def plain(size: float, digits: int = 3) -> str:
    """Return a positive number with some significant digits, as a browser writes numbers."""
    rounded = float(f"{size:.{digits}g}")
    if rounded == 0 or 1e-6 <= rounded < 1e21:
        return np.format_float_positional(rounded, trim="-")
    return repr(rounded).replace("e-0", "e-")


def _scale(column: Column, value: float) -> tuple[float, int]:
    """Return the factor, and the decimals: of numbers for three significant digits."""
    if column.unit == "percent":
        return 100.0, 2
    size = abs(value)
    return 1.0, 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3
