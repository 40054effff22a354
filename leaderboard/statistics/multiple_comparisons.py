"""Multiple comparisons: Holm's correction, and rank intervals from all pairwise tests.

`assets/statistics.js` computes the same in the browser: change both together.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from leaderboard.statistics.intervals import exact_sum
from leaderboard.statistics.paired_comparisons import (
    ALPHA,
    MIN_SEEDS,
    paired_test,
)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values adjusted by Holm's step-down procedure, in the order given.

    Source: Holm 1979, Scand. J. Statist. 6(2).
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for place, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - place) * p_values[index]))
        corrected[index] = highest
    return corrected


SeedScores = Mapping[str, Mapping[int, float]]
"""Method → seed → score in one cell, higher being better."""


RankInterval = tuple[int, int]
"""The best and the worst possible rank; 1 is best."""


@dataclass(frozen=True)
class AllPairs:
    """All pairs of methods in all cells, compared as one family.

    Attributes:
        ranks: of each cell, method → its possible ranks.
        tested: number of pairs, over which the p-values are corrected.
    """

    ranks: list[dict[str, RankInterval]]
    tested: int


def all_pairs(cells: Sequence[SeedScores]) -> AllPairs:
    """Return the possible ranks of each method in each cell.

    A method ranks behind those that are significantly better and before those that are
    significantly worse, by paired t-tests on common seeds, Holm-corrected over all pairs of all
    cells, so that the probability of any false difference is at most 5 %. Pairs with fewer than
    five common seeds are not tested.
    """
    compared = []
    for place, cell in enumerate(cells):
        for one, other in itertools.combinations(cell, 2):
            differences, p = paired_test(cell[one], cell[other])
            if p is not None and len(differences) >= MIN_SEEDS:
                better, worse = (one, other) if exact_sum(differences) > 0 else (other, one)
                compared.append((p, place, better, worse))
    intervals = [{method: (1, len(cell)) for method in cell} for cell in cells]
    corrected = holm([p for p, *_ in compared])
    for p, (_, place, better, worse) in zip(corrected, compared, strict=True):
        if p <= ALPHA:
            ranks = intervals[place]
            ranks[worse] = (ranks[worse][0] + 1, ranks[worse][1])
            ranks[better] = (ranks[better][0], ranks[better][1] - 1)
    return AllPairs(intervals, len(compared))


def rank_intervals(cells: Sequence[SeedScores]) -> list[dict[str, RankInterval]]:
    """Return the possible ranks alone, see `all_pairs`."""
    return all_pairs(cells).ranks
