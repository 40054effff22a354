"""Statistics over tasks against published examples and independent versions."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from leaderboard.statistics.aggregates import (
    average_ranks,
    interquartile_mean,
    pareto_front,
    performance_profile,
    probability_of_improvement,
    ratings,
    win_rates,
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


def test_what_differs_by_the_critical_difference_differs_in_nemenyi_s_test():
    import scikit_posthocs as posthocs  # slow to import

    random = np.random.default_rng(0)
    for methods, tasks in ((3, 10), (5, 12), (8, 20)):
        table = random.normal(size=(tasks, methods)) + np.linspace(0, 3, methods)
        found = average_ranks(
            {str(m): {str(t): float(table[t, m]) for t in range(tasks)} for m in range(methods)}
        )
        p = posthocs.posthoc_nemenyi_friedman(table).to_numpy()
        ranks = np.array(list(found.average.values()))
        apart = abs(ranks[:, None] - ranks) > found.critical_difference
        assert (apart == (p < 0.05)).all()
        assert apart.any()
        # Friedman's statistic as in Demšar's section 3.2.2; without ties there is no correction.
        squares = (ranks**2).sum() - methods * (methods + 1) ** 2 / 4
        statistic = 12 * tasks / (methods * (methods + 1)) * squares
        assert found.p == pytest.approx(stats.chi2.sf(statistic, methods - 1))
        together = {frozenset((a, b)) for group in found.groups for a in group for b in group}
        for a, b in itertools.combinations(range(methods), 2):
            assert apart[a, b] != (frozenset((str(a), str(b))) in together)


@pytest.mark.parametrize(("methods", "tasks", "decides"), [
    (2, 1, False), (2, 3, False), (2, 4, True), (3, 1, False), (3, 2, False), (3, 3, True),
    (15, 2, False), (15, 3, True),
])  # fmt: skip
def test_nemenyi_decides_only_where_the_largest_difference_is_significant(methods, tasks, decides):
    table = {f"m{m}": {f"t{t}": float(m) for t in range(tasks)} for m in range(methods)}
    found = average_ranks(table)
    # These ranks differ as much as ranks can.
    assert found.decides == (methods - 1 > found.critical_difference) == decides
    assert decides or found.groups == []


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


def test_the_interval_of_the_interquartile_mean_is_scipy_s():
    values = np.random.default_rng(0).exponential(size=24)
    expected = stats.bootstrap(
        (values,), lambda x, axis: stats.trim_mean(x, 0.25, axis=axis), method="percentile",
        n_resamples=20_000, rng=1,
    ).confidence_interval  # fmt: skip
    found = interquartile_mean({"x": values.tolist()})
    width = expected.high - expected.low
    wide = math.sqrt(24 / 23) * stats.t.ppf(0.975, 23) / stats.norm.ppf(0.975)
    assert found.mean - found.low == pytest.approx(
        wide * (found.mean - expected.low), abs=0.05 * width
    )
    assert found.high - found.mean == pytest.approx(
        wide * (expected.high - found.mean), abs=0.05 * width
    )


def test_resampling_stays_within_tasks():
    runs = {"x": [0.0] * 5, "y": [1.0] * 5, "z": [0.5] * 5}
    found = interquartile_mean(runs)
    # Nothing varies within a task, and nobody knows how much it could.
    assert (found.mean, found.low, found.high) == (0.5, None, None)


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


def test_the_width_under_equality_is_that_of_mann_and_whitney():
    values = {"x": np.linspace(0, 1, 60).tolist()}
    found = probability_of_improvement(values, values)
    # Under equality U / (nm) has the variance (n + m + 1) / 12nm (Mann & Whitney 1947).
    assert found.mean == pytest.approx(0.5)
    assert found.half == pytest.approx(1.96 * math.sqrt(121 / (12 * 3600)), rel=0.03)


def test_improvement_is_the_mann_whitney_statistic():
    random = np.random.default_rng(2)
    x, y = random.integers(0, 9, 12).astype(float), random.integers(1, 9, 7).astype(float)
    expected = stats.mannwhitneyu(x, y).statistic / (12 * 7)
    found = probability_of_improvement({"x": x.tolist()}, {"x": y.tolist()})
    assert found.mean == pytest.approx(expected)
    assert found.low < expected < found.high
    assert found.n == 12


def test_win_rates_add_up_to_one_and_miss_what_was_never_met():
    scores = {"a": {"x": [1.0, 2.0]}, "b": {"x": [1.0, 3.0, 0.0]}, "c": {"y": [1.0]}}
    found = win_rates(scores)
    there, back = found["a"]["b"], found["b"]["a"]
    assert there == probability_of_improvement(scores["a"], scores["b"])
    assert back.mean == pytest.approx(1 - there.mean)
    assert (back.low, back.high) == pytest.approx((1 - there.high, 1 - there.low))
    assert (there.n, back.n) == (2, 3)
    assert found["c"] == {}


# Agresti, Categorical Data Analysis (2nd edition), table 10.10: games of the American League, 1987,
# won by the row's team against the column's; his estimates of log-odds, Baltimore at 0.
TEAMS = ["Milwaukee", "Detroit", "Toronto", "New York", "Boston", "Cleveland", "Baltimore"]
GAMES = [
    [0, 7, 9, 7, 7, 9, 11],
    [6, 0, 7, 5, 11, 9, 9],
    [4, 6, 0, 7, 7, 8, 12],
    [6, 8, 6, 0, 6, 7, 10],
    [6, 2, 6, 7, 0, 7, 12],
    [4, 4, 5, 6, 6, 0, 6],
    [2, 4, 1, 3, 1, 7, 0],
]
LOG_ODDS = [1.58, 1.44, 1.29, 1.25, 1.11, 0.68, 0.0]


def test_ratings_are_those_of_a_published_example():
    # A task per game: who won scored 1 and who lost 0; the others were not there.
    scores: dict[str, dict[str, list[float]]] = {team: {} for team in TEAMS}
    for i, row in enumerate(GAMES):
        for j, games in enumerate(row):
            for game in range(games):
                scores[TEAMS[i]][f"{i}-{j}-{game}"] = [1.0]
                scores[TEAMS[j]][f"{i}-{j}-{game}"] = [0.0]
    found = ratings(scores, draws=2, prior=0.0)
    odds = [(found[t].mean - found["Baltimore"].mean) * math.log(10) / 400 for t in TEAMS]
    assert [round(x, 2) for x in odds] == LOG_ODDS


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
