"""Which test examples a trial predicts rightly: one bit each, in a file beside its record.

The order is that of the test split, of text that of its characters; the first is the highest bit
of the first byte (`numpy.packbits`), and the last byte is filled with zeros.
"""

from suite.results.counts import Counts

CORRECT_BITS = "correct.bits"
MAX_BYTES = 2**19
"""The file is left out above 4,194,304 predictions: in a bundle it must fit in a record's line."""


def size_of(total: int) -> int:
    """Return the file's size in bytes for a number of predictions."""
    return -(-total // 8)


def bits_problem(bits: bytes, counts: Counts) -> str:
    """Return why bits cannot be those of these counts, in one line; empty if they can."""
    if len(bits) != (size := size_of(counts.total)):
        return f"{CORRECT_BITS} has {len(bits)} bytes, and {counts.total} predictions take {size}"
    number = int.from_bytes(bits)
    if number & (1 << 8 * size - counts.total) - 1:
        return f"{CORRECT_BITS} has bits after the last of {counts.total} predictions"
    if (right := number.bit_count()) != counts.correct:
        return f"{CORRECT_BITS} has {right} right predictions, not {counts.correct}"
    return ""


def discordant(first: bytes, second: bytes) -> tuple[int, int]:
    """Return how many predictions only the first has right, and how many only the second.

    Raises:
        ValueError: they are not of the same examples: their sizes differ.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} bytes are not of the same examples")
    one, other = int.from_bytes(first), int.from_bytes(second)
    return (one & ~other).bit_count(), (other & ~one).bit_count()


def differing(first: bytes, second: bytes, total: int) -> int:
    """Return how many of `total` predictions are right in one of both and wrong in the other.

    Raises:
        ValueError: one of them is not of as many predictions.
    """
    for bits in (first, second):
        if len(bits) != size_of(total):
            raise ValueError(f"{len(bits)} bytes are not {total} predictions")
    return sum(discordant(first, second))
