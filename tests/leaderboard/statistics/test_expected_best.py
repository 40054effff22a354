"""The expected best of several draws, by every sample there is and by simulation."""

import itertools
import math
import statistics

import numpy as np
import pytest

from leaderboard.statistics.expected_best import expected_best


@pytest.mark.parametrize("draws", [1, 2, 3, 5])
@pytest.mark.parametrize("scores", [[0.5], [0.3, 0.9, 0.9, 0.1], [1e9, 1e9 + 1, 1e9 + 2]])
def test_it_is_the_mean_and_deviation_over_every_sample(scores, draws):
    best = [max(sample) for sample in itertools.product(scores, repeat=draws)]
    found = expected_best(scores, draws)
    assert found.mean == pytest.approx(statistics.fmean(best), rel=1e-15)
    assert found.std == pytest.approx(statistics.pstdev(best), rel=1e-9, abs=1e-12)


def test_it_is_that_of_simulated_searches():
    generator = np.random.default_rng(3)
    scores = generator.normal(0.9, 0.02, 30)
    best = generator.choice(scores, (100_000, 12)).max(1)
    found = expected_best(list(scores), 12)
    assert found.mean == pytest.approx(best.mean(), abs=4 * best.std() / math.sqrt(100_000))
    assert found.std == pytest.approx(best.std(), rel=0.02)


def test_more_draws_are_better_up_to_the_best_of_all():
    scores = [0.1, 0.5, 0.7, 0.71]
    means = [expected_best(scores, draws).mean for draws in range(1, 40)]
    assert means == sorted(means)
    assert means[0] == pytest.approx(statistics.fmean(scores))
    assert means[-1] < 0.71
    assert expected_best(scores, 10_000).mean == pytest.approx(0.71)


@pytest.mark.parametrize(("scores", "draws"), [([], 1), ([0.5], 0)])
def test_nothing_to_draw_is_refused(scores, draws):
    with pytest.raises(ValueError, match="no maximum"):
        expected_best(scores, draws)
