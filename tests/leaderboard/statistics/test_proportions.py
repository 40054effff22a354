"""Intervals of proportions against independent versions."""

import math

import numpy as np
import pytest
from scipy import optimize, stats

from leaderboard.statistics.proportions import share_interval, win_interval


@pytest.mark.parametrize("n", [2, 5, 10, 40])
def test_a_share_has_wilson_s_interval(n):
    for above in range(n + 1):
        expected = stats.binomtest(above, n).proportion_ci(0.95, method="wilson")
        assert share_interval(above / n, [n]) == pytest.approx((expected.low, expected.high))
        # Strata of equal size are one sample.
        assert share_interval(above / n, [n // 2] * 2 if n % 2 == 0 else [n]) == pytest.approx(
            (expected.low, expected.high)
        )


def test_the_smaller_stratum_counts_more():
    equal, unequal = share_interval(0.5, [10, 10]), share_interval(0.5, [2, 18])
    assert unequal[0] < equal[0] < 0.5 < equal[1] < unequal[1]


def variance(theta: float, n: int, m: int) -> float:
    """Return the variance of U / (nm) for exponential scores (Hanley & McNeil 1982)."""
    size = (n + m) / 2
    one, two = theta / (2 - theta), 2 * theta**2 / (1 + theta)
    spread = theta * (1 - theta) + (size - 1) * (one - theta**2 + two - theta**2)
    return spread / (n * m)


@pytest.mark.parametrize(("n", "m"), [(5, 5), (5, 10), (3, 8), (2, 2), (10, 10)])
def test_a_probability_of_improvement_has_newcombe_s_interval(n, m):
    z = stats.norm.ppf(0.975)
    for wins in range(1, n * m):
        share = wins / (n * m)

        def beyond(theta: float, share: float = share) -> float:
            return abs(theta - share) - z * math.sqrt(variance(theta, n, m))

        low = optimize.brentq(beyond, 1e-12, share)
        high = optimize.brentq(beyond, share, 1 - 1e-12)
        assert win_interval(share, [(n, m)]) == pytest.approx((low, high), abs=1e-9)


def test_all_or_nothing_has_a_width_and_both_directions_agree():
    low, high = win_interval(1.0, [(5, 5)])
    assert (high, low < 0.7) == (1.0, True)
    random = np.random.default_rng(0)
    for share in random.random(20):
        low, high = win_interval(share, [(5, 7), (4, 4)])
        back = win_interval(1 - share, [(7, 5), (4, 4)])
        assert (1 - back[1], 1 - back[0]) == pytest.approx((low, high))
        assert 0 < low < share < high < 1
    assert win_interval(0.0, [(5, 5)])[0] == 0.0
    assert share_interval(0.0, [5])[0] == 0.0
    assert share_interval(1.0, [5])[1] == 1.0


def test_more_tasks_narrow_the_interval():
    one, five = win_interval(0.8, [(5, 5)]), win_interval(0.8, [(5, 5)] * 5)
    assert (five[1] - five[0]) == pytest.approx((one[1] - one[0]) / math.sqrt(5), rel=0.15)
