"""Paired comparisons of two methods: on common seeds in one cell, and over several tasks.

`assets/statistics.js` computes the same in the browser: change both together.
"""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache

import numpy as np

from leaderboard.statistics.bootstrap_draws import signs
from leaderboard.statistics.intervals import (
    RESAMPLES,
    ROUNDING,
    Interval,
    bootstrap_interval,
    exact_sum,
    mean_interval,
    resampled_means,
    standard_deviation,
)

ALPHA = 0.05
MIN_SEEDS = 5
"""Smallest number of common seeds for a claim."""
MAX_EXACT_PAIRS = 14
"""Up to this many pairs, all sign patterns (at most 16,384) are enumerated."""


class Verdict(StrEnum):
    """What a comparison of a first method with a second shows of the first."""

    BETTER = "better"
    WORSE = "worse"
    EQUIVALENT = "equivalent"
    NO_DIFFERENCE = "no difference shown"
    UNDECIDED = "cannot decide"


@dataclass(frozen=True)
class Comparison:
    """Two methods compared on the same seeds, in one cell or over several tasks.

    Attributes:
        difference: mean of first − second over the pairs, with its interval; None without a pair.
        p: two-sided p-value; None with too few pairs.
        least_p: the smallest p-value that this number of pairs can give.
        effect: mean difference over its standard deviation (Cohen's d_z); None below two pairs,
            infinite where all differences are equal and not 0.
        unpaired: number of seeds that only one of the two has; they are not used.
        seeds: number of pairs of the task that has the most.
        equivalence_p: the p-value of the test that the two differ by at least the region of
            practical equivalence; None with too few pairs, or without a region.
    """

    difference: Interval | None
    p: float | None
    least_p: float
    effect: float | None
    unpaired: int = 0
    seeds: int = 0
    equivalence_p: float | None = None

    @property
    def n(self) -> int:
        """Number of pairs."""
        return self.difference.n if self.difference else 0

    @property
    def decides(self) -> bool:
        """Whether there are enough seeds for a claim, and for a p-value that could support it."""
        return self.p is not None and self.seeds >= MIN_SEEDS and self.least_p <= ALPHA

    def decide(self, p: float | None, equivalence_p: float | None = None) -> Verdict:
        """Return the verdict at these (corrected) p-values."""
        if not self.decides or self.difference is None or p is None:
            return Verdict.UNDECIDED
        if p <= ALPHA:
            return Verdict.BETTER if self.difference.mean > 0 else Verdict.WORSE
        if equivalence_p is not None and equivalence_p <= ALPHA:
            return Verdict.EQUIVALENT
        return Verdict.NO_DIFFERENCE

    def verdict(
        self,
        first: str,
        second: str,
        *,
        p: float | None = None,
        equivalence_p: float | None = None,
        within: str = "",
    ) -> str:
        """Return the conclusion in words.

        A corrected `p` replaces the comparison's own; `equivalence_p` is corrected too, and
        `within` says how large the region of practical equivalence is.
        """
        decided = self.decide(self.p if p is None else p, equivalence_p)
        if decided is Verdict.EQUIVALENT:
            return f"{first} and {second} are equivalent within ± {within}"
        if decided in (Verdict.UNDECIDED, Verdict.NO_DIFFERENCE):
            return f"{decided} at n = {self.n}"
        better, worse = (first, second) if decided is Verdict.BETTER else (second, first)
        small = equivalence_p is not None and equivalence_p <= ALPHA
        return f"{better} is better than {worse}" + (f", by less than {within}" if small else "")


def of_values(comparison: Comparison, sign: int) -> Comparison:
    """Return a comparison of scores as one of the values they stand for.

    Scores are values times `sign`, −1 where less is better: differences are negated then.
    """
    gap, effect = comparison.difference, comparison.effect
    if sign > 0 or gap is None:
        return comparison
    low, high = (None if end is None else 0.0 - end for end in (gap.high, gap.low))
    return replace(
        comparison,
        difference=replace(gap, mean=0.0 - gap.mean, low=low, high=high),
        effect=None if effect is None else 0.0 - effect,
    )


def compare(
    first: Mapping[int, float],
    second: Mapping[int, float],
    *,
    rope: float | None = None,
    resolution: float = 0.0,
) -> Comparison:
    """Compare two methods (seed → score) in one cell: a paired t-test on their common seeds.

    `rope` is the largest difference that counts as equivalent in practice, for `equivalence_p`.
    `resolution` is the step between possible scores; where it is not given, it is the smallest
    step between scores of the two.
    """
    differences, p = paired_test(first, second)
    unpaired = len(set(first) ^ set(second))
    if not differences:
        return Comparison(None, None, 1.0, None, unpaired)
    step = score_resolution([*first.values(), *second.values()]) or resolution
    interval = mean_interval(differences, resolution=step)
    least = 1.0 if p is None else 0.0
    effect = effect_size(differences)
    equivalence = None if rope is None else equivalence_p(differences, rope, step)
    return Comparison(interval, p, least, effect, unpaired, len(differences), equivalence)


def paired_test(
    first: Mapping[int, float], second: Mapping[int, float]
) -> tuple[list[float], float | None]:
    """Return the differences on common seeds, and the p-value of their t-test (`paired_p`).

    The resolution is that of these two methods' scores, so that the p-value of a pair does not
    depend on which other methods it is compared with.
    """
    differences = paired_differences(first, second)
    return differences, paired_p(differences, score_resolution([*first.values(), *second.values()]))


def paired_differences(first: Mapping[int, float], second: Mapping[int, float]) -> list[float]:
    """Return first − second on their common seeds; 0 if they differ by rounding only."""
    pairs = [(first[seed], second[seed]) for seed in sorted(set(first) & set(second))]
    rounding = ROUNDING * max((abs(x) for pair in pairs for x in pair), default=0.0)
    return [x - y if abs(x - y) > rounding else 0.0 for x, y in pairs]


def paired_p(differences: Sequence[float], resolution: float = 0.0) -> float | None:
    """Return the two-sided p-value of the paired t-test; None below two pairs.

    `resolution` is the step between possible scores, see `_spread`. With neither variance nor
    resolution, p is 1 if all differences are 0, else 0.
    """
    from scipy import special

    n = len(differences)
    if n < 2:
        return None
    mean, spread = exact_sum(differences) / n, _spread(differences, resolution)
    if spread <= ROUNDING * max(map(abs, differences)):
        return 1.0 if mean == 0 else 0.0
    return 2 * float(special.stdtr(n - 1, -abs(mean) / spread * math.sqrt(n)))


def equivalence_p(
    differences: Sequence[float], rope: float, resolution: float = 0.0
) -> float | None:
    """Return the p-value of two one-sided paired t-tests (TOST); None below two pairs.

    The hypothesis is that the mean difference is `rope` or more in either direction; p is that of
    the less certain of the two tests. `resolution` as for `paired_p`.

    Source: Schuirmann 1987, J. Pharmacokinet. Biopharm. 15(6).
    """
    from scipy import special

    n = len(differences)
    if n < 2:
        return None
    mean, spread = exact_sum(differences) / n, _spread(differences, resolution)
    room = rope - abs(mean)
    if spread <= ROUNDING * max(map(abs, differences)):
        return 0.0 if room > 0 else 1.0
    return float(special.stdtr(n - 1, -room / spread * math.sqrt(n)))


def _spread(differences: Sequence[float], resolution: float) -> float:
    """Return the standard deviation that a test uses.

    An accuracy is a count, so with few seeds all differences may be equal by chance, which a t-test
    would take for certainty. The standard deviation is therefore at least that of a difference of
    two numbers rounded to the resolution, resolution / √6.
    """
    return max(standard_deviation(differences), resolution / math.sqrt(6))


def score_resolution(scores: Iterable[float]) -> float:
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

    The statistic is the mean over tasks of the mean difference within a task, so tasks weigh the
    same regardless of their number of seeds. Under the null hypothesis each pair's sign is random:
    up to 14 pairs all sign patterns are enumerated, above that 10,000 are drawn (seeded). The
    interval is a bootstrap over the pairs within each task; there is none if a task has a single
    pair.
    """
    tasks = sorted(set(first) & set(second))
    unpaired = sum(len(set(first[task]) ^ set(second[task])) for task in tasks)
    by_task = [paired_differences(first[task], second[task]) for task in tasks]
    blocks = [block for block in by_task if block]
    if not blocks:
        return Comparison(None, None, 1.0, None, unpaired)
    differences = np.concatenate(blocks)
    weights = np.concatenate([np.full(len(b), 1 / len(b) / len(blocks)) for b in blocks])
    n = len(differences)
    terms = weights * differences
    observed = exact_sum(terms)
    # Sums in another order differ in the last bits, so "as far from 0" allows for rounding.
    threshold = abs(observed) - ROUNDING * exact_sum(abs(terms))
    exact = n <= MAX_EXACT_PAIRS
    patterns = _all_signs(n) if exact else signs(seed, RESAMPLES, n)
    extreme = int(np.count_nonzero(abs(patterns @ terms) >= threshold))
    # The observed pattern counts as one more, since random ones need not contain it.
    p = extreme / 2**n if exact else (extreme + 1) / (RESAMPLES + 1)
    least = 2.0 / 2**n if exact else 1.0 / (RESAMPLES + 1)
    means = [resampled_means(block, seed, i) for i, block in enumerate(blocks, start=1)]
    sizes = [len(block) for block in blocks]
    interval = bootstrap_interval(observed, np.mean(means, axis=0), sizes)
    return Comparison(interval, p, least, effect_size(differences), unpaired, max(sizes))


@lru_cache(maxsize=MAX_EXACT_PAIRS)
def _all_signs(n: int) -> np.ndarray:
    """Return [2ⁿ, n]: every pattern of n signs."""
    return 1.0 - 2.0 * (np.arange(2**n)[:, None] >> np.arange(n) & 1)


def effect_size(differences: Sequence[float] | np.ndarray) -> float | None:
    """Return the mean of paired differences over their standard deviation (Cohen's d_z).

    None below two pairs; 0 or infinite if the differences vary by rounding only.
    """
    values = [float(x) for x in differences]
    if len(values) < 2:
        return None
    mean, spread = exact_sum(values) / len(values), standard_deviation(values)
    if spread <= ROUNDING * max(map(abs, values)):
        return 0.0 if mean == 0 else math.copysign(math.inf, mean)
    return mean / spread
