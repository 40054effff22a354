"""Statistics over seeds: intervals of one cell, and paired comparisons of two methods."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

SMALL = 10
RESAMPLES = 10_000
ALPHA = 0.05
EXACT_UP_TO = 14
"""So many pairs have few enough sign patterns (16,384) to look at all of them."""


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % confidence interval; no interval for a single value."""

    mean: float
    low: float | None
    high: float | None
    n: int

    @property
    def half(self) -> float | None:
        """Half the width of the interval."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2


def mean_interval(values: Sequence[float], *, seed: int = 0) -> Interval:
    """Return the mean with a 95 % interval: Student's t below n = 10, a bootstrap above.

    A percentile bootstrap of five values covers 83 % instead of 95 %, which is why small samples
    use t. The bootstrap is seeded.

    Raises:
        ValueError: there is no value, or one is not finite.
    """
    array = np.asarray(values, dtype=np.float64)
    n = len(array)
    if n == 0 or not np.isfinite(array).all():
        raise ValueError("mean_interval needs at least one value, all finite")
    mean = float(array.mean())
    if n == 1:
        return Interval(mean, None, None, 1)
    if n < SMALL:
        from scipy import stats

        half = float(stats.t.ppf(0.975, n - 1) * array.std(ddof=1) / np.sqrt(n))
        return Interval(mean, mean - half, mean + half, n)
    draws = np.random.default_rng(seed).choice(array, size=(RESAMPLES, n)).mean(axis=1)
    low, high = np.quantile(draws, [0.025, 0.975])
    return Interval(mean, float(low), float(high), n)


@dataclass(frozen=True)
class Comparison:
    """Two methods compared on the same seeds, in one cell or over several.

    Attributes:
        difference: mean of first − second over the pairs, with its interval; None without a pair.
        p: two-sided p-value; None where there are too few pairs for one.
        least_p: the smallest p-value that so many pairs can give.
        effect: mean difference over its standard deviation (Cohen's d_z); None below two pairs,
            infinite where all differences are equal and not 0.
        unpaired: seeds that only one of the two has; they are not used.
    """

    difference: Interval | None
    p: float | None
    least_p: float
    effect: float | None
    unpaired: int = 0

    @property
    def n(self) -> int:
        """Number of pairs."""
        return self.difference.n if self.difference else 0

    def verdict(self, first: str, second: str, *, p: float | None = None) -> str:
        """Return what may be said, in words; `p` is a corrected p-value in place of the own one."""
        p = self.p if p is None else p
        if self.difference is None or p is None or self.least_p > ALPHA:
            return f"cannot decide at n = {self.n}"
        if p > ALPHA:
            return f"no difference shown at n = {self.n}"
        better, worse = (first, second) if self.difference.mean > 0 else (second, first)
        return f"{better} is better than {worse}"


def compare(first: Mapping[int, float], second: Mapping[int, float]) -> Comparison:
    """Compare two methods in one cell, given by seed: a paired t-test on their common seeds."""
    from scipy import stats

    seeds = sorted(set(first) & set(second))
    unpaired = len(set(first) ^ set(second))
    differences = np.array([first[seed] - second[seed] for seed in seeds])
    if len(seeds) == 0:
        return Comparison(None, None, 1.0, None, unpaired)
    interval = mean_interval(differences.tolist())
    if len(seeds) == 1:
        return Comparison(interval, None, 1.0, None, unpaired)
    if np.ptp(differences) == 0:  # no variance: the test's statistic is 0/0 or infinite
        p = 1.0 if differences[0] == 0 else 0.0
    else:
        p = float(stats.ttest_1samp(differences, 0.0).pvalue)
    return Comparison(interval, p, 0.0, effect_size(differences), unpaired)


def compare_over_tasks(
    first: Mapping[str, Mapping[int, float]],
    second: Mapping[str, Mapping[int, float]],
    *,
    seed: int = 0,
) -> Comparison:
    """Compare two methods over tasks (task → seed → score): a stratified sign-flip test.

    The statistic is the mean over tasks of the mean difference within a task, so that a task with
    more seeds does not count more. Under no difference each pair's sign is as likely either way:
    all sign patterns are looked at up to 14 pairs, 10,000 random ones (seeded) above. The interval
    is a bootstrap over the pairs within each task.
    """
    blocks = []
    unpaired = 0
    for task in sorted(set(first) & set(second)):
        seeds = sorted(set(first[task]) & set(second[task]))
        unpaired += len(set(first[task]) ^ set(second[task]))
        if seeds:
            blocks.append(np.array([first[task][s] - second[task][s] for s in seeds]))
    if not blocks:
        return Comparison(None, None, 1.0, None, unpaired)
    differences = np.concatenate(blocks)
    weights = np.concatenate([np.full(len(b), 1 / len(b) / len(blocks)) for b in blocks])
    n = len(differences)
    observed = float(weights @ differences)
    random = np.random.default_rng(seed)
    if n <= EXACT_UP_TO:
        signs = np.array(list(itertools.product((1.0, -1.0), repeat=n)))
        p = _share_as_extreme(signs @ (weights * differences), observed, 0)
    else:
        signs = random.choice((1.0, -1.0), size=(RESAMPLES, n))
        p = _share_as_extreme(signs @ (weights * differences), observed, 1)
    means = sum(
        random.choice(block, size=(RESAMPLES, len(block))).mean(axis=1) for block in blocks
    ) / len(blocks)
    low, high = np.quantile(means, [0.025, 0.975]) if n > len(blocks) else (None, None)
    interval = Interval(
        observed, None if low is None else float(low), None if high is None else float(high), n
    )
    least = 2.0 / 2**n if n <= EXACT_UP_TO else 1.0 / (RESAMPLES + 1)
    return Comparison(interval, p, least, effect_size(differences) if n > 1 else None, unpaired)


def _share_as_extreme(values: np.ndarray, observed: float, extra: int) -> float:
    """Return the share of values at least as far from 0; `extra` counts the observed one."""
    # Sums in another order differ in the last bits: as extreme means up to that.
    bar = abs(observed) * (1 - 1e-9)
    return float((np.count_nonzero(np.abs(values) >= bar) + extra) / (len(values) + extra))


def effect_size(differences: np.ndarray) -> float | None:
    """Return the mean of paired differences over their standard deviation (Cohen's d_z)."""
    if len(differences) < 2:
        return None
    mean, spread = float(differences.mean()), float(differences.std(ddof=1))
    if spread == 0:
        return 0.0 if mean == 0 else float(np.copysign(np.inf, mean))
    return mean / spread


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values corrected for their number, step down, in the order given.

    Source: Holm 1979, Scand. J. Statist. 6(2).
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for place, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - place) * p_values[index]))
        corrected[index] = highest
    return corrected
