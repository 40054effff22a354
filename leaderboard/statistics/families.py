"""Methods against a chosen reference: one family of comparisons, corrected together.

Whoever says that a method is better or worse than another, or equivalent to it, takes it from here:
tables, pages and `resonance compare`. The family is what is shown: all methods in all cells that
are handed over. Rank intervals, which compare all pairs, are in `multiple_comparisons`.
`assets/statistics.js` computes `against_reference` in the browser: change both together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from leaderboard.statistics.bayesian_signed_rank import MIN_TASKS, SignedRank, signed_rank
from leaderboard.statistics.intervals import ROUNDING
from leaderboard.statistics.multiple_comparisons import SeedScores, holm
from leaderboard.statistics.paired_comparisons import (
    ALPHA,
    Comparison,
    Verdict,
    compare,
    compare_over_tasks,
)
from leaderboard.statistics.rank_statistics import mean_ranks


@dataclass(frozen=True)
class FamilyCell:
    """The scores of all methods in one cell.

    Attributes:
        task, sparsity: the cell.
        scores: method → seed → score, higher being better.
        rope: differences up to this count as equivalent in practice; None if nobody has said.
        resolution: the step between possible scores, for an accuracy one test example; 0 if none.
    """

    task: str
    sparsity: float
    scores: SeedScores
    rope: float | None = None
    resolution: float = 0.0


@dataclass(frozen=True)
class Claim:
    """A method against the reference in one cell.

    Attributes:
        task, sparsity, method: which.
        comparison: the method minus the reference, on common seeds.
        p: of a difference, Holm-corrected over the family; None where too few seeds are common.
        equivalence_p: of equivalence, Holm-corrected over the family; None as `p`, or without a
            region of practical equivalence.
        verdict: of the method.
    """

    task: str
    sparsity: float
    method: str
    comparison: Comparison
    p: float | None
    equivalence_p: float | None
    verdict: Verdict


@dataclass(frozen=True)
class Family:
    """Comparisons with one reference.

    Attributes:
        reference: the method that all others are compared with.
        claims: by cell and method, in the order given.
        tested: number of comparisons with enough seeds, over which p-values are corrected.
    """

    reference: str
    claims: list[Claim]
    tested: int


def against_reference(cells: Sequence[FamilyCell], reference: str) -> Family:
    """Compare every method with the reference in every cell that has both.

    Each is a paired t-test on common seeds. The p-values of all of them with at least five common
    seeds are corrected together (Holm), so that the probability of any false difference is at most
    5 %; those of equivalence are corrected together in the same way, apart from the former.
    """
    found = [
        (cell, method, compare(scores, base, rope=cell.rope, resolution=cell.resolution))
        for cell in cells
        if (base := cell.scores.get(reference)) is not None
        for method, scores in cell.scores.items()
        if method != reference
    ]
    comparisons = [comparison for *_, comparison in found]
    ps, equivalence = corrected(comparisons), corrected_equivalence(comparisons)
    claims = [
        Claim(cell.task, cell.sparsity, method, one, p, alike, one.decide(p, alike))
        for (cell, method, one), p, alike in zip(found, ps, equivalence, strict=True)
    ]
    return Family(reference, claims, sum(p is not None for p in ps))


def corrected(comparisons: Sequence[Comparison]) -> list[float | None]:
    """Return the p-values, Holm-corrected over the comparisons that can decide; None for others."""
    return _holm([one.p if one.decides else None for one in comparisons])


def corrected_equivalence(comparisons: Sequence[Comparison]) -> list[float | None]:
    """Return the p-values of equivalence, corrected as `corrected` does."""
    return _holm([one.equivalence_p if one.decides else None for one in comparisons])


def _holm(ps: Sequence[float | None]) -> list[float | None]:
    found = iter(holm([p for p in ps if p is not None]))
    return [None if p is None else next(found) for p in ps]


@dataclass(frozen=True)
class ClaimOverTasks:
    """A method against the reference over all tasks that have both, which weigh the same.

    Attributes:
        method: which.
        tasks: their number.
        comparison: the sign-flip test, stratified by task.
        p: its p-value, Holm-corrected over the methods; None if it cannot decide.
        wilcoxon_p: of Wilcoxon's signed-rank test of the tasks' mean differences, exact,
            Holm-corrected over the methods; None if so few tasks cannot reach 5 %.
        signed_rank: the Bayesian counterpart; None below four tasks, or without a region of
            practical equivalence.
        verdict: by the sign-flip test, so never "equivalent": that is what `signed_rank` is for.
    """

    method: str
    tasks: int
    comparison: Comparison
    p: float | None
    wilcoxon_p: float | None
    signed_rank: SignedRank | None
    verdict: Verdict


def over_tasks(
    scores: Mapping[str, Mapping[str, Mapping[int, float]]],
    reference: str,
    *,
    rope: float | None = None,
    seed: int = 0,
) -> list[ClaimOverTasks]:
    """Compare every method (method → task → seed → score) with the reference over tasks.

    Raises:
        KeyError: the reference has no score.
    """
    base = scores[reference]
    found = [
        (method, compare_over_tasks(by_task, base, seed=seed), _differences(by_task, base))
        for method, by_task in scores.items()
        if method != reference
    ]
    ps = corrected([comparison for _, comparison, _ in found])
    wilcoxon = _holm([wilcoxon_p(differences) for *_, differences in found])
    return [
        ClaimOverTasks(
            method,
            len(differences),
            comparison,
            p,
            rank_p,
            None
            if rope is None or len(differences) < MIN_TASKS
            else signed_rank(differences, rope, seed=seed),
            comparison.decide(p),
        )
        for (method, comparison, differences), p, rank_p in zip(found, ps, wilcoxon, strict=True)
    ]


def _differences(
    first: Mapping[str, Mapping[int, float]], second: Mapping[str, Mapping[int, float]]
) -> list[float]:
    """Return the mean difference of each task, on the seeds that both have."""
    compared = (compare(first[task], second[task]) for task in sorted(set(first) & set(second)))
    return [one.difference.mean for one in compared if one.difference is not None]


def wilcoxon_p(differences: Sequence[float]) -> float | None:
    """Return the exact p-value of Wilcoxon's signed-rank test, two-sided, without zeros.

    None if it could not be 5 % or less however the differences lay: with fewer than six that are
    not 0. Differences of equal size share the mean of their ranks, and the distribution is that of
    these ranks (SciPy's exact one is of ranks without ties). Sizes are equal if they differ by
    rounding only. Source: Wilcoxon 1945, Biometrics Bulletin 1(6).
    """
    rounding = ROUNDING * max(map(abs, differences), default=0.0)
    values = np.asarray(sorted((x for x in differences if abs(x) > rounding), key=abs))
    if 2.0 ** (1 - len(values)) > ALPHA:
        return None
    sizes = np.cumsum(np.diff(abs(values), prepend=0) > rounding)
    ranks = np.rint(2 * mean_ranks(sizes)).astype(int)  # twice, so that all are whole
    chances = np.ones(1)  # of each sum of the ranks of positive differences
    for rank in ranks:
        chances = np.pad(chances, (0, rank)) / 2 + np.pad(chances, (rank, 0)) / 2
    off = abs(2 * np.arange(len(chances)) - ranks.sum())
    return float(chances[off >= abs(2 * ranks[values > 0].sum() - ranks.sum())].sum())
