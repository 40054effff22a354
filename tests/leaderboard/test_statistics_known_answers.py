"""Boards whose answer is known: planted differences are found, and nothing where there is none."""

import math

import numpy as np
import pytest

from leaderboard.boards import build_boards
from leaderboard.method_comparison import compare_entries
from leaderboard.statistics.aggregates import (
    average_ranks,
    interquartile_mean,
    mean_ranks_over_tasks,
    ratings,
    win_rates,
)
from leaderboard.statistics.intervals import mean_interval
from leaderboard.statistics.multiple_comparisons import holm, rank_intervals
from leaderboard.statistics.paired_comparisons import Comparison, compare, compare_over_tasks
from tests.support.sample_records import done, make_trial

TASKS, SEEDS, BOARDS = 5, 5, 1000
LEVELS = {"static": 0.80, "set": 0.80, "rigl": 0.85, "granet": 0.90}
"""Planted mean accuracies: two alike, the others five deviations apart."""
NOISE = 0.01

pytestmark = pytest.mark.slow  # simulations


def ranked(cell: dict[str, dict[int, float]]) -> dict[str, tuple[int, int]]:
    (found,) = rank_intervals([cell])
    return found


def planted(task: int) -> dict[str, dict[int, float]]:
    """Return method → seed → accuracy: a level, what the seed shares, and noise."""
    random = np.random.default_rng(task)
    shared = random.normal(0, NOISE, SEEDS)
    return {
        method: dict(enumerate((level + shared + random.normal(0, NOISE, SEEDS)).tolist()))
        for method, level in LEVELS.items()
    }


def test_records_with_planted_differences_give_their_verdicts():
    names = ("digits/mlp", "fashion_mnist/lenet_300_100")
    records = [
        done(make_trial(method, task=name, seed=seed), accuracy)
        for task, name in enumerate(names)
        for method, by_seed in planted(task).items()
        for seed, accuracy in by_seed.items()
    ]
    boards, excluded = build_boards(records)
    assert excluded == []
    for better, worse in (("granet", "rigl"), ("rigl", "static"), ("granet", "set")):
        found = compare_entries(boards, better, worse)
        assert found.verdict == f"{found.first} is better than {found.second}"
        assert compare_entries(boards, worse, better).verdict == found.verdict
        difference = found.overall.difference
        assert difference.low <= LEVELS[better] - LEVELS[worse] <= difference.high
        assert all(line.p <= 0.05 for line in found.lines)
    assert compare_entries(boards, "set", "static").verdict == "no difference shown at n = 10"


def test_planted_differences_give_their_ranks_ratings_and_rates():
    for task in range(TASKS):
        assert ranked(planted(task)) == {
            "granet": (1, 1), "rigl": (2, 2), "static": (3, 4), "set": (3, 4),
        }  # fmt: skip
    runs = {m: {str(t): list(planted(t)[m].values()) for t in range(TASKS)} for m in LEVELS}
    means = {m: {t: float(np.mean(v)) for t, v in by.items()} for m, by in runs.items()}
    ranks = average_ranks(means)
    assert (ranks.average["granet"], ranks.average["rigl"]) == (1.0, 2.0)
    assert ranks.p < 0.01
    rated = ratings(runs)
    assert sorted(rated, key=lambda m: -rated[m].mean)[:2] == ["granet", "rigl"]
    assert rated["granet"].low > rated["static"].high
    rates = win_rates(runs)
    assert rates["granet"]["static"].mean == 1.0
    assert rates["set"]["static"].low < 0.5 < rates["set"]["static"].high
    for method, level in LEVELS.items():
        found = interquartile_mean(runs[method])
        assert found.low - NOISE / 2 < level < found.high + NOISE / 2


def test_few_seeds_narrow_no_rank():
    few = {m: {s: x for s, x in by.items() if s < 4} for m, by in planted(0).items()}
    assert set(ranked(few).values()) == {(1, 4)}
    # One method with too few seeds is undecided; the others are told apart.
    one = planted(0) | {"set": few["set"]}
    assert ranked(one) == {
        "granet": (1, 2), "rigl": (2, 3), "static": (3, 4), "set": (1, 4),
    }  # fmt: skip


Scores = dict[str, dict[int, float]]


def simulated(random: np.random.Generator, shift: float) -> tuple[Scores, Scores]:
    """Return two methods on 5 tasks × 5 seeds, the first better by `shift` deviations of a run."""
    shared = random.normal(size=(TASKS, SEEDS))
    found = []
    for level in (shift, 0.0):
        noise = random.normal(size=(TASKS, SEEDS))
        table = shared + noise + level
        found.append({f"task {t}": dict(enumerate(table[t].tolist())) for t in range(TASKS)})
    return found[0], found[1]


def cells(first: Scores, second: Scores) -> list[tuple[Comparison, float]]:
    compared = [compare(first[task], second[task]) for task in first]
    return list(zip(compared, holm([c.p for c in compared]), strict=True))


def at_most(share: float) -> float:
    """Return what a share may look like in the simulation: three standard errors more."""
    return share + 3 * math.sqrt(share * (1 - share) / BOARDS)


def test_without_a_difference_false_alarms_stay_at_their_level():
    random = np.random.default_rng(0)
    wrong = in_cells = covered = 0
    for _ in range(BOARDS):
        first, second = simulated(random, 0.0)
        found = compare_over_tasks(first, second)
        wrong += "better" in found.verdict("A", "B")
        in_cells += any("better" in c.verdict("A", "B", p=p) for c, p in cells(first, second))
        covered += found.difference.low <= 0.0 <= found.difference.high
    assert 0.02 <= wrong / BOARDS <= at_most(0.05)
    assert 0.02 <= in_cells / BOARDS <= at_most(0.05)
    # Variances from five seeds are themselves uncertain, which a bootstrap does not see.
    assert 0.91 <= covered / BOARDS <= 0.97


def test_a_difference_of_two_deviations_is_found():
    random = np.random.default_rng(1)
    found = covered = 0
    for _ in range(BOARDS):
        comparison = compare_over_tasks(*simulated(random, 2.0))
        found += comparison.verdict("A", "B") == "A is better than B"
        covered += comparison.difference.low <= 2.0 <= comparison.difference.high
    assert found / BOARDS >= 0.8
    assert 0.91 <= covered / BOARDS <= 0.97


def test_a_difference_of_three_deviations_is_found_in_some_cell():
    random = np.random.default_rng(2)
    boards = 200
    found = sum(
        any(c.verdict("A", "B", p=p) == "A is better than B" for c, p in cells(first, second))
        for first, second in (simulated(random, 3.0) for _ in range(boards))
    )
    assert found / boards >= 0.8


METHODS, SPARSITIES, IMAGES = 8, 3, 360


@pytest.mark.parametrize("spread", [0.002, 0.005, 0.02])
def test_ranks_of_methods_that_are_alike_are_seldom_told_apart(spread):
    """On a whole board, with accuracies that are counts of 360 images."""
    random = np.random.default_rng(3)
    wrong = 0
    for _ in range(BOARDS):
        noise = random.normal(0.9, spread, (SPARSITIES, METHODS + 1, SEEDS))
        scores = np.round((noise[:, 1:] + noise[:, :1] - 0.9) * IMAGES) / IMAGES
        board = [{f"m{i}": dict(enumerate(x)) for i, x in enumerate(cell.tolist())}
                 for cell in scores]  # fmt: skip
        ranks = rank_intervals(board)
        wrong += any(set(cell.values()) != {(1, METHODS)} for cell in ranks)
    assert wrong / BOARDS <= at_most(0.05)


def test_equal_differences_of_counts_are_no_certainty():
    by_one = {seed: 0.9 + seed / 100 for seed in range(5)}
    more = {seed: score + 0.01 for seed, score in by_one.items()}
    assert 0.001 < compare(more, by_one).p < 0.05
    assert compare(by_one, by_one).p == 1.0


@pytest.mark.parametrize(("tasks", "seeds"), [(1, 5), (2, 3), (5, 5), (3, 4)])
def test_intervals_over_tasks_cover_what_they_estimate(tasks, seeds):
    random = np.random.default_rng(tasks)
    differences = middles = 0
    boards = 400
    for _ in range(boards):
        noise = random.normal(size=(2, tasks, seeds))
        first, second = (
            {f"t{t}": dict(enumerate(row)) for t, row in enumerate(one.tolist())} for one in noise
        )
        found = compare_over_tasks(first, second).difference
        differences += found.low <= 0 <= found.high
        middle = interquartile_mean({t: list(by.values()) for t, by in first.items()}, draws=500)
        middles += middle.low <= 0 <= middle.high
    assert 0.91 <= differences / boards <= 0.99
    assert middles / boards >= 0.91


@pytest.mark.parametrize("tasks", [4, 5, 8])
def test_ratings_of_methods_that_are_alike_cover_the_middle(tasks):
    random = np.random.default_rng(tasks)
    covered, boards, methods = 0, 100, 4
    for _ in range(boards):
        scores = {
            f"m{m}": {f"t{t}": random.normal(random.normal(), 1, 5).tolist() for t in range(tasks)}
            for m in range(methods)
        }
        covered += sum(r.low <= 0 <= r.high for r in ratings(scores, draws=200).values())
    assert covered / boards / methods >= 0.91


def test_what_varies_how_much_nobody_knows_has_no_interval():
    single = {"a": [0.9], "b": [0.8, 0.7]}
    assert interquartile_mean(single).low is None
    assert win_rates({"x": single, "y": single})["x"]["y"].low is None
    assert ratings({"x": {"a": [1.0, 2.0]}, "y": {"a": [2.0, 3.0]}})["x"].low is None
    by_seed = {"a": {0: 0.9}, "b": {0: 0.8, 1: 0.7}}
    assert compare_over_tasks(by_seed, by_seed).difference.low is None


def test_a_claim_over_tasks_needs_five_seeds_of_one_of_them():
    better = {f"t{t}": {0: 0.9, 1: 0.91 + t / 1000} for t in range(6)}
    worse = {task: {seed: x - 0.1 for seed, x in by.items()} for task, by in better.items()}
    found = compare_over_tasks(better, worse)
    assert found.p <= 0.05
    assert found.verdict("A", "B") == "cannot decide at n = 12"


@pytest.mark.parametrize("n", [2, 5, 10, 30])
def test_intervals_of_a_cell_cover_its_mean(n):
    random = np.random.default_rng(n)
    covered = 0
    for _ in range(BOARDS):
        interval = mean_interval(random.normal(0.9, 0.02, n).tolist())
        covered += interval.low <= 0.9 <= interval.high
    assert 0.91 <= covered / BOARDS <= 0.97


def test_mean_ranks_are_averages_of_ranks_with_intervals_from_resampled_runs():
    scores = {
        "a": {"t": [0.9, 0.92, 0.91, 0.93, 0.9], "u": [0.5, 0.7, 0.6, 0.4, 0.8]},
        "b": {"t": [0.8, 0.82, 0.81, 0.83, 0.8], "u": [0.6, 0.5, 0.7, 0.7, 0.5]},
        "c": {"t": [0.1, 0.1, 0.1, 0.1, 0.1], "u": [0.1, 0.1, 0.1, 0.1, 0.1]},
    }
    found = mean_ranks_over_tasks(scores)
    assert [found[method].mean for method in "abc"] == [1.25, 1.75, 3.0]  # a and b tie on u
    # c is always last; a and b are first on t, and change places on u.
    assert (found["c"].low, found["c"].high) == (None, None)
    assert 1.0 <= found["a"].low < 1.25 < found["a"].high < 2.0
    assert 1.0 < found["b"].low < 1.75 < found["b"].high <= 3.0
    alone = mean_ranks_over_tasks({"a": {"t": [0.5, 0.6]}})
    assert (alone["a"].mean, alone["a"].low) == (1.0, None)


@pytest.mark.parametrize(
    "scores", [{}, {"a": {}}, {"a": {"t": [1.0]}, "b": {"u": [1.0]}}, {"a": {"t": [1.0]}, "b": {}}]
)
def test_mean_ranks_need_methods_with_the_same_tasks(scores):
    with pytest.raises(ValueError, match="same tasks"):
        mean_ranks_over_tasks(scores)
