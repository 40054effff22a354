"""Differences drawn as points with intervals around zero, one small plot in a table's cell.

`assets/forest.js` computes the same places: change both together.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from leaderboard.statistics.intervals import Interval
from leaderboard.statistics.paired_comparisons import Verdict

REACH = 44.0
"""How far a difference of the limit is from the middle, in per cent of the width."""
SHARE = 0.75
"""Fraction of the differences that the scale has to show; the others are written as numbers."""
LARGEST = 1e300
"""No scale is longer, or shorter than one divided by it: its steps would be infinite, or 0."""
ROOM = 1.25
"""The limit as a multiple of the largest difference that the scale shows."""


@dataclass(frozen=True)
class ForestMark:
    """One difference: places are in per cent of the plot's width, and of its height.

    Attributes:
        place, low, high: the difference and the ends of its interval, clipped to the plot.
        height: of its line.
        beyond: −1 or 1 where the difference lies outside the scale to the left or right, else 0.
        kind: the verdict in one word, for its colour.
    """

    place: float
    low: float
    high: float
    height: float
    beyond: int
    kind: str


def scale_limit(differences: Iterable[float]) -> float:
    """Return the largest difference on a scale that shows most of them: 1, 2 or 5 times 10ⁿ.

    A few methods that collapse would otherwise press all others to the middle.
    """
    sizes = sorted(abs(x) for x in differences)
    if not sizes or sizes[-1] == 0:
        return 1.0
    shown = sizes[math.ceil(SHARE * len(sizes)) - 1] or sizes[-1]
    shown = min(max(shown, 1 / LARGEST), LARGEST)
    step: float = 10.0 ** math.floor(math.log10(ROOM * shown))
    return next(factor * step for factor in (1, 2, 5, 10) if factor * step >= ROOM * shown)


def forest_mark(
    difference: Interval, verdict: Verdict, limit: float, number: int = 0, of: int = 1
) -> ForestMark:
    """Return where a difference is drawn; it is the `number`-th of its cell, counted from 0."""
    mean = difference.mean
    low = mean if difference.low is None else difference.low
    high = mean if difference.high is None else difference.high
    beyond = 0 if abs(mean) <= limit else 1 if mean > 0 else -1
    kinds = {Verdict.BETTER: "better", Verdict.WORSE: "worse", Verdict.EQUIVALENT: "equivalent"}
    return ForestMark(
        _place(mean, limit),
        _place(low, limit),
        _place(high, limit),
        round(100 * (number + 1) / (of + 1), 2),
        beyond,
        kinds.get(verdict, "unclear"),
    )


def _place(x: float, limit: float) -> float:
    return round(50 + REACH * min(max(x / limit, -1.0), 1.0), 2)
