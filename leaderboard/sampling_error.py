"""The sampling error of a test set: what an accuracy says of other examples of the same kind.

Intervals over seeds are of one test set. With n independent test examples an accuracy p has the
standard error √(p(1 − p)/n) besides. Methods are tested on the same examples, so a difference of
two has less: what both have right, or both wrong, cancels (McNemar's test compares the rest).
"""

import math

from leaderboard.board_columns import SCORE
from leaderboard.boards import Board
from leaderboard.score_text import value_text

QUANTILE = 1.96
"""Of the normal distribution, for 95 %."""


def half_width(accuracy: float, examples: int) -> float:
    """Return half the 95 % interval of an accuracy, a fraction, on so many test examples.

    The normal approximation, QUANTILE·√(p(1 − p)/n). It is 0 at an accuracy of 0 or 1, where it
    says nothing.
    """
    return QUANTILE * math.sqrt(accuracy * (1 - accuracy) / examples)


def sampling_error_text(board: Board) -> str:
    """Return a board's number of test examples and their sampling error, in a sentence.

    At the accuracy of the dense network, or else at the best mean. Empty for a board that ranks by
    another metric (R², bits per character, macro-F1), of which there is no such formula; of other
    numbers of test examples in its trials; and without an accuracy between 0 and 1.
    """
    cells = [cell for _, _, cell in board.cells() if cell.runs]
    best = max((interval.mean for cell in cells if (interval := cell.interval)), default=0.0)
    accuracy = board.dense.get(SCORE, best)
    if board.metric.name != SCORE or board.examples is None or not 0 < accuracy < 1:
        return ""
    points = 100 * half_width(accuracy, board.examples)
    return (
        f"Test set: {board.examples:,} examples, a sampling error of ± {points:.1f} points at "
        f"{value_text(board.metric, accuracy)} % (95 %), which the intervals over seeds do not "
        "contain; differences between methods, tested on the same examples, have less (McNemar's "
        "test by example: resonance compare)."
    )
