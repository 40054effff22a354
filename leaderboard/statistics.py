"""Statistics over seeds: intervals of one cell, and paired comparisons of two methods.

A browser computes the same figures (`SCRIPTS`): a change here is a change there. So sums are exact
(`math.fsum`), whatever the order, and draws come from `leaderboard.draws`.
"""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from leaderboard.draws import counts, signs

SMALL = 10
RESAMPLES = 10_000
ALPHA = 0.05
ENOUGH = 5
"""Seeds below which nothing is claimed of a method's place among others."""
EXACT_UP_TO = 14
"""So many pairs have few enough sign patterns (16,384) to look at all of them."""
NORMAL = 1.959963984540054
"""97.5 % quantile of the standard normal distribution."""
ROUNDING = 1e-9
"""What differs by less, as a fraction of the numbers it was computed from, differs by rounding."""
SCRIPTS = ("numerics.js", "statistics.js", "aggregates.js")
"""The files of `assets/` that say the same in the browser, in the order they are loaded in."""


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
    return _mean_interval(tuple(values), seed)


@lru_cache(maxsize=4096)  # a cell stands in several tables and charts of a site
def _mean_interval(values: tuple[float, ...], seed: int) -> Interval:
    n = len(values)
    if n == 0 or not np.isfinite(values).all():
        raise ValueError("mean_interval needs at least one value, all finite")
    mean = _sum(values) / n
    if n == 1:
        return Interval(mean, None, None, 1)
    if n < SMALL:
        from scipy import special

        half = float(special.stdtrit(n - 1, 0.975)) * _deviation(values) / math.sqrt(n)
        return Interval(mean, mean - half, mean + half, n)
    return bootstrap_interval(mean, _resampled_means(values, seed), [n])


def bootstrap_interval(
    value: float,
    draws: np.ndarray,
    strata: Sequence[int],
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> Interval:
    """Return a value with the 95 % interval that resampling within strata of these sizes gives.

    The distances from the value to the 2.5 % and 97.5 % quantiles are widened by `widening`, then
    cut at `bounds`. There is no interval where a stratum holds a single value: how much that one
    varies cannot be known.
    """
    n, wide = sum(strata), widening(strata)
    if wide is None:
        return Interval(value, None, None, n)
    low, high = (value + wide * (float(q) - value) for q in np.quantile(draws, [0.025, 0.975]))
    return Interval(value, max(low, bounds[0]), min(high, bounds[1]), n)


@lru_cache
def _widening(n: int, freedom: int) -> float:
    from scipy import special

    return math.sqrt(n / freedom) * float(special.stdtrit(freedom, 0.975)) / NORMAL


def widening(strata: Sequence[int]) -> float | None:
    """Return by how much quantiles of resamples are too near, for strata of these sizes.

    A resample's variance is (n − 1) / n of the unbiased one, and a variance estimated from few
    values asks for Student's quantiles: without both, 95 % intervals cover 85 % over five tasks and
    50 % over two. None where a stratum holds a single value.

    Source: Hesterberg 2015, The American Statistician 69(4), the expanded percentile interval; here
    the distances are widened, as quantiles that far out need more values than there are.
    """
    if min(strata) < 2:
        return None
    return _widening(sum(strata), sum(strata) - len(strata))


def _resampled_means(values: Sequence[float], seed: int, stream: int = 0) -> np.ndarray:
    """Return means of values drawn with replacement."""
    n, mean = len(values), _sum(values) / len(values)
    return mean + counts(seed, RESAMPLES, n, stream) @ (np.asarray(values) - mean) / n


def _sum(values: Iterable[float]) -> float:
    """Return the sum, rounded once; infinite where it is beyond what a float holds."""
    values = list(values)
    try:
        return math.fsum(values)
    except OverflowError:
        return float(sum(values))


def _deviation(values: Sequence[float]) -> float:
    """Return the standard deviation of two or more values."""
    mean = _sum(values) / len(values)
    return math.sqrt(_sum((x - mean) * (x - mean) for x in values) / (len(values) - 1))


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
        seeds: pairs of the task that has the most.
    """

    difference: Interval | None
    p: float | None
    least_p: float
    effect: float | None
    unpaired: int = 0
    seeds: int = 0

    @property
    def n(self) -> int:
        """Number of pairs."""
        return self.difference.n if self.difference else 0

    @property
    def decides(self) -> bool:
        """Whether there are seeds enough for a claim, and for a p-value that could support one."""
        return self.p is not None and self.seeds >= ENOUGH and self.least_p <= ALPHA

    def verdict(self, first: str, second: str, *, p: float | None = None) -> str:
        """Return what may be said, in words; `p` is a corrected p-value in place of the own one."""
        p = self.p if p is None else p
        if not self.decides or self.difference is None or p is None:
            return f"cannot decide at n = {self.n}"
        if p > ALPHA:
            return f"no difference shown at n = {self.n}"
        better, worse = (first, second) if self.difference.mean > 0 else (second, first)
        return f"{better} is better than {worse}"


def compare(first: Mapping[int, float], second: Mapping[int, float]) -> Comparison:
    """Compare two methods in one cell, given by seed: a paired t-test on their common seeds."""
    differences = _differences(first, second)
    unpaired = len(set(first) ^ set(second))
    if not differences:
        return Comparison(None, None, 1.0, None, unpaired)
    interval = mean_interval(differences)
    p = paired_p(differences, grain([*first.values(), *second.values()]))
    least = 1.0 if p is None else 0.0
    effect = effect_size(differences)
    return Comparison(interval, p, least, effect, unpaired, len(differences))


def _differences(first: Mapping[int, float], second: Mapping[int, float]) -> list[float]:
    """Return first − second on their common seeds; 0 where rounding is all there is."""
    pairs = [(first[seed], second[seed]) for seed in sorted(set(first) & set(second))]
    rounding = ROUNDING * max((abs(x) for pair in pairs for x in pair), default=0.0)
    return [x - y if abs(x - y) > rounding else 0.0 for x, y in pairs]


def paired_p(differences: Sequence[float], grain: float = 0.0) -> float | None:
    """Return the two-sided p-value of the paired t-test; None below two pairs.

    `grain` is the step in which scores come: an accuracy is a count, and among few seeds equal
    differences of counts are common, which a t-test takes for certainty. So the standard deviation
    is at least that of two numbers rounded to the grain, grain / √6. Without variance and grain, p
    is 1 where all differences are 0, and 0 where they are not.
    """
    from scipy import special

    n = len(differences)
    if n < 2:
        return None
    mean = _sum(differences) / n
    spread = max(_deviation(differences), grain / math.sqrt(6))
    if spread <= ROUNDING * max(map(abs, differences)):
        return 1.0 if mean == 0 else 0.0
    return 2 * float(special.stdtr(n - 1, -abs(mean) / spread * math.sqrt(n)))


def grain(scores: Iterable[float]) -> float:
    """Return the smallest step between scores that differ by more than rounding; 0 without any."""
    ordered = sorted(scores)
    rounding = ROUNDING * max(map(abs, ordered), default=0.0)
    steps = (b - a for a, b in itertools.pairwise(ordered))
    return min((step for step in steps if step > rounding), default=0.0)


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
    is a bootstrap over the pairs within each task; there is none where a task has a single pair.
    """
    tasks = sorted(set(first) & set(second))
    unpaired = sum(len(set(first[task]) ^ set(second[task])) for task in tasks)
    found = [_differences(first[task], second[task]) for task in tasks]
    blocks = [block for block in found if block]
    if not blocks:
        return Comparison(None, None, 1.0, None, unpaired)
    differences = np.concatenate(blocks)
    weights = np.concatenate([np.full(len(b), 1 / len(b) / len(blocks)) for b in blocks])
    n = len(differences)
    terms = weights * differences
    observed = _sum(terms)
    # Sums in another order differ in the last bits: as far from 0 means up to that.
    bar = abs(observed) - ROUNDING * _sum(abs(terms))
    exact = n <= EXACT_UP_TO
    patterns = _all_signs(n) if exact else signs(seed, RESAMPLES, n)
    extreme = int(np.count_nonzero(abs(patterns @ terms) >= bar))
    # Random patterns need not contain the observed one, which is one more.
    p = extreme / 2**n if exact else (extreme + 1) / (RESAMPLES + 1)
    least = 2.0 / 2**n if exact else 1.0 / (RESAMPLES + 1)
    means = [_resampled_means(block, seed, i) for i, block in enumerate(blocks, start=1)]
    sizes = [len(block) for block in blocks]
    interval = bootstrap_interval(observed, np.mean(means, axis=0), sizes)
    return Comparison(interval, p, least, effect_size(differences), unpaired, max(sizes))


@lru_cache(maxsize=EXACT_UP_TO)
def _all_signs(n: int) -> np.ndarray:
    """Return [2ⁿ, n] every pattern of n signs."""
    return 1.0 - 2.0 * (np.arange(2**n)[:, None] >> np.arange(n) & 1)


def effect_size(differences: Sequence[float] | np.ndarray) -> float | None:
    """Return the mean of paired differences over their standard deviation (Cohen's d_z).

    None below two pairs; 0 or infinite where the differences do not vary by more than rounding.
    """
    values = [float(x) for x in differences]
    if len(values) < 2:
        return None
    mean, spread = _sum(values) / len(values), _deviation(values)
    if spread <= ROUNDING * max(map(abs, values)):
        return 0.0 if mean == 0 else math.copysign(math.inf, mean)
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


Scored = Mapping[str, Mapping[int, float]]
"""Method → seed → score in one cell, higher being better."""


def rank_intervals(cells: Sequence[Scored]) -> list[dict[str, tuple[int, int]]]:
    """Return the best and the worst rank that each method may have in each cell (1 is best).

    A method stands behind those that are significantly better and before those that are
    significantly worse: paired t-tests on common seeds, Holm-corrected over all pairs of all these
    cells together, so that the chance of any false difference among them is at most 5 %. Pairs with
    fewer than five common seeds are left undecided.
    """
    compared = []
    for place, cell in enumerate(cells):
        step = grain(score for by_seed in cell.values() for score in by_seed.values())
        for one, other in itertools.combinations(cell, 2):
            differences = _differences(cell[one], cell[other])
            p = paired_p(differences, step) if len(differences) >= ENOUGH else None
            if p is not None:
                better, worse = (one, other) if _sum(differences) > 0 else (other, one)
                compared.append((p, place, better, worse))
    found = [{method: (1, len(cell)) for method in cell} for cell in cells]
    corrected = holm([p for p, *_ in compared])
    for p, (_, place, better, worse) in zip(corrected, compared, strict=True):
        if p <= ALPHA:
            ranks = found[place]
            ranks[worse] = (ranks[worse][0] + 1, ranks[worse][1])
            ranks[better] = (ranks[better][0], ranks[better][1] - 1)
    return found
