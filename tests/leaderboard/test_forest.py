"""Where differences are drawn in a cell, and on which scale."""

import math

import pytest

from leaderboard.forest import REACH, forest_mark, scale_limit
from leaderboard.statistics.intervals import Interval
from leaderboard.statistics.paired_comparisons import Verdict


@pytest.mark.parametrize(
    ("differences", "limit"),
    [
        ([], 1.0),
        ([0.0, 0.0], 1.0),
        ([0.004], 0.005),
        ([-0.004, 0.003], 0.005),
        ([0.01, -0.02, 0.03, 0.04], 0.05),  # three of four are 0.03 or less
        ([0.01, -0.01, 0.01, -0.6], 0.02),  # one that collapsed does not set the scale
        ([0.9, 0.8, 0.7], 2.0),
        ([0.0, 0.0, 0.0, 3.0], 5.0),  # most are 0: the scale still shows the one that is not
        ([1.7e308], 2e300),  # its steps stay finite
        ([math.inf], 2e300),
        ([5e-324], 2e-300),
    ],
)
def test_a_scale_shows_most_differences_with_some_room(differences, limit):
    assert scale_limit(differences) == pytest.approx(limit)


def test_a_difference_is_drawn_to_the_side_of_its_sign_and_clipped_to_the_plot():
    mark = forest_mark(Interval(0.01, -0.01, 0.05, 5), Verdict.NO_DIFFERENCE, 0.02)
    assert (mark.place, mark.low, mark.high) == (50 + REACH / 2, 50 - REACH / 2, 50 + REACH)
    assert (mark.beyond, mark.kind, mark.height) == (0, "unclear", 50.0)
    far = forest_mark(Interval(-0.3, None, None, 5), Verdict.WORSE, 0.02)
    assert (far.place, far.low, far.high) == (50 - REACH,) * 3
    assert (far.beyond, far.kind) == (-1, "worse")


def test_several_differences_of_a_cell_are_one_below_the_other():
    gap = Interval(0.0, None, None, 5)
    heights = [forest_mark(gap, Verdict.EQUIVALENT, 1.0, number, 3).height for number in range(3)]
    assert heights == [25.0, 50.0, 75.0]
