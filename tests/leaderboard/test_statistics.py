import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from leaderboard.statistics.intervals import bootstrap_interval, mean_interval

accuracies = st.integers(0, 1000).map(lambda correct: correct / 1000)


@given(st.lists(accuracies, min_size=2, max_size=9))
def test_below_ten_values_the_interval_is_student_s_t(values):
    interval = mean_interval(values)
    assert interval.n == len(values)
    assert interval.mean == pytest.approx(np.mean(values))
    if len(set(values)) == 1:
        assert interval.half is None
        return
    low, high = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
    assert interval.low == pytest.approx(low, abs=1e-9)
    assert interval.high == pytest.approx(high, abs=1e-9)


@pytest.mark.parametrize("n", [2, 5, 9, 10, 30])
def test_equal_scores_may_hide_a_part_of_a_step(n):
    """The interval holds every mean that would give n equal scores in more than 2.5 % of cases."""
    interval = mean_interval([0.9] * n, resolution=1 / 360)
    share = 360 * interval.half
    assert stats.binom.pmf(0, n, share) == pytest.approx(0.025)
    limit = stats.binomtest(0, n).proportion_ci(0.95, method="exact").high
    assert share == pytest.approx(limit)
    assert interval.mean == pytest.approx(0.9)
    assert mean_interval([0.9] * n).half is None
    assert mean_interval([0.0] * n, resolution=0.01).high == pytest.approx(0.01 * limit)


def test_two_values_have_the_wide_interval_they_deserve():
    interval = mean_interval([0.90, 0.92])
    assert interval.half == pytest.approx(12.706 * 0.01, rel=1e-4)


def test_a_single_value_has_no_interval():
    interval = mean_interval([0.93])
    assert (interval.mean, interval.low, interval.high, interval.n) == (0.93, None, None, 1)
    assert interval.half is None


@pytest.mark.parametrize("values", [[], [0.9, math.nan], [math.inf], [0.9, -math.inf, 0.8]])
def test_no_value_or_one_that_is_not_finite_is_refused(values):
    with pytest.raises(ValueError, match="at least one value, all finite"):
        mean_interval(values)


def sample(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.9, 0.02, n)


@pytest.mark.parametrize("n", [10, 30, 200])
def test_from_ten_values_the_bootstrap_agrees_with_the_normal_interval(n):
    values = sample(n)
    interval = mean_interval(values)
    assert interval.low < interval.mean < interval.high
    student = stats.t.ppf(0.975, n - 1) * values.std(ddof=1) / math.sqrt(n)
    assert interval.half == pytest.approx(student, rel=0.05)


@pytest.mark.parametrize("n", [10, 40])
def test_the_bootstrap_is_scipy_s_of_widened_deviations(n):
    values = np.random.default_rng(n).exponential(size=n)
    wide = math.sqrt(n / (n - 1)) * stats.t.ppf(0.975, n - 1) / stats.norm.ppf(0.975)
    widened = values.mean() + (values - values.mean()) * wide
    found = stats.bootstrap((widened,), np.mean, method="percentile", n_resamples=50_000, rng=0)
    interval, width = mean_interval(values), np.ptp(found.confidence_interval)
    assert interval.low == pytest.approx(found.confidence_interval.low, abs=0.03 * width)
    assert interval.high == pytest.approx(found.confidence_interval.high, abs=0.03 * width)


@pytest.mark.parametrize("strata", [[12], [5, 5], [2, 3, 4]])
def test_one_degree_of_freedom_is_lost_for_each_stratum(strata):
    draws = np.linspace(0.4, 0.8, 10_001)
    n, freedom = sum(strata), sum(strata) - len(strata)
    wide = math.sqrt(n / freedom) * stats.t.ppf(0.975, freedom) / stats.norm.ppf(0.975)
    found = bootstrap_interval(0.5, draws, strata)
    assert found.n == n
    assert found.low == pytest.approx(0.5 + wide * (0.41 - 0.5))
    assert found.high == pytest.approx(0.5 + wide * (0.79 - 0.5))
    clipped = bootstrap_interval(0.5, draws, strata, (0.45, 0.6))
    assert (clipped.low, clipped.high) == (0.45, 0.6)


def test_a_stratum_of_one_value_has_no_variance():
    found = bootstrap_interval(0.5, np.linspace(0, 1, 100), [5, 1])
    assert (found.low, found.high, found.n) == (None, None, 6)


def test_the_bootstrap_repeats_exactly_and_depends_on_its_seed():
    values = sample(12)
    assert mean_interval(values) == mean_interval(values)
    assert mean_interval(values, seed=1) != mean_interval(values, seed=2)
    assert mean_interval(values, seed=1).half == pytest.approx(
        mean_interval(values, seed=2).half, rel=0.05
    )


def test_the_method_changes_at_ten_values():
    nine, ten = sample(9), sample(10)
    t = stats.t.ppf(0.975, 8) * stats.sem(nine)
    assert mean_interval(nine).half == pytest.approx(t)
    # A bootstrap leans where the values do; Student's interval does not.
    skewed = mean_interval([*ten[:9], 2.0])
    assert skewed.high - skewed.mean > 1.1 * (skewed.mean - skewed.low)


def test_the_interval_covers_the_mean_about_as_often_as_it_says():
    covered = 0
    for seed in range(400):
        interval = mean_interval(sample(5, seed))
        covered += interval.low <= 0.9 <= interval.high
    assert 0.92 <= covered / 400 <= 0.98
