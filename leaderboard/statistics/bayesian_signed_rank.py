"""The Bayesian signed-rank test: how probable it is that one of two methods is better over tasks.

Source: Benavoli, Corani, Demšar & Zaffalon 2017, JMLR 18(77), section 4.2; the prior and the
counting of ties as in the authors' code (BayesianTestsML/tutorial).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from leaderboard.statistics.bootstrap_draws import bits

DRAWS = 20_000
MIN_TASKS = 4
"""Smallest number of tasks: two that agree would already give a side 96 %, three 99 %."""


@dataclass(frozen=True)
class SignedRank:
    """Posterior probabilities, which add up to 1, for first − second.

    Attributes:
        left: that the second is better in practice.
        rope: that the two are equivalent in practice.
        right: that the first is better in practice.
        region: differences up to this count as equivalent.
        tasks: number of differences.
    """

    left: float
    rope: float
    right: float
    region: float
    tasks: int


def signed_rank(
    differences: Sequence[float], rope: float, *, seed: int = 0, draws: int = DRAWS
) -> SignedRank:
    """Return the probabilities, given the difference of each task.

    Tasks have random weights (a Dirichlet process): Dirichlet(½, 1, …, 1), where the ½ belongs to a
    pseudo-observation at 0, the prior. The average of two tasks drawn by these weights lies left of
    the region of practical equivalence, in it or right of it, with three shares that add up to 1.
    A probability is how often its share is the largest over `draws` of the weights; a tie is
    divided. Averages on the edge count as inside.

    Raises:
        ValueError: there is no difference, or the region is negative.
    """
    values = np.asarray([0.0, *differences], dtype=np.float64)
    if len(values) < 2 or rope < 0:
        raise ValueError("the signed-rank test needs a difference and a region of at least 0")
    weights = _weights(seed, draws, len(differences))
    sums = values[:, None] + values
    left, right = (
        (weights @ side * weights).sum(axis=1) for side in (sums < -2 * rope, sums > 2 * rope)
    )
    shares = np.stack([left, 1 - left - right, right])
    # Equal but for rounding: two sides that mirror each other.
    largest = shares >= shares.max(axis=0) - 1e-12
    found = (largest / largest.sum(axis=0)).mean(axis=1).tolist()
    return SignedRank(found[0], found[1], found[2], rope, len(differences))


def _weights(seed: int, draws: int, tasks: int) -> np.ndarray:
    """Return [draws, 1 + tasks]: draws of Dirichlet(½, 1, …, 1), as normalised gamma variates.

    One of shape 1 is −log u; one of shape ½ is half a squared normal variate (Box & Muller 1958).
    """
    uniform = (bits(seed, draws * (tasks + 2)).reshape(draws, -1) + 0.5) / 2**32
    gammas = -np.log(uniform)
    gammas[:, 1] *= np.cos(2 * np.pi * uniform[:, 0]) ** 2
    gammas = gammas[:, 1:]
    return gammas / gammas.sum(axis=1, keepdims=True)
