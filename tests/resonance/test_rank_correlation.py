"""Rank correlations against scipy, with ties."""

import numpy as np
import pytest
import scipy.stats
import torch

from suite.resonance.rank_correlation import correlation, partial_spearman, ranks, spearman


def rows(ties: int, count: int = 3, n: int = 200) -> list[torch.Tensor]:
    """Return related rows of at most `ties` different values (0: of no equal values)."""
    random = np.random.default_rng(ties)
    common = random.normal(size=n)
    found = [common + random.normal(size=n) for _ in range(count)]
    if ties:
        found = [np.digitize(x, np.quantile(x, np.linspace(0, 1, ties + 1)[1:-1])) for x in found]
    return [torch.tensor(x, dtype=torch.float32) for x in found]


@pytest.mark.parametrize("ties", [0, 2, 7])
def test_ranks_and_correlation_are_those_of_scipy(ties):
    x, y, _ = rows(ties)
    np.testing.assert_allclose(ranks(x).numpy(), scipy.stats.rankdata(x.numpy()))
    assert spearman(x, y) == pytest.approx(scipy.stats.spearmanr(x, y).statistic, abs=1e-12)


@pytest.mark.parametrize("ties", [0, 7])
def test_the_partial_correlation_is_that_of_residuals_of_ranks(ties):
    x, y, z = (scipy.stats.rankdata(row.numpy()) for row in rows(ties))
    design = np.stack([np.ones_like(z), z], axis=1)
    left = [row - design @ np.linalg.lstsq(design, row, rcond=None)[0] for row in (x, y)]
    expected = scipy.stats.pearsonr(*left).statistic
    assert partial_spearman(*rows(ties)) == pytest.approx(expected, abs=1e-10)


def test_what_depends_on_the_third_alone_has_no_correlation_left():
    random = np.random.default_rng(3)
    z = torch.tensor(random.normal(size=4000))
    x, y = (z + torch.tensor(random.normal(size=4000)) for _ in range(2))
    assert spearman(x, y) > 0.4
    assert abs(partial_spearman(x, y, z)) < 0.06


def test_of_constant_or_too_short_rows_there_is_none():
    x = torch.arange(5.0)
    assert spearman(x, torch.ones(5)) is None
    assert spearman(x[:2], x[:2]) is None
    assert spearman(x[:0], x[:0]) is None
    assert partial_spearman(x, torch.ones(5), x) is None
    assert partial_spearman(x, x.flip(0), x) is None  # nothing is left at equal values
    assert correlation(x, 2 * x + 1) == 1.0
