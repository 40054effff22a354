"""Statistics over tasks against published examples and independent versions."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from leaderboard.aggregates import (
    average_ranks,
    interquartile_mean,
    pareto_front,
    performance_profile,
    probability_of_improvement,
    ratings,
)

# Demšar 2006, JMLR 7, table 6: AUC of C4.5 without and with tuning of m, of cf, and of both, on
# 14 data sets. On the 13th the paper ranks the third before the fourth, which three decimals tie.
DEMSAR = {
    "C4.5": [0.763, 0.599, 0.954, 0.628, 0.882, 0.936, 0.661, 0.583, 0.775, 1.000, 0.940, 0.619,
             0.972, 0.957],
    "C4.5+m": [0.768, 0.591, 0.971, 0.661, 0.888, 0.931, 0.668, 0.583, 0.838, 1.000, 0.962, 0.666,
               0.981, 0.978],
    "C4.5+cf": [0.771, 0.590, 0.968, 0.654, 0.886, 0.916, 0.609, 0.563, 0.866, 1.000, 0.965, 0.614,
                0.9751, 0.946],
    "C4.5+m+cf": [0.798, 0.569, 0.967, 0.657, 0.898, 0.931, 0.685, 0.625, 0.875, 1.000, 0.962,
                  0.669, 0.975, 0.970],
}  # fmt: skip


def test_ranks_and_the_critical_difference_are_those_of_the_paper():
    table = {m: {str(i): v for i, v in enumerate(values)} for m, values in DEMSAR.items()}
    found = average_ranks(table)
    assert [round(r, 3) for r in found.average.values()] == [3.143, 2.0, 2.893, 1.964]
    assert found.critical_difference == pytest.approx(2.569 * math.sqrt(4 * 5 / 6 / 14), abs=2e-3)
    # χ²_F = 9.28 in the paper, which leaves ties uncorrected: SciPy's is a little larger.
    assert 0.01 < found.p < stats.chi2.sf(9.28, 3)
    assert found.tasks == 14
    assert found.groups == [["C4.5+m+cf", "C4.5+m", "C4.5+cf", "C4.5"]]


@pytest.mark.parametrize(("k", "q"), [(2, 1.960), (3, 2.343), (5, 2.728), (8, 3.031), (10, 3.164)])
def test_critical_values_are_those_of_the_published_table(k, q):
    table = {str(m): {str(t): float(m) for t in range(6)} for m in range(k)}
    found = average_ranks(table)
    assert found.critical_difference == pytest.approx(q * math.sqrt(k * (k + 1) / 36), abs=2e-3)


def test_groups_are_the_longest_that_are_not_told_apart():
    table = {m: {str(t): -float(m == "a") * 0 - i for t in range(40)}
             for i, m in enumerate("abcd")}  # fmt: skip
    assert average_ranks(table).groups == []
    few = {m: {str(t): -float(i) for t in range(6)} for i, m in enumerate("abcd")}
    assert average_ranks(few).groups == [["a", "b"], ["b", "c"], ["c", "d"]]


def test_ranks_use_the_tasks_that_all_have_and_say_when_there_is_none():
    found = average_ranks({"a": {"x": 1.0, "y": 0.0}, "b": {"x": 0.0}})
    assert found.average == {"a": 1.0, "b": 2.0}
    assert found.tasks == 1
    with pytest.raises(ValueError, match="a task that all of them have"):
        average_ranks({"a": {"x": 1.0}, "b": {"y": 0.0}})


def test_the_interquartile_mean_leaves_out_a_quarter_at_either_end():
    runs = {"x": [0.0, 10.0, 1.0, 2.0], "y": [3.0, 4.0, -50.0, 99.0]}
    middle = sorted([0.0, 10.0, 1.0, 2.0, 3.0, 4.0, -50.0, 99.0])[2:6]
    found = interquartile_mean(runs, draws=500)
    assert found.mean == pytest.approx(np.mean(middle))
    assert found.low <= found.mean <= found.high
    assert found == interquartile_mean(runs, draws=500)


def test_a_profile_is_the_share_of_runs_above_each_threshold():
    runs = {"x": [0.1, 0.5], "y": [0.5, 0.9, 0.9, 0.9]}
    found = performance_profile(runs, [0.0, 0.4, 0.5, 0.95])
    assert [round(f.mean, 3) for f in found] == [1.0, 0.75, 0.375, 0.0]


def test_improvement_counts_pairs_of_runs_and_ties_half():
    first, second = {"x": [3.0, 1.0], "y": [1.0]}, {"x": [2.0, 1.0], "y": [0.0], "z": [9.0]}
    found = probability_of_improvement(first, second)
    assert found.mean == pytest.approx(((1 + 1 + 0 + 0.5) / 4 + 1) / 2)
    back = probability_of_improvement(second, first)
    assert found.mean + back.mean == pytest.approx(1.0)


def test_ratings_maximise_the_likelihood_of_the_matches():
    random = np.random.default_rng(1)
    scores = {
        m: {str(t): random.normal(shift, 1, size=3).tolist() for t in range(4)}
        for m, shift in (("a", 0.0), ("b", 0.5), ("c", 1.5))
    }
    found = ratings(scores, draws=50, prior=0.5)
    names = sorted(scores)
    wins = np.zeros((3, 3))
    for i, x in enumerate(names):
        for j, y in enumerate(names):
            if i != j:
                for task in scores[x]:
                    pairs = [float(a > b) for a in scores[x][task] for b in scores[y][task]]
                    wins[i, j] += np.mean(pairs)
                wins[i, j] += 0.25

    def unlikely(free):
        s = np.append(free, -free.sum())
        return sum(
            wins[i, j] * np.log1p(np.exp(s[j] - s[i])) for i in range(3) for j in range(3) if i != j
        )

    best = optimize.minimize(unlikely, np.zeros(2), tol=1e-12).x
    expected = np.append(best, -best.sum()) * 400 / np.log(10)
    assert [found[n].mean for n in names] == pytest.approx(expected.tolist(), abs=1e-2)
    assert sum(f.mean for f in found.values()) == pytest.approx(0, abs=1e-6)


def test_a_method_that_always_wins_has_a_finite_rating():
    found = ratings({"a": {"x": [1.0]}, "b": {"x": [0.0]}}, draws=20)
    assert 0 < found["a"].mean < 1000


def test_ratings_take_missing_tasks_as_missing():
    found = ratings({"a": {"x": [1.0]}, "b": {"x": [0.0], "y": [1.0]}, "c": {"y": [0.0]}}, draws=20)
    assert found["a"].mean > found["b"].mean > found["c"].mean


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12))
def test_the_front_is_what_nothing_beats(points):
    cost, score = [float(c) for c, _ in points], [float(s) for _, s in points]
    front = set(pareto_front(cost, score))
    for i in range(len(points)):
        beaten = any(
            (cost[j] <= cost[i] and score[j] > score[i])
            or (cost[j] < cost[i] and score[j] >= score[i])
            for j in range(len(points))
        )
        assert (i in front) != beaten
