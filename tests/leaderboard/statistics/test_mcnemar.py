import pytest

from leaderboard.statistics.mcnemar import exact_p


@pytest.mark.parametrize(
    ("first", "second", "p"),
    [
        (0, 0, 1.0),
        (1, 0, 1.0),
        (5, 5, 1.0),
        (6, 0, 2 / 2**6),
        (0, 6, 2 / 2**6),
        (7, 1, 2 * (1 + 8) / 2**8),
        (2, 8, 2 * (1 + 10 + 45) / 2**10),
    ],
)
def test_small_cases_worked_by_hand(first, second, p):
    assert exact_p(first, second) == pytest.approx(p, rel=1e-12)


def test_it_is_scipys_binomial_test_and_finite_for_many_examples():
    from scipy.stats import binomtest

    for first, second in ((12, 30), (500, 430), (3, 100)):
        assert exact_p(first, second) == pytest.approx(
            binomtest(first, first + second).pvalue, rel=1e-9
        )
    assert 0 <= exact_p(1000, 4_000_000) < 1e-300
