"""The random draws: what they promise, and that they are as good as random."""

import itertools

import numpy as np
import pytest
from scipy import stats

from leaderboard.statistics.bootstrap_draws import bits, counts, indices, signs

SEEDS = (0, 1, 2, 3, 2**31, 2**32 - 1)


def test_the_same_numbers_come_everywhere_and_always():
    assert bits(0, 4).tolist() == [4148444884, 1576319640, 26378368, 1018777781]
    assert (bits(7, 1000, 3) == bits(7, 1000, 3)).all()
    assert (bits(7, 10, 3) == bits(7, 1000, 3)[:10]).all()


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("n", [2, 3, 5, 12, 25, 1000])
def test_every_item_is_drawn_alike(seed, n):
    drawn = indices(seed, 100_000 // n, n)
    assert drawn.shape == (100_000 // n, n)
    assert stats.chisquare(np.bincount(drawn.ravel(), minlength=n)).pvalue > 1e-4


@pytest.mark.parametrize("seed", SEEDS)
def test_neighbours_are_independent(seed):
    values = bits(seed, 200_001) >> np.uint32(27)
    for apart in (1, 2, 5):
        table = np.zeros((32, 32))
        np.add.at(table, (values[:-apart], values[apart:]), 1)
        assert stats.chi2_contingency(table).pvalue > 1e-4


def test_every_bit_is_as_often_on_as_off():
    values = bits(11, 100_000)
    for bit in range(32):
        on = int((values >> np.uint32(bit) & np.uint32(1)).sum())
        assert stats.binomtest(on, 100_000).pvalue > 1e-4


def test_seeds_and_streams_are_independent():
    series = [(seed, stream) for seed in (0, 1, 5) for stream in (0, 1, 7)]
    drawn = {key: bits(key[0], 20_000, key[1]) for key in series}
    for one, other in itertools.combinations(series, 2):
        x, y = drawn[one].astype(float), drawn[other].astype(float)
        assert abs(np.corrcoef(x, y)[0, 1]) < 5 / np.sqrt(20_000), (one, other)
        table = np.zeros((8, 8))
        np.add.at(table, (drawn[one] >> np.uint32(29), drawn[other] >> np.uint32(29)), 1)
        assert stats.chi2_contingency(table).pvalue > 1e-5, (one, other)
        assert len(np.intersect1d(drawn[one], drawn[other])) < 5  # 0.1 expected


def test_counts_are_those_of_the_places():
    drawn, found = indices(3, 50, 7, 2), counts(3, 50, 7, 2)
    assert (found.sum(axis=1) == 7).all()
    for row, often in zip(drawn, found, strict=True):
        assert (np.bincount(row, minlength=7) == often).all()


def test_signs_fall_either_way_and_what_is_shared_cannot_be_written():
    found = signs(0, 10_000, 25)
    assert set(np.unique(found)) == {-1.0, 1.0}
    assert abs(found.mean()) < 5 / np.sqrt(found.size)
    # Sums of 25 signs are binomial.
    plus = ((found.sum(axis=1) + 25) / 2).astype(int)
    expected = stats.binom.pmf(np.arange(6, 20), 25, 0.5)
    seen = np.array([(plus == k).sum() for k in range(6, 20)])
    rest = 10_000 - seen.sum(), 1 - expected.sum()
    p = stats.chisquare([*seen, rest[0]], 10_000 * np.array([*expected, rest[1]])).pvalue
    assert p > 1e-4
    with pytest.raises(ValueError, match="read-only"):
        found[0, 0] = 0
