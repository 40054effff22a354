"""The Bayesian signed-rank test against a Monte Carlo of its definition."""

import numpy as np
import pytest
from scipy import stats

from leaderboard.statistics.bayesian_signed_rank import _weights, signed_rank


def by_definition(differences, rope: float, draws: int = 60_000) -> list[float]:
    """Return the probabilities, with NumPy's Dirichlet draws and a loop over pairs of tasks."""
    values = [0.0, *differences]
    weights = np.random.default_rng(0).dirichlet([0.5] + [1.0] * len(differences), draws)
    shares = np.zeros((3, draws))
    for i, one in enumerate(values):
        for j, other in enumerate(values):
            middle = (one + other) / 2
            side = 0 if middle < -rope else 2 if middle > rope else 1
            shares[side] += weights[:, i] * weights[:, j]
    return np.bincount(shares.argmax(axis=0), minlength=3) / draws


@pytest.mark.parametrize(
    ("differences", "rope"),
    [
        ([0.01, 0.02, -0.003, 0.004, 0.006], 0.005),
        ([-0.02, -0.01, 0.002, -0.007], 0.005),
        ([0.03] * 6, 0.005),
        (np.random.default_rng(1).normal(0.003, 0.01, 12).tolist(), 0.005),
    ],
)
def test_probabilities_are_those_of_the_definition(differences, rope):
    found = signed_rank(differences, rope)
    expected = by_definition(differences, rope)
    assert (found.left, found.rope, found.right) == pytest.approx(tuple(expected), abs=0.012)
    assert found.left + found.rope + found.right == pytest.approx(1)
    assert (found.region, found.tasks) == (rope, len(differences))


def test_the_weights_are_dirichlet_s():
    weights = _weights(3, 20_000, 4)
    assert weights.sum(axis=1) == pytest.approx(1)
    for place, alpha in enumerate([0.5, 1, 1, 1, 1]):
        marginal = stats.beta(alpha, 4.5 - alpha)
        assert stats.kstest(weights[:, place], marginal.cdf).pvalue > 1e-4


def test_it_turns_with_the_sign_and_repeats():
    values = [0.01, 0.02, -0.003, 0.004]
    found, turned = signed_rank(values, 0.005), signed_rank([-x for x in values], 0.005)
    assert (turned.left, turned.right) == (found.right, found.left)
    assert signed_rank(values, 0.005) == found
    assert signed_rank(values, 0.005, seed=1) != found


def test_mirrored_differences_and_the_edge_of_the_region():
    found = signed_rank([0.02, -0.02], 0.001)
    assert found.left == pytest.approx(found.right, abs=0.02)
    assert signed_rank([0.005] * 5, 0.005).rope == 1.0  # on the edge is inside


@pytest.mark.parametrize(("tasks", "share"), [(5, 0.15), (10, 0.07)])
def test_on_the_region_s_edge_it_says_equivalent_as_often_as_the_protocol_states(tasks, share):
    random = np.random.default_rng(tasks)
    drawn = random.normal(0.005, 0.003, (500, tasks)).tolist()
    said = sum(signed_rank(one, 0.005, draws=1000).rope >= 0.95 for one in drawn) / 500
    assert said == pytest.approx(share, abs=4 * (share * (1 - share) / 500) ** 0.5)


@pytest.mark.parametrize(("differences", "rope"), [([], 0.1), ([0.1], -0.1)])
def test_nothing_to_compare_is_refused(differences, rope):
    with pytest.raises(ValueError, match="needs a difference"):
        signed_rank(differences, rope)
