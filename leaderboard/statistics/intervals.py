"""Confidence intervals of a mean: Student's t for few values, the bootstrap for more.

No interval has the width zero: equal values do not show that nothing varies. The page recomputes
these in the browser (`MIRRORED_SCRIPTS`): change both together. Sums are therefore exact
(`math.fsum`), in any order, and resamples come from `bootstrap_draws`.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from leaderboard.statistics.bootstrap_draws import counts

MIN_BOOTSTRAP_VALUES = 10
RESAMPLES = 10_000
NORMAL_QUANTILE = 1.959963984540054
"""97.5 % quantile of the standard normal distribution."""
ROUNDING = 1e-9
"""Differences below this fraction of the numbers they were computed from count as rounding."""
MIRRORED_SCRIPTS = ("numerics.js", "statistics.js", "aggregates.js")
"""The files of `assets/` that compute the same in the browser, in the order they are loaded in."""


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % confidence interval; none where nothing is known of the variation."""

    mean: float
    low: float | None
    high: float | None
    n: int

    @property
    def half(self) -> float | None:
        """Half the width of the interval."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2


def mean_interval(values: Sequence[float], *, resolution: float = 0.0, seed: int = 0) -> Interval:
    """Return the mean with a 95 % interval: Student's t below n = 10, else a seeded bootstrap.

    Small samples use t because a percentile bootstrap of five values covers 83 %, not 95 %.
    `resolution` is the step between possible values, for an accuracy one test example. It matters
    where all values are equal (`unseen_share`); without it they have no interval.

    Raises:
        ValueError: there is no value, or one is not finite.
    """
    return _mean_interval(tuple(values), resolution, seed)


@lru_cache(maxsize=4096)  # a cell appears in several tables and charts of a site
def _mean_interval(values: tuple[float, ...], resolution: float, seed: int) -> Interval:
    n = len(values)
    if n == 0 or not np.isfinite(values).all():
        raise ValueError("mean_interval needs at least one value, all finite")
    mean = exact_sum(values) / n
    if n == 1:
        return Interval(mean, None, None, 1)
    if max(values) - min(values) <= ROUNDING * max(map(abs, values)):
        half = resolution * unseen_share(n)
        return (
            Interval(mean, mean - half, mean + half, n)
            if half > 0
            else Interval(mean, None, None, n)
        )
    if n < MIN_BOOTSTRAP_VALUES:
        from scipy import special

        half = float(special.stdtrit(n - 1, 0.975)) * standard_deviation(values) / math.sqrt(n)
        return Interval(mean, mean - half, mean + half, n)
    return bootstrap_interval(mean, resampled_means(values, seed), [n])


def unseen_share(n: int) -> float:
    """Return the largest share of other values that n equal ones leave possible, at 97.5 %.

    This is the upper Clopper–Pearson limit of a share of which n trials show none (for many, 3.7
    divided by n). If other values differ by one step, the mean is at most this share of a step
    away. Source: Clopper & Pearson 1934, Biometrika 26.
    """
    return 1 - 0.025 ** (1 / n)


def bootstrap_interval(
    value: float,
    draws: np.ndarray,
    strata: Sequence[int],
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> Interval:
    """Return a value with the 95 % interval from `draws` resampled within strata of these sizes.

    The distances from the value to the 2.5 % and 97.5 % quantiles are multiplied by `widening`,
    then clipped to `bounds`. There is no interval if a stratum holds a single value, since its
    variance is unknown, or if nothing varies among the draws.
    """
    n, wide = sum(strata), widening(strata)
    if wide is None:
        return Interval(value, None, None, n)
    low, high = (value + wide * (float(q) - value) for q in np.quantile(draws, [0.025, 0.975]))
    if high - low <= ROUNDING * max(abs(low), abs(high)):
        return Interval(value, None, None, n)
    return Interval(value, max(low, bounds[0]), min(high, bounds[1]), n)


@lru_cache
def _widening(n: int, freedom: int) -> float:
    from scipy import special

    return math.sqrt(n / freedom) * float(special.stdtrit(freedom, 0.975)) / NORMAL_QUANTILE


def widening(strata: Sequence[int]) -> float | None:
    """Return the factor by which bootstrap quantiles are too narrow, for strata of these sizes.

    A resample's variance is (n − 1) / n of the unbiased one, and a variance estimated from few
    values requires Student's quantiles: without both corrections, 95 % intervals cover 85 % over
    five tasks and 50 % over two. None if a stratum holds a single value.

    Source: Hesterberg 2015, The American Statistician 69(4), the expanded percentile interval; here
    the distances are widened, since quantiles that far out would need more values.
    """
    if min(strata) < 2:
        return None
    return _widening(sum(strata), sum(strata) - len(strata))


def resampled_means(values: Sequence[float], seed: int, stream: int = 0) -> np.ndarray:
    """Return means of values drawn with replacement."""
    n, mean = len(values), exact_sum(values) / len(values)
    return mean + counts(seed, RESAMPLES, n, stream) @ (np.asarray(values) - mean) / n


def exact_sum(values: Iterable[float]) -> float:
    """Return the sum, rounded once; infinite if a float cannot hold it."""
    values = list(values)
    try:
        return math.fsum(values)
    except OverflowError:
        return float(sum(values))


def standard_deviation(values: Sequence[float]) -> float:
    """Return the standard deviation of two or more values."""
    mean = exact_sum(values) / len(values)
    return math.sqrt(exact_sum((x - mean) * (x - mean) for x in values) / (len(values) - 1))
