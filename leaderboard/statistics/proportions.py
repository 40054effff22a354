"""Intervals of proportions: shares of runs, and probabilities of improvement.

Both are score intervals: all θ whose distance from the estimate is at most 1.96 standard errors
*at θ*. So they have a width where every run is above a threshold, or every pair is won, and stay
within 0 and 1. Several tasks are taken as strata with the same θ, which is the largest variance
that they can have. `assets/aggregates.js` computes the same: change both together.
"""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache

from leaderboard.statistics.intervals import NORMAL_QUANTILE


def share_interval(share: float, sizes: Sequence[int]) -> tuple[float, float]:
    """Return the 95 % interval of a share, the mean over strata of these sizes.

    Source: Wilson 1927, JASA 22; for strata of equal size that of all their runs together.
    """
    n = len(sizes) ** 2 / math.fsum(1 / size for size in sizes)
    square = NORMAL_QUANTILE**2
    middle = (share + square / (2 * n)) / (1 + square / n)
    half = math.sqrt(share * (1 - share) / n + square / (4 * n * n)) / (1 + square / n)
    half *= NORMAL_QUANTILE
    return 0.0 if share == 0 else middle - half, 1.0 if share == 1 else middle + half


def win_interval(share: float, sizes: Sequence[tuple[int, int]]) -> tuple[float, float]:
    """Return the 95 % interval of P(first > second), the mean over strata.

    `sizes` are the numbers of runs of the first and of the second in each stratum. Source: Newcombe
    2006, Statistics in Medicine 25:559, method 5: the variance of the Mann–Whitney statistic for
    exponential scores (Hanley & McNeil 1982), with the mean of both sizes in place of each.
    """
    return _win_interval(share, tuple(sizes))


@lru_cache(maxsize=4096)  # shares of few pairs recur
def _win_interval(share: float, sizes: tuple[tuple[int, int], ...]) -> tuple[float, float]:
    square = NORMAL_QUANTILE**2 / len(sizes) ** 2

    def beyond(theta: float) -> float:
        spread = (1 - theta) / (2 - theta) + theta / (1 + theta)
        variance = math.fsum((1 + ((n + m) / 2 - 1) * spread) / (n * m) for n, m in sizes)
        return (theta - share) ** 2 - square * theta * (1 - theta) * variance

    return _edge(beyond, 0.0, share), _edge(beyond, 1.0, share)


def _edge(beyond: Callable[[float], float], outside: float, inside: float) -> float:
    """Return where a function turns from positive to negative between two places: bisection."""
    while True:
        middle = (outside + inside) / 2
        if middle in (outside, inside):
            return middle
        if beyond(middle) >= 0:
            outside = middle
        else:
            inside = middle
