"""The expected best of several draws: how a tuned score depends on the budget of the search.

Source: Dodge et al. 2019, "Show your work", arXiv:1909.03004, §3 and appendix A.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple


class ExpectedBest(NamedTuple):
    """Mean and standard deviation of the highest of several scores that are drawn."""

    mean: float
    std: float


def expected_best(scores: Sequence[float], draws: int) -> ExpectedBest:
    """Return the distribution's first moments of the maximum of `draws` of the scores.

    Draws are independent and from the empirical distribution, that is with replacement: of n scores
    in ascending order, the i-th is the maximum with probability (i/n)^draws − ((i − 1)/n)^draws. So
    the mean rises from that of the scores to the highest of them, which it stays below. Scores that
    were not drawn independently (an adaptive search) are taken as if they had been.

    Raises:
        ValueError: there is no score, or less than one draw.
    """
    if not scores or draws < 1:
        raise ValueError(f"{draws} draws of {len(scores)} scores have no maximum")
    n = len(scores)
    chances = [(i / n) ** draws - ((i - 1) / n) ** draws for i in range(1, n + 1)]
    ordered = sorted(scores)
    mean = math.fsum(p * x for p, x in zip(chances, ordered, strict=True))
    variance = math.fsum(p * (x - mean) ** 2 for p, x in zip(chances, ordered, strict=True))
    return ExpectedBest(mean, math.sqrt(variance))
