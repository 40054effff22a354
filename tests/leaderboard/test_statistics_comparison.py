"""Paired comparisons: known answers, and how often they are wrong."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from leaderboard.statistics.multiple_comparisons import holm, rank_intervals
from leaderboard.statistics.paired_comparisons import compare, compare_over_tasks, effect_size


def seeds(values) -> dict[int, float]:
    return dict(enumerate(values))


def test_a_cell_is_compared_by_a_paired_t_test_on_common_seeds():
    first, second = [0.9, 0.92, 0.95, 0.91], [0.88, 0.9, 0.9, 0.9]
    found = compare(seeds(first) | {9: 0.1}, seeds(second))
    assert found.p == pytest.approx(float(stats.ttest_rel(first, second).pvalue))
    assert found.difference.mean == pytest.approx(0.025)
    assert found.unpaired == 1
    assert found.n == 4


def test_pairs_matter_more_than_levels():
    levels = np.linspace(0.5, 0.9, 5)
    found = compare(seeds(levels + 0.01), seeds(levels + np.array([0, 0.001, 0, -0.001, 0])))
    # Differences vary less than scores in steps of 0.009 can tell.
    assert found.p == pytest.approx(2 * stats.t.sf(0.01 / (0.009 / math.sqrt(6)) * math.sqrt(5), 4))
    assert found.verdict("A", "B") == "A is better than B"
    assert compare(seeds(levels), seeds(levels + 0.01)).verdict("A", "B") == "B is better than A"


@pytest.mark.parametrize(
    ("first", "second", "says"),
    [
        ({}, {}, "cannot decide at n = 0"),
        ({0: 0.9}, {0: 0.8}, "cannot decide at n = 1"),
        ({0: 0.9}, {1: 0.8}, "cannot decide at n = 0"),
        (seeds([0.9, 0.8, 0.7]), seeds([0.8, 0.9, 0.75]), "cannot decide at n = 3"),
        (seeds([0.9] * 4), seeds([0.8] * 4), "cannot decide at n = 4"),
        (seeds([0.9, 0.8] * 3), seeds([0.9, 0.8] * 3), "no difference shown at n = 6"),
    ],
)
def test_what_cannot_be_said_is_not_said(first, second, says):
    assert compare(first, second).verdict("A", "B") == says


def test_sign_flips_are_all_looked_at_where_there_are_few():
    differences = {"x": [0.02, 0.03, -0.01], "y": [0.05, 0.01, 0.02, 0.03]}
    first = {task: seeds(values) for task, values in differences.items()}
    second = {task: seeds([0.0] * len(values)) for task, values in differences.items()}
    found = compare_over_tasks(first, second)
    observed = (np.mean(differences["x"]) + np.mean(differences["y"])) / 2
    extreme = 0
    for signs in itertools.product((1, -1), repeat=7):
        x = np.mean(np.array(signs[:3]) * differences["x"])
        y = np.mean(np.array(signs[3:]) * differences["y"])
        extreme += abs((x + y) / 2) >= observed - 1e-12
    assert found.p == pytest.approx(extreme / 2**7)
    assert found.difference.mean == pytest.approx(observed)


@pytest.mark.parametrize("sizes", [(3, 4), (5, 5, 5, 5, 5)])
def test_the_sign_flip_test_is_scipy_s(sizes):
    random = np.random.default_rng(len(sizes))
    blocks = [random.normal(0.2, 1, size) for size in sizes]
    first = {str(task): seeds(block) for task, block in enumerate(blocks)}
    second = {str(task): seeds([0.0] * len(block)) for task, block in enumerate(blocks)}
    weights = np.concatenate([np.full(size, 1 / size / len(sizes)) for size in sizes])
    found = stats.permutation_test(
        (weights * np.concatenate(blocks),), np.sum, permutation_type="samples", n_resamples=20_000,
        vectorized=True, rng=random,
    )  # fmt: skip
    exact = sum(sizes) <= 14
    ours = compare_over_tasks(first, second).p
    assert ours == pytest.approx(found.pvalue, abs=1e-12 if exact else 0.02)


def test_rounding_is_no_difference():
    third = {s: 0.1 * s + 0.2 for s in range(1, 6)}
    noisy = {s: x * (1 + 4e-16 * (-1) ** s) for s, x in third.items()}
    assert noisy != third
    found = compare(third, noisy)
    assert (found.p, found.effect, found.difference.mean) == (1.0, 0.0, 0.0)
    assert compare_over_tasks({"x": third}, {"x": noisy}).p == 1.0
    # All better by 0.1, which no two subtractions say alike, and which is the scores' step.
    better = compare({s: x + 0.1 for s, x in third.items()}, third)
    assert better.effect == math.inf
    assert better.p == pytest.approx(2 * stats.t.sf(math.sqrt(6 * 5), 4))


def test_five_pairs_cannot_decide():
    found = compare_over_tasks({"x": seeds([0.9] * 5)}, {"x": seeds([0.8, 0.79, 0.81, 0.8, 0.82])})
    assert found.p == pytest.approx(2 / 2**5)
    assert found.verdict("A", "B") == "cannot decide at n = 5"


def test_tasks_count_alike_however_many_seeds_they_have():
    first = {"x": seeds([1.0] * 20), "y": seeds([0.0, 0.0])}
    second = {"x": seeds([0.0] * 20), "y": seeds([1.0, 1.0])}
    assert compare_over_tasks(first, second).difference.mean == pytest.approx(0.0)


def test_effect_sizes():
    assert effect_size(np.array([1.0, 2.0, 3.0])) == pytest.approx(2.0)
    assert effect_size(np.array([1.0, 1.0])) == math.inf
    assert effect_size(np.array([0.0, 0.0])) == 0.0
    assert effect_size(np.array([1.0])) is None


def test_holm_is_the_step_down_of_its_paper():
    # Worked by hand: 4 × 0.005, 3 × 0.01, 2 × 0.03, 1 × 0.04 made monotone.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1.0, 1.0]


@pytest.mark.slow  # to import statsmodels
def test_holm_is_that_of_statsmodels():
    from statsmodels.stats import multitest

    random = np.random.default_rng(0)
    for size in range(1, 20):
        p = np.round(random.random(size) ** 3, 2)  # with ties
        expected = multitest.multipletests(p, method="holm")[1]
        assert holm(p.tolist()) == pytest.approx(expected.tolist(), abs=1e-12)


def test_the_effect_is_the_t_statistic_over_the_root_of_n():
    values = np.random.default_rng(1).normal(0.3, 1, 9)
    found = effect_size(values)
    assert found == pytest.approx(stats.ttest_1samp(values, 0).statistic / 3)


def test_five_common_seeds_are_tested_and_four_are_not():
    levels = {"good": 0.9, "bad": 0.5}
    five = {name: seeds([x, x + 0.01, x, x - 0.01, x]) for name, x in levels.items()}
    assert rank_intervals([five]) == [{"good": (1, 1), "bad": (2, 2)}]
    four = {name: {s: x for s, x in by_seed.items() if s < 4} for name, by_seed in five.items()}
    assert rank_intervals([four]) == [{"good": (1, 2), "bad": (1, 2)}]


def test_rank_intervals_follow_from_all_corrected_pairs():
    random = np.random.default_rng(4)
    cell = {f"m{i}": seeds(random.normal(i // 2, 0.3, 7)) for i in range(6)}
    names = list(cell)
    pairs = list(itertools.combinations(names, 2))
    tests = [stats.ttest_rel(list(cell[a].values()), list(cell[b].values())) for a, b in pairs]
    better: set[tuple[str, str]] = set()
    order = sorted(range(len(pairs)), key=lambda i: tests[i].pvalue)
    for step, i in enumerate(order):  # Holm's steps: stop at the first that is not significant
        if tests[i].pvalue * (len(pairs) - step) > 0.05:
            break
        better.add(pairs[i] if tests[i].statistic > 0 else pairs[i][::-1])
    assert 0 < len(better) < len(pairs)
    expected = {
        name: (1 + sum(b == name for _, b in better), 6 - sum(a == name for a, _ in better))
        for name in names
    }
    assert rank_intervals([cell]) == [expected]


def test_another_method_does_not_change_the_test_of_a_pair():
    """A third method's scores, in finer steps, say nothing of the steps of the two."""
    worse = seeds([0.900, 0.902, 0.904, 0.906, 0.908])
    better = {seed: score + 0.002 for seed, score in worse.items()}
    third = seeds([0.2, 0.99, 0.200001, 0.98, 0.97])
    cell = {"better": better, "worse": worse, "third": third}
    p = compare(better, worse).p
    assert p == pytest.approx(2 * stats.t.sf(math.sqrt(6 * 5), 4))
    assert 3 * p < 0.05 < 10 * p
    assert rank_intervals([cell])[0] == {"better": (1, 2), "worse": (2, 3), "third": (1, 3)}
    # Corrected over ten such cells it is not significant.
    assert rank_intervals([cell] * 10) == [dict.fromkeys(cell, (1, 3))] * 10
