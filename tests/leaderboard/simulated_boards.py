"""Simulated scores: how often intervals cover what they estimate, and how often tests are wrong.

``python -m tests.leaderboard.simulated_boards`` prints the tables of
`leaderboard/statistics/coverage.py`.
"""

import sys
from collections.abc import Callable

import numpy as np

from leaderboard.statistics.aggregates import (
    interquartile_mean,
    mean_ranks_over_tasks,
    performance_profile,
    probability_of_improvement,
    ratings,
)
from leaderboard.statistics.coverage import KINDS
from leaderboard.statistics.families import FamilyCell, against_reference
from leaderboard.statistics.intervals import Interval, mean_interval
from leaderboard.statistics.multiple_comparisons import rank_intervals
from leaderboard.statistics.paired_comparisons import Verdict, compare, compare_over_tasks

LEVEL, SPREAD, CHANCE, COLLAPSE, EXAMPLES = 0.9, 0.005, 0.1, 0.1, 360
TASKS, METHODS, CELLS = 5, 6, 4
Random = np.random.Generator


def scores(random: Random, kind: str, *shape: int, level: float | np.ndarray = LEVEL) -> np.ndarray:
    """Return scores [..., seeds] around a level, or levels; the heavy-tailed may be above 1."""
    if kind == "heavy-tailed":
        return level + SPREAD * random.standard_t(2.5, shape)
    found = random.normal(level, SPREAD, shape)
    if kind == "counts":
        return np.round(found * EXAMPLES) / EXAMPLES
    if kind == "collapsing":
        return np.where(random.random(shape) < COLLAPSE, CHANCE, found)
    return found


def mean_of(kind: str, level: float = LEVEL) -> float:
    """Return the expectation of a score."""
    return (1 - COLLAPSE) * level + COLLAPSE * CHANCE if kind == "collapsing" else level


def resolution_of(kind: str) -> float:
    return 1 / EXAMPLES if kind == "counts" else 0.0


# ------------------------------------------------------------------ coverage

Simulation = Callable[[Random, str, int], list[tuple[Interval, float]]]
"""Draws a board of a kind with a number of seeds; returns intervals, and what they estimate."""


def _mean(random: Random, kind: str, seeds: int) -> list[tuple[Interval, float]]:
    found = scores(random, kind, seeds).tolist()
    return [(mean_interval(found, resolution=resolution_of(kind)), mean_of(kind))]


def _pair(random: Random, kind: str, seeds: int) -> list[tuple[Interval, float]]:
    """Two methods that are alike."""
    first, second = scores(random, kind, 2, seeds).tolist()
    found = compare(by_seed(first), by_seed(second), resolution=resolution_of(kind)).difference
    return [(found, 0.0)]


def _over_tasks(random: Random, kind: str, seeds: int) -> list[tuple[Interval, float]]:
    both = scores(random, kind, 2, TASKS, seeds).tolist()
    first, second = ({str(t): by_seed(row) for t, row in enumerate(one)} for one in both)
    return [(compare_over_tasks(first, second).difference, 0.0)]


def _middle(random: Random, kind: str, seeds: int) -> list[tuple[Interval, float]]:
    rows = scores(random, kind, TASKS, seeds).tolist()
    found = interquartile_mean({str(t): row for t, row in enumerate(rows)}, draws=500)
    return [(found, middle_of(kind))]


def middle_of(kind: str) -> float:
    """Return the mean of the middle half of the scores' distribution."""
    if kind != "collapsing":
        return LEVEL  # symmetric, but for the rounding of counts
    from scipy import stats

    # The lowest tenth is at chance: the middle half lies between these quantiles of the others.
    low, high = ((share - COLLAPSE) / (1 - COLLAPSE) for share in (0.25, 0.75))
    ends = stats.norm.ppf([low, high])
    return LEVEL + SPREAD * float(-np.diff(stats.norm.pdf(ends))[0] / (high - low))


def _improvement(random: Random, kind: str, seeds: int) -> list[tuple[Interval, float]]:
    """The first is as good, or better by 1 or 2.5 standard deviations of a run."""
    found = []
    for shift in (0.0, 1.0, 2.5):
        first = scores(random, kind, TASKS, seeds, level=LEVEL + shift * SPREAD).tolist()
        second = scores(random, kind, TASKS, seeds).tolist()
        rate = probability_of_improvement(
            *({str(t): row for t, row in enumerate(rows)} for rows in (first, second))
        )
        found.append((rate, win_probability(kind, shift)))
    return found


def win_probability(kind: str, shift: float) -> float:
    """Return P(first > second) + P(equal) / 2, from many draws."""
    if (kind, shift) not in _KNOWN:
        random = np.random.default_rng(99)
        first = scores(random, kind, 400_000, level=LEVEL + shift * SPREAD)
        second = scores(random, kind, 400_000)
        _KNOWN[kind, shift] = float(np.mean((first > second) + 0.5 * (first == second)))
    return _KNOWN[kind, shift] if shift else 0.5


_KNOWN: dict[tuple[str, float], float] = {}


def _profile(random: Random, kind: str, seeds: int) -> list[tuple[Interval, float]]:
    rows = scores(random, kind, TASKS, seeds).tolist()
    levels = [LEVEL + z * SPREAD for z in (-1.5, 0.1, 1.0)]
    found = performance_profile({str(t): row for t, row in enumerate(rows)}, levels)
    return list(zip(found, (share_above(kind, level) for level in levels), strict=True))


def share_above(kind: str, level: float) -> float:
    if (kind, level) not in _KNOWN:
        drawn = scores(np.random.default_rng(98), kind, 400_000)
        _KNOWN[kind, level] = float(np.mean(drawn > level))
    return _KNOWN[kind, level]


def _rating(random: Random, kind: str, tasks: int) -> list[tuple[Interval, float]]:
    """Four methods that are alike on average, each better or worse on a task; five seeds."""
    levels = LEVEL + SPREAD * random.normal(size=(4, tasks))
    found = {
        f"m{m}": {
            f"t{t}": scores(random, kind, 5, level=levels[m, t]).tolist() for t in range(tasks)
        }
        for m in range(4)
    }
    return [(one, 0.0) for one in ratings(found, draws=200).values()]


GAP = 0.5
"""How much better each of the ranked methods is than the next, in standard deviations of a run."""


def _mean_ranks(random: Random, kind: str, seeds: int) -> list[Interval]:
    """Return the mean ranks of close methods, the worst first."""
    levels = LEVEL + GAP * SPREAD * np.arange(METHODS)[:, None, None]
    drawn = scores(random, kind, METHODS, TASKS, seeds, level=levels).tolist()
    found = {f"m{m}": {str(t): row for t, row in enumerate(one)} for m, one in enumerate(drawn)}
    return list(mean_ranks_over_tasks(found).values())


def _expected_rank(random: Random, kind: str, seeds: int) -> list[tuple[Interval, float]]:
    return list(zip(_mean_ranks(random, kind, seeds), expected_ranks(kind, seeds), strict=True))


def _true_order(random: Random, kind: str, seeds: int) -> list[tuple[Interval, float]]:
    true = [float(METHODS - m) for m in range(METHODS)]
    return list(zip(_mean_ranks(random, kind, seeds), true, strict=True))


def expected_ranks(kind: str, seeds: int) -> list[float]:
    """Return the mean ranks over many draws of seeds, the same on every task."""
    if (kind, seeds) not in _EXPECTED:
        random = np.random.default_rng(97)
        levels = LEVEL + GAP * SPREAD * np.arange(METHODS)[:, None, None]
        means = scores(random, kind, METHODS, 100_000, seeds, level=levels).mean(axis=-1).round(9)
        above = (means[None] > means[:, None]).mean(axis=-1)
        equal = (means[None] == means[:, None]).mean(axis=-1)
        _EXPECTED[kind, seeds] = (0.5 + above.sum(axis=1) + equal.sum(axis=1) / 2).tolist()
    return _EXPECTED[kind, seeds]


_EXPECTED: dict[tuple[str, int], list[float]] = {}


SIMULATIONS: dict[str, Simulation] = {
    "mean": _mean,
    "difference in a cell": _pair,
    "difference over tasks": _over_tasks,
    "interquartile mean": _middle,
    "probability of improvement": _improvement,
    "performance profile": _profile,
    "rating": _rating,
    "mean rank (expected)": _expected_rank,
    "mean rank (by true means)": _true_order,
}


def coverage(name: str, kind: str, seeds: int, boards: int) -> float:
    """Return the share of intervals that contain what they estimate."""
    random = np.random.default_rng([KINDS.index(kind), seeds, list(SIMULATIONS).index(name)])
    drawn = [one for _ in range(boards) for one in SIMULATIONS[name](random, kind, seeds)]
    inside = sum(
        found.low is not None and found.high is not None and found.low <= truth <= found.high
        for found, truth in drawn
    )
    return inside / len(drawn)


# ------------------------------------------------------------------ false alarms


def board(random: Random, kind: str, seeds: int) -> list[dict[str, dict[int, float]]]:
    """Return cells of methods that are alike; a seed's scores have something in common."""
    shared = random.normal(0, SPREAD, (CELLS, 1, seeds))
    found = scores(random, kind, CELLS, METHODS, seeds) + shared
    if kind == "counts":
        found = np.round(found * EXAMPLES) / EXAMPLES
    return [{f"m{m}": by_seed(row) for m, row in enumerate(cell)} for cell in found.tolist()]


def by_seed(values: list[float]) -> dict[int, float]:
    return dict(enumerate(values))


def reference_alarm(cells: list[dict[str, dict[int, float]]]) -> bool:
    """Return whether any method is said to be better or worse than the reference."""
    given = [FamilyCell(str(i), 0.9, cell, 0.005) for i, cell in enumerate(cells)]
    claims = against_reference(given, "m0").claims
    return any(one.verdict in (Verdict.BETTER, Verdict.WORSE) for one in claims)


def rank_alarm(cells: list[dict[str, dict[int, float]]]) -> bool:
    """Return whether any two methods are told apart."""
    return any(set(ranks.values()) != {(1, METHODS)} for ranks in rank_intervals(cells))


def equivalence_alarm(random: Random, kind: str, seeds: int) -> bool:
    """Return whether any pair is said to be equivalent that differs by exactly the region."""
    cells = board(random, kind, seeds)
    rope = 0.01
    for cell in cells:
        cell["m0"] = {seed: x + rope for seed, x in cell["m0"].items()}
    given = [FamilyCell(str(i), 0.9, cell, rope) for i, cell in enumerate(cells)]
    found = against_reference(given, "m0").claims
    return any(one.equivalence_p is not None and one.equivalence_p <= 0.05 for one in found)


def collapse_alarm(random: Random, seeds: int) -> bool:
    """Return whether a method that seldom collapses is told apart from one with the same mean."""
    first = scores(random, "collapsing", seeds).tolist()
    second = scores(random, "normal", seeds, level=mean_of("collapsing")).tolist()
    given = FamilyCell("x", 0.9, {"m0": by_seed(first), "m1": by_seed(second)})
    return against_reference([given], "m0").claims[0].verdict in (Verdict.BETTER, Verdict.WORSE)


def main(boards: int) -> None:
    """Print the coverage of every interval, and false alarms."""
    for name in SIMULATIONS:
        number = boards // 4 if "rank" in name else boards  # six intervals each, and slow ones
        print(f'    "{name}": {{')
        for seeds in (5, 10):
            row = ", ".join(f"{coverage(name, kind, seeds, number):.3f}" for kind in KINDS)
            print(f"        {seeds}: ({row}),", flush=True)
        print("    },")
    for kind in KINDS:
        random = np.random.default_rng(1)
        drawn = [board(random, kind, 5) for _ in range(boards)]
        print(kind, "reference", sum(map(reference_alarm, drawn)) / boards,
              "ranks", sum(map(rank_alarm, drawn)) / boards,
              "equivalent", sum(equivalence_alarm(random, kind, 5) for _ in range(boards)) / boards,
              flush=True)  # fmt: skip
    for seeds in (5, 10):
        random = np.random.default_rng(2)
        wrong = sum(collapse_alarm(random, seeds) for _ in range(boards)) / boards
        print("a method that collapses against a stable one of the same mean", seeds, wrong)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 4000)
