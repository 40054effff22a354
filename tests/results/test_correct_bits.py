"""One bit per prediction: sizes, padding, and what differs."""

import numpy as np
import pytest

from suite.results.correct_bits import bits_problem, differing, discordant
from suite.results.counts import Counts


def packed(*right: int) -> bytes:
    return np.packbits(np.array(right, dtype=bool)).tobytes()


FIVE_OF_NINE = packed(1, 1, 0, 0, 1, 0, 1, 0, 1)


@pytest.mark.parametrize(
    ("bits", "problem"),
    [
        (FIVE_OF_NINE, ""),
        (FIVE_OF_NINE[:1], "has 1 bytes, and 9 predictions take 2"),
        (FIVE_OF_NINE + b"\0", "has 3 bytes, and 9 predictions take 2"),
        (bytes([FIVE_OF_NINE[0], 0x81]), "has bits after the last of 9 predictions"),
        (packed(*[1] * 9), "has 9 right predictions, not 5"),
    ],
)
def test_bits_are_those_of_their_counts(bits, problem):
    assert problem in bits_problem(bits, Counts(correct=5, total=9))
    assert bool(problem) == bool(bits_problem(bits, Counts(correct=5, total=9)))


def test_a_whole_number_of_bytes_has_no_padding():
    assert bits_problem(b"\xff", Counts(correct=8, total=8)) == ""


def test_what_only_one_has_right():
    other = packed(0, 1, 1, 1, 1, 0, 0, 0, 0)
    assert discordant(FIVE_OF_NINE, other) == (3, 2)
    assert differing(FIVE_OF_NINE, other, 9) == 5
    assert differing(other, other, 9) == 0


def test_bits_of_other_examples_are_not_compared():
    with pytest.raises(ValueError, match="not of the same examples"):
        discordant(b"\0", b"\0\0")
    with pytest.raises(ValueError, match="not 9 predictions"):
        differing(b"\0", b"\0", 9)
