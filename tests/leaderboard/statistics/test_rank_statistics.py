"""Ranks, Friedman's test and the studentized range are those of SciPy."""

import numpy as np
import pytest
from scipy import stats

from leaderboard.statistics.rank_statistics import friedman_p, mean_ranks, studentized_range


@pytest.mark.parametrize("values", [[3.0, 1.0, 2.0], [1.0, 1.0, 0.0, 1.0], [5.0], [2.0, 2.0]])
def test_equal_values_share_the_mean_of_their_ranks(values):
    assert mean_ranks(np.array(values)).tolist() == stats.rankdata(values).tolist()


@pytest.mark.parametrize(("tasks", "methods"), [(2, 3), (5, 4), (12, 18)])
@pytest.mark.parametrize("levels", [3, 1000])
def test_friedman_s_test_is_scipy_s_with_and_without_ties(tasks, methods, levels):
    table = np.random.default_rng(tasks).integers(0, levels, (tasks, methods)).astype(float)
    found = friedman_p(np.array([mean_ranks(row) for row in table]))
    assert found == pytest.approx(stats.friedmanchisquare(*table.T).pvalue, rel=1e-9)


@pytest.mark.parametrize("methods", [2, 3, 10, 18, 50, 300])
def test_the_quantile_of_the_range_is_scipy_s(methods):
    expected = stats.studentized_range.ppf(0.95, methods, np.inf)
    assert studentized_range(methods) == pytest.approx(expected, abs=1e-9)
