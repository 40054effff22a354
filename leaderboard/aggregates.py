"""Statistics over tasks: how methods stand when several tasks are looked at together.

Scores are given as method → task → scores of its runs (one per seed), higher being better.
Source of the first three: Agarwal et al. 2021, arXiv:2108.13264.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from leaderboard.statistics import RESAMPLES, Interval

Runs = Mapping[str, Sequence[float]]
"""Task → scores of one method's runs."""

ELO = 400 / np.log(10)
"""Rating points per unit of log-odds: 400 points are odds of ten to one."""


def _arrays(runs: Runs) -> list[np.ndarray]:
    return [np.asarray(runs[task], dtype=np.float64) for task in sorted(runs)]


def _resampled(runs: Runs, seed: int, draws: int) -> list[np.ndarray]:
    """Return per task [draws, n]: runs drawn with replacement within their task."""
    random = np.random.default_rng(seed)
    return [random.choice(scores, size=(draws, len(scores))) for scores in _arrays(runs)]


def _interval(value: float, draws: np.ndarray, n: int) -> Interval:
    low, high = np.quantile(draws, [0.025, 0.975])
    return Interval(value, float(low), float(high), n)


def interquartile_mean(runs: Runs, *, seed: int = 0, draws: int = RESAMPLES) -> Interval:
    """Return the mean of the middle half of all runs, with a stratified bootstrap interval."""
    from scipy import stats

    scores = np.concatenate(_arrays(runs))
    pooled = np.concatenate(_resampled(runs, seed, draws), axis=1)
    value = float(stats.trim_mean(scores, 0.25))
    return _interval(value, stats.trim_mean(pooled, 0.25, axis=1), len(scores))


def performance_profile(
    runs: Runs, thresholds: Sequence[float], *, seed: int = 0, draws: int = 2000
) -> list[Interval]:
    """Return for each threshold τ the share of runs with a score above τ, tasks weighing alike."""
    taus = np.asarray(thresholds, dtype=np.float64)
    shares = np.mean([(a[:, None] > taus).mean(0) for a in _arrays(runs)], axis=0)
    spread = np.mean(
        [(a[:, :, None] > taus).mean(1) for a in _resampled(runs, seed, draws)], axis=0
    )
    n = sum(len(a) for a in _arrays(runs))
    return [_interval(float(s), spread[:, i], n) for i, s in enumerate(shares)]


def probability_of_improvement(
    first: Runs, second: Runs, *, seed: int = 0, draws: int = 2000
) -> Interval:
    """Return P(first > second) on a random common task, ties counting half (Mann–Whitney)."""
    tasks = sorted(set(first) & set(second))
    if not tasks:
        raise ValueError("the two have no task in common")
    one, two = {t: first[t] for t in tasks}, {t: second[t] for t in tasks}

    def share(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """[…, n] and […, m] → […]."""
        more = x[..., :, None] > y[..., None, :]
        same = x[..., :, None] == y[..., None, :]
        return (more + 0.5 * same).mean((-1, -2))

    value = float(np.mean([share(x, y) for x, y in zip(_arrays(one), _arrays(two), strict=True)]))
    pairs = zip(_resampled(one, seed, draws), _resampled(two, seed + 1, draws), strict=True)
    spread = np.mean([share(x, y) for x, y in pairs], axis=0)
    return _interval(value, spread, sum(map(len, _arrays(one))))


@dataclass(frozen=True)
class Ranks:
    """Average ranks (1 is best) over tasks.

    Attributes:
        average: by method.
        p: of Friedman's test that all methods are alike; None for fewer than three methods or
            two tasks.
        critical_difference: average ranks closer than this are not told apart (Nemenyi, 5 %).
        groups: maximal sets of methods that are not told apart, best first.
        tasks: number of tasks.
    """

    average: dict[str, float]
    p: float | None
    critical_difference: float
    groups: list[list[str]]
    tasks: int


def average_ranks(means: Mapping[str, Mapping[str, float]]) -> Ranks:
    """Rank methods (method → task → mean score) on the tasks that all of them have.

    Source: Demšar 2006, JMLR 7, §3.2.2.

    Raises:
        ValueError: fewer than two methods, or no task that all have.
    """
    from scipy import stats

    methods = list(means)
    tasks = sorted(set.intersection(*(set(by) for by in means.values())) if means else set())
    if len(methods) < 2 or not tasks:
        raise ValueError("ranks need two methods and a task that all of them have")
    table = np.array([[-means[m][t] for m in methods] for t in tasks])
    ranks = stats.rankdata(table, axis=1).mean(axis=0)
    k, n = len(methods), len(tasks)
    p = None
    if k >= 3 and n >= 2:
        # All alike in every task: the statistic is 0/0, and there is no difference to see.
        alike = bool((np.ptp(table, axis=1) == 0).all())
        p = 1.0 if alike else float(stats.friedmanchisquare(*table.T).pvalue)
    q = float(stats.studentized_range.ppf(0.95, k, np.inf)) / np.sqrt(2)
    difference = float(q * np.sqrt(k * (k + 1) / (6 * n)))
    order = sorted(range(k), key=lambda i: ranks[i])
    sorted_ranks = ranks[order]
    groups: list[list[str]] = []
    end = 0
    for start in range(k):
        last = int(np.searchsorted(sorted_ranks, sorted_ranks[start] + difference, "right"))
        if last > max(end, start + 1):  # otherwise alone, or within the group before
            groups.append([methods[i] for i in order[start:last]])
            end = last
    return Ranks(dict(zip(methods, ranks.tolist(), strict=True)), p, difference, groups, n)


def ratings(
    scores: Mapping[str, Runs], *, seed: int = 0, draws: int = 1000, prior: float = 0.5
) -> dict[str, Interval]:
    """Return Bradley–Terry ratings in Elo points, mean 0, with an interval bootstrapped over tasks.

    On a task, every run of one method meets every run of another; a task counts as one match per
    pair, split by the share won. `prior` matches of each pair are added, half won by either, so
    that a method which always wins has a finite rating.

    Source: Bradley & Terry 1952, Biometrika 39; the iteration is Hunter's (2004, Ann. Statist. 32).
    """
    methods = sorted(scores)
    tasks = sorted({task for runs in scores.values() for task in runs})
    wins = np.zeros((len(tasks), len(methods), len(methods)))
    for number, task in enumerate(tasks):
        here = [i for i, m in enumerate(methods) if task in scores[m]]
        for i, j in itertools.permutations(here, 2):
            x = np.asarray(scores[methods[i]][task])[:, None]
            y = np.asarray(scores[methods[j]][task])[None, :]
            wins[number, i, j] = ((x > y) + 0.5 * (x == y)).mean()
    chosen = np.random.default_rng(seed).integers(len(tasks), size=(draws, len(tasks)))
    counts = np.stack([np.bincount(row, minlength=len(tasks)) for row in chosen])
    spread = _bradley_terry(np.einsum("dt,tij->dij", counts, wins), prior)
    value = _bradley_terry(wins.sum(0)[None], prior)[0]
    return {m: _interval(float(value[i]), spread[:, i], len(tasks)) for i, m in enumerate(methods)}


def _bradley_terry(wins: np.ndarray, prior: float) -> np.ndarray:
    """Return ratings [b, k] in Elo points of wins [b, k, k] (i over j), mean 0."""
    k = wins.shape[-1]
    wins = wins + prior / 2 * (1 - np.eye(k))
    matches = wins + wins.swapaxes(-1, -2)
    won = wins.sum(-1)
    strength = np.ones(wins.shape[:-1])
    for _ in range(10_000):
        pairs = strength[:, :, None] + strength[:, None, :]
        new = won / (matches / pairs).sum(-1)
        new /= np.exp(np.log(new).mean(-1, keepdims=True))
        if np.allclose(new, strength, rtol=1e-10, atol=0):
            break
        strength = new
    return ELO * np.log(new)


def pareto_front(cost: Sequence[float], score: Sequence[float]) -> list[int]:
    """Return the places that nothing beats: none is cheaper and as good, or better and as cheap.

    Ordered by cost. Of equal points all are on the front.
    """
    order = sorted(range(len(cost)), key=lambda i: (cost[i], -score[i]))
    front: list[int] = []
    for i in order:
        best = score[front[-1]] if front else -np.inf
        equal = bool(front) and (cost[i], score[i]) == (cost[front[-1]], score[front[-1]])
        if score[i] > best or equal:
            front.append(i)
    return front
