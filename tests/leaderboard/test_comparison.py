"""Paired comparisons: known answers, and how often they are wrong."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from leaderboard.statistics import (
    compare,
    compare_over_tasks,
    effect_size,
    holm,
)


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
    assert found.p < 0.001
    assert found.verdict("A", "B") == "A is better than B"
    assert compare(seeds(levels), seeds(levels + 0.01)).verdict("A", "B") == "B is better than A"


@pytest.mark.parametrize(
    ("first", "second", "says"),
    [
        ({}, {}, "cannot decide at n = 0"),
        ({0: 0.9}, {0: 0.8}, "cannot decide at n = 1"),
        ({0: 0.9}, {1: 0.8}, "cannot decide at n = 0"),
        (seeds([0.9, 0.8, 0.7]), seeds([0.8, 0.9, 0.75]), "no difference shown at n = 3"),
        (seeds([0.9, 0.8]), seeds([0.9, 0.8]), "no difference shown at n = 2"),
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


def board(random, shift: float) -> tuple[dict, dict]:
    """Return two methods on 5 tasks × 5 seeds, of which the first is better by `shift` sd."""
    first, second = {}, {}
    for task in range(5):
        seed_effect = random.normal(size=5)
        first[task] = seeds(seed_effect + random.normal(size=5) / math.sqrt(2) + shift)
        second[task] = seeds(seed_effect + random.normal(size=5) / math.sqrt(2))
    return first, second


def test_false_alarms_stay_at_their_level_and_two_deviations_are_found():
    random = np.random.default_rng(0)
    boards = 1000
    wrong = cell_wrong = 0
    for _ in range(boards):
        first, second = board(random, 0.0)
        wrong += "better" in compare_over_tasks(first, second).verdict("A", "B")
        p = holm([compare(first[t], second[t]).p for t in first])
        cell_wrong += any(value <= 0.05 for value in p)
    slack = 3 * math.sqrt(0.05 * 0.95 / boards)  # of the simulation itself
    assert wrong / boards <= 0.05 + slack
    assert cell_wrong / boards <= 0.05 + slack
    assert wrong > 0
    found = 0
    for _ in range(200):
        first, second = board(random, 2.0)
        found += compare_over_tasks(first, second).verdict("A", "B") == "A is better than B"
    assert found / 200 >= 0.8
