"""Aggregates over tasks: interquartile mean, performance profile, win rates, ranks, ratings.

Scores are given as method → task → scores of its runs (one per seed), higher being better.
Source of the first three: Agarwal et al. 2021, arXiv:2108.13264. `assets/aggregates.js` mirrors
this file function by function: change both together.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from leaderboard.statistics.bootstrap_draws import blocks, counts, tallies
from leaderboard.statistics.intervals import RESAMPLES, Interval, bootstrap_interval, exact_sum
from leaderboard.statistics.proportions import share_interval, win_interval
from leaderboard.statistics.rank_statistics import friedman_p, mean_ranks, studentized_range

RunsByTask = Mapping[str, Sequence[float]]
"""Task → scores of one method's runs."""

MIN_TASKS = 4
"""Smallest number of tasks for an interval of a rating: nominal 95 % intervals cover 90 % for three
tasks, 86 % for two."""
ELO = 400 / np.log(10)
"""Rating points per unit of log-odds: 400 points are odds of ten to one."""


def _arrays(runs: RunsByTask) -> list[np.ndarray]:
    return [np.asarray(runs[task], dtype=np.float64) for task in sorted(runs)]


def interquartile_mean(runs: RunsByTask, *, seed: int = 0, draws: int = RESAMPLES) -> Interval:
    """Return the mean of the middle half of all runs, with a stratified bootstrap interval."""
    tasks = _arrays(runs)
    scores = np.concatenate(tasks)
    n, cut = len(scores), len(scores) // 4
    order = np.argsort(scores, kind="stable")
    middle = slice(cut, n - cut)
    means = []
    for first, some in blocks(draws, n):
        drawn = [tallies(seed, some, len(task), i, first) for i, task in enumerate(tasks)]
        # Of the drawn scores in order: how many there are up to each one, of those in the middle.
        until = np.cumsum(np.concatenate(drawn, axis=1)[:, order], axis=1, dtype=np.int32)
        kept = np.diff(np.clip(until, middle.start, middle.stop), prepend=middle.start, axis=1)
        means.append((kept * scores[order]).sum(axis=1) / (middle.stop - middle.start))
    value = float(scores[order][middle].mean())
    strata = [len(task) for task in tasks]
    return bootstrap_interval(value, np.concatenate(means), strata)


def performance_profile(runs: RunsByTask, thresholds: Sequence[float]) -> list[Interval]:
    """Return the fraction of runs with a score above each threshold τ; tasks weigh the same."""
    taus = np.asarray(thresholds, dtype=np.float64)
    tasks = _arrays(runs)
    sizes = [len(scores) for scores in tasks]
    fractions = np.mean([(a[:, None] > taus).mean(axis=0) for a in tasks], axis=0)
    return [_proportion(float(x), share_interval(float(x), sizes), sizes) for x in fractions]


def probability_of_improvement(first: RunsByTask, second: RunsByTask) -> Interval:
    """Return P(first > second) on a random common task, ties counting half (Mann–Whitney)."""
    tasks = sorted(set(first) & set(second))
    if not tasks:
        raise ValueError("the two have no task in common")
    won = [_won(first[task], second[task]) for task in tasks]
    share = exact_sum(float(table.mean()) for table in won) / len(won)
    sizes = [(table.shape[0], table.shape[1]) for table in won]
    found = _proportion(share, win_interval(share, sizes), [n for pair in sizes for n in pair])
    return replace(found, n=sum(n for n, _ in sizes))


def _proportion(share: float, interval: tuple[float, float], sizes: Sequence[int]) -> Interval:
    """Return a share with its interval; with none if a stratum has a single run."""
    low, high = interval if min(sizes) > 1 else (None, None)
    return Interval(share, low, high, sum(sizes))


def _won(first: Sequence[float], second: Sequence[float]) -> np.ndarray:
    """Return [n, m]: 1 where a run of the first is above one of the second, ½ where equal."""
    x, y = np.asarray(first)[:, None], np.asarray(second)[None, :]
    return (x > y) + 0.5 * (x == y)


def win_rates(scores: Mapping[str, RunsByTask]) -> dict[str, dict[str, Interval]]:
    """Return P(row > column) of all pairs of methods, as row → column → probability.

    Pairs without a common task are left out. The two directions add up to 1, intervals included;
    n is the number of runs of the row.
    """
    found: dict[str, dict[str, Interval]] = {method: {} for method in scores}
    for one, other in itertools.combinations(scores, 2):
        tasks = set(scores[one]) & set(scores[other])
        if not tasks:
            continue
        rate = probability_of_improvement(scores[one], scores[other])
        low, high = (None if x is None else 1 - x for x in (rate.high, rate.low))
        runs = sum(len(scores[other][task]) for task in tasks)
        found[one][other] = rate
        found[other][one] = Interval(1 - rate.mean, low, high, runs)
    return found


@dataclass(frozen=True)
class Ranks:
    """Average ranks (1 is best) over tasks.

    Attributes:
        average: by method.
        p: of Friedman's test that all methods are equal; None for fewer than three methods or
            two tasks.
        critical_difference: smaller differences of ranks are not significant (Nemenyi, 5 %).
        groups: maximal sets of methods without a significant difference, best first; none where
            the test cannot decide.
        tasks: number of tasks.
        decides: whether Nemenyi's test could show any difference: whether the largest possible
            difference of average ranks, number of methods − 1, exceeds the critical one.
    """

    average: dict[str, float]
    p: float | None
    critical_difference: float
    groups: list[list[str]]
    tasks: int
    decides: bool


def average_ranks(means: Mapping[str, Mapping[str, float]]) -> Ranks:
    """Rank methods (method → task → mean score) on the tasks that all of them have.

    Source: Demšar 2006, JMLR 7, §3.2.2.

    Raises:
        ValueError: fewer than two methods, or no task that all have.
    """
    methods = list(means)
    tasks = sorted(set.intersection(*(set(by) for by in means.values())) if means else set())
    if len(methods) < 2 or not tasks:
        raise ValueError("ranks need two methods and a task that all of them have")
    table = np.array([[-means[m][t] for m in methods] for t in tasks])
    by_task = np.array([mean_ranks(row) for row in table])
    ranks = by_task.mean(axis=0)
    k, n = len(methods), len(tasks)
    p = None
    if k >= 3 and n >= 2:
        # All methods equal on every task: the statistic is 0/0, and there is no difference.
        alike = bool((np.ptp(table, axis=1) == 0).all())
        p = 1.0 if alike else friedman_p(by_task)
    q = studentized_range(k) / np.sqrt(2)
    difference = float(q * np.sqrt(k * (k + 1) / (6 * n)))
    order = sorted(range(k), key=lambda i: ranks[i])
    sorted_ranks = ranks[order]
    groups: list[list[str]] = []
    decides, end = k - 1 > difference, 0
    for start in range(k if decides else 0):
        last = int(np.searchsorted(sorted_ranks, sorted_ranks[start] + difference, "right"))
        if last > max(end, start + 1):  # otherwise alone, or inside the group before
            groups.append([methods[i] for i in order[start:last]])
            end = last
    average = dict(zip(methods, ranks.tolist(), strict=True))
    return Ranks(average, p, difference, groups, n, decides)


RANK_DRAWS = 2000
"""Resamples of a mean rank, which is shown to one decimal."""
ALIKE = 1e-9
"""Resampled means are rounded to multiples of this before they are ranked: equal ones, summed in
another order, differ in the last bits."""


def mean_ranks_over_tasks(
    scores: Mapping[str, RunsByTask], *, seed: int = 0
) -> dict[str, Interval]:
    """Return each method's rank (1 is best) by its mean score, averaged over tasks, with intervals.

    All methods must have the same tasks. Runs are resampled within tasks, by the same draws for
    all methods with as many runs, since those of one seed share batches. Intervals are for one
    method at a time, of its expected rank over other seeds on these tasks; the rank in one other
    set of seeds is outside more often.

    Raises:
        ValueError: there is no method or no task, or a method lacks a task of the others.
    """
    methods, tasks = list(scores), sorted({task for runs in scores.values() for task in runs})
    if not tasks or any(set(runs) != set(tasks) for runs in scores.values()):
        raise ValueError("mean ranks need methods that all have the same tasks")
    observed, drawn, sizes = np.zeros(len(methods)), np.zeros((RANK_DRAWS, len(methods))), []
    for stream, task in enumerate(tasks):
        values = [np.asarray(scores[method][task], dtype=np.float64) for method in methods]
        sizes.append(min(map(len, values)))
        means = np.array([exact_sum(one) / len(one) for one in values])
        spread = [
            mean + counts(seed, RANK_DRAWS, len(one), stream) @ (one - mean) / len(one)
            for one, mean in zip(values, means, strict=True)
        ]
        observed += _ranks(means[None])[0] / len(tasks)
        drawn += _ranks(np.stack(spread, axis=1)) / len(tasks)
    bounds = (1.0, float(len(methods)))
    return {
        method: bootstrap_interval(float(observed[i]), drawn[:, i], sizes, bounds)
        for i, method in enumerate(methods)
    }


def _ranks(means: np.ndarray) -> np.ndarray:
    """Return the ranks in each row, the largest first; equal ones share the mean of theirs."""
    steps = np.rint(means / ALIKE)
    above = (steps[:, None, :] > steps[:, :, None]).sum(axis=2)
    return above + (steps[:, None, :] == steps[:, :, None]).sum(axis=2) / 2 + 0.5


def ratings(
    scores: Mapping[str, RunsByTask], *, seed: int = 0, draws: int = 1000, prior: float = 0.5
) -> dict[str, Interval]:
    """Return Bradley–Terry ratings in Elo points, mean 0, with an interval bootstrapped over tasks.

    On a task, every run of one method is compared with every run of another; a task counts as one
    match per pair of methods, split by the fraction won. `prior` matches per pair are added, half
    won by each, so that a method that always wins has a finite rating.

    Source: Bradley & Terry 1952, Biometrika 39.

    Raises:
        ValueError: there is no task.
    """
    methods = sorted(scores)
    tasks = sorted({task for runs in scores.values() for task in runs})
    if not tasks:
        raise ValueError("ratings need a task")
    wins = np.zeros((len(tasks), len(methods), len(methods)))
    for number, task in enumerate(tasks):
        present = [i for i, m in enumerate(methods) if task in scores[m]]
        for i, j in itertools.permutations(present, 2):
            wins[number, i, j] = _won(scores[methods[i]][task], scores[methods[j]][task]).mean()
    value, n = _bradley_terry(wins.sum(0)[None], prior)[0], len(tasks)
    if n < MIN_TASKS:
        return {m: Interval(float(value[i]), None, None, n) for i, m in enumerate(methods)}
    spread = _bradley_terry(np.tensordot(counts(seed, draws, n), wins, 1), prior)
    return {
        m: bootstrap_interval(float(value[i]), spread[:, i], [n]) for i, m in enumerate(methods)
    }


def _bradley_terry(wins: np.ndarray, prior: float) -> np.ndarray:
    """Return ratings [b, k] in Elo points of wins [b, k, k] (i over j), mean 0.

    Newton's method for the likelihood. Steps are scaled by log(1 + r) / r, where r is the largest
    change of log-odds in the step, so that each increases the likelihood from any start (Bach
    2010, arXiv:0910.4627, proposition 1).
    """
    k = wins.shape[-1]
    wins = wins + prior / 2 * (1 - np.eye(k))
    matches = wins + wins.swapaxes(-1, -2)
    logs = np.zeros(wins.shape[:-1])
    for _ in range(100):
        expected = 1 / (1 + np.exp(logs[:, None, :] - logs[:, :, None]))
        gradient = (wins - matches * expected).sum(-1)
        hessian = -matches * expected * expected.swapaxes(-1, -2)
        hessian += np.eye(k) * -hessian.sum(-1, keepdims=True) + 1 / k  # 1/k: the mean stays 0
        step = np.linalg.solve(hessian, gradient[:, :, None])[:, :, 0]
        reach = np.ptp(step, axis=-1, keepdims=True)
        logs += step * np.log1p(reach) / np.maximum(reach, np.finfo(np.float64).tiny)
        if reach.max() < 1e-8:  # convergence is quadratic
            break
    return ELO * logs


def pareto_front(cost: Sequence[float], score: Sequence[float]) -> list[int]:
    """Return the indices of the Pareto front: none is cheaper and as good, or better and as cheap.

    Sorted by cost. Equal points are all on the front.
    """
    order = sorted(range(len(cost)), key=lambda i: (cost[i], -score[i]))
    front: list[int] = []
    for i in order:
        best = score[front[-1]] if front else -np.inf
        equal = bool(front) and (cost[i], score[i]) == (cost[front[-1]], score[front[-1]])
        if score[i] > best or equal:
            front.append(i)
    return front
