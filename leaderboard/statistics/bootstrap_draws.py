"""Random draws of the bootstrap, bit for bit the same in NumPy and in the browser.

A draw is a function of (seed, stream, counter), all unsigned 32-bit numbers, without any state;
`assets/numerics.js` computes the same. A stream is an independent series under one seed, for
example a task's. The counter starts at a hash of seed and stream and advances in odd steps, also a
hash of them, so that series do not overlap; the output is a hash of the counter.

Sources: counters with their own step, Steele, Lea & Flood 2014 (SplitMix, OOPSLA); the hash is
`lowbias32` of Wellons' *hash-prospector*, the one with the least bias.
"""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

GOLDEN = 0x9E3779B9
"""2³² divided by the golden ratio; keeps seed 0 and stream 0 from hashing to 0."""
BLOCK = 1_000_000
"""Items that are drawn at the same time: memory stays small for a thousand seeds."""


def _mix(x: np.ndarray) -> np.ndarray:
    """Return the hash of each number: a bijection in which every bit depends on all bits."""
    x = (x ^ (x >> 16)) * np.uint32(0x21F0AAAD)
    x = (x ^ (x >> 15)) * np.uint32(0x735A2D97)
    return x ^ (x >> 15)


def bits(seed: int, size: int, stream: int = 0, first: int = 0) -> np.ndarray:
    """Return `size` random 32-bit numbers of a series, from the number `first` on."""

    def word(x: int) -> np.ndarray:
        return np.array([x % 2**32], dtype=np.uint32)

    start = _mix(_mix(word(seed + GOLDEN)) + word(stream + GOLDEN))
    step = _mix(start ^ word(GOLDEN)) | np.uint32(1)
    return _mix(start + step * np.arange(first, first + size).astype(np.uint32))


def indices(seed: int, draws: int, n: int, stream: int = 0, first: int = 0) -> np.ndarray:
    """Return [draws, n] indices in 0 … n − 1: n items drawn with replacement, `draws` times.

    An index is ⌊u · n / 2³²⌋, whose probabilities are off by less than n / 2³². The draws before
    the number `first` are left out.
    """
    scaled = bits(seed, draws * n, stream, first * n).astype(np.uint64) * np.uint64(n)
    return (scaled >> np.uint64(32)).astype(np.int64).reshape(draws, n)


def blocks(draws: int, n: int) -> Iterator[tuple[int, int]]:
    """Yield first and number of draws of n items, so that each block has some `BLOCK` items."""
    step = max(1, BLOCK // max(n, 1))
    return ((first, min(step, draws - first)) for first in range(0, draws, step))


def counts(seed: int, draws: int, n: int, stream: int = 0) -> np.ndarray:
    """Return [draws, n]: how often each item is among those that `indices` draws. Read-only."""
    return (_counts if draws * n <= BLOCK else _large_counts)(seed, draws, n, stream)


@lru_cache(maxsize=32)  # methods of a board have the same number of runs, and share draws
def _counts(seed: int, draws: int, n: int, stream: int) -> np.ndarray:
    found = np.empty((draws, n))
    for first, some in blocks(draws, n):
        found[first : first + some] = _tallies(seed, some, n, stream, first)
    found.setflags(write=False)
    return found


@lru_cache(maxsize=128)  # of at most 2 MB each, as no block has more than `BLOCK` items
def tallies(seed: int, draws: int, n: int, stream: int, first: int) -> np.ndarray:
    """Return what `counts` does, for the draws of one block, the first of which is `first`."""
    found = _tallies(seed, draws, n, stream, first).astype(np.min_scalar_type(n))
    found.setflags(write=False)
    return found


def _tallies(seed: int, draws: int, n: int, stream: int, first: int) -> np.ndarray:
    rows = np.arange(draws)[:, None] * n
    places = (indices(seed, draws, n, stream, first) + rows).ravel()
    return np.bincount(places, minlength=draws * n).reshape(draws, n)


@lru_cache(maxsize=4)  # 80 MB each for 1,000 runs; cells of a board lack a run or two
def _large_counts(seed: int, draws: int, n: int, stream: int) -> np.ndarray:
    return _counts.__wrapped__(seed, draws, n, stream)


@lru_cache(maxsize=32)
def signs(seed: int, draws: int, n: int, stream: int = 0) -> np.ndarray:
    """Return [draws, n] random signs: +1 where the highest bit is 0. Read-only."""
    found = 1.0 - 2.0 * (bits(seed, draws * n, stream) >> np.uint32(31))
    found = found.reshape(draws, n)
    found.setflags(write=False)
    return found
