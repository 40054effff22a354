"""Ranks of scores, Friedman's test, and the range of normal values.

`scipy.stats` has all of these, but importing it takes longer than anything else in bringing a site
up to date; `scipy.special`, which these need, takes a tenth of that. `assets/numerics.js` and
`assets/aggregates.js` compute the same.
"""

import math
from functools import lru_cache

import numpy as np

GRID = np.linspace(-8.5, 8.5, 1_701)
"""Where the integrand is evaluated; beyond it is below 10⁻¹⁶."""


def mean_ranks(values: np.ndarray) -> np.ndarray:
    """Return the rank of each of the values [n], from 1; equal ones share the mean of theirs."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count - 1) / 2)[place]


def friedman_p(ranks: np.ndarray) -> float:
    """Return the p-value of Friedman's test that methods are alike, corrected for ties.

    Args:
        ranks: [tasks, methods], those of each task (`mean_ranks`), not all equal on every task.

    Source: Friedman 1937, JASA 32(200), with the χ² approximation; Demšar 2006, JMLR 7, §3.2.2.
    """
    from scipy import special

    n, k = ranks.shape
    # Between methods, over the mean square of what ranks vary on a task: smaller where there are
    # ties.
    between = n * ((ranks.mean(axis=0) - (k + 1) / 2) ** 2).sum()
    within = ((ranks - (k + 1) / 2) ** 2).sum() / (n * (k - 1))
    return float(special.chdtrc(k - 1, between / within))


@lru_cache
def studentized_range(k: int) -> float:
    """Return the 95 % quantile of the range of k standard normal values (k at least 2).

    Source: Tukey's range with infinite degrees of freedom; Demšar 2006, JMLR 7, table 5.
    """
    low, high = 0.0, 20.0
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if _range_below(middle, k) < 0.95 else (low, middle)
    return (low + high) / 2


def _range_below(q: float, k: int) -> float:
    """Return the probability that the range of k standard normal values is below q.

    The lowest is at x, and the k − 1 others are within q above it. The sum over an even grid is as
    exact as floats, since the integrand is smooth and vanishes at both ends.
    """
    from scipy import special

    density = np.exp(-GRID * GRID / 2) / math.sqrt(2 * math.pi)
    within = special.ndtr(GRID + q) - special.ndtr(GRID)
    return float(k * (density * within ** (k - 1)).sum() * (GRID[1] - GRID[0]))
