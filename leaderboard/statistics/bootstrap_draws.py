"""Random draws of the bootstrap, bit for bit the same in NumPy and in the browser.

A draw is a function of (seed, stream, counter), all unsigned 32-bit numbers, without any state;
`assets/numerics.js` computes the same. A stream is an independent series under one seed, for
example a task's. The counter starts at a hash of seed and stream and advances in odd steps, also a
hash of them, so that series do not overlap; the output is a hash of the counter.

Sources: counters with their own step, Steele, Lea & Flood 2014 (SplitMix, OOPSLA); the hash is
`lowbias32` of Wellons' *hash-prospector*, the one with the least bias.
"""

from functools import lru_cache

import numpy as np

GOLDEN = 0x9E3779B9
"""2³² divided by the golden ratio; keeps seed 0 and stream 0 from hashing to 0."""


def _mix(x: np.ndarray) -> np.ndarray:
    """Return the hash of each number: a bijection in which every bit depends on all bits."""
    x = (x ^ (x >> 16)) * np.uint32(0x21F0AAAD)
    x = (x ^ (x >> 15)) * np.uint32(0x735A2D97)
    return x ^ (x >> 15)


def bits(seed: int, size: int, stream: int = 0) -> np.ndarray:
    """Return `size` random 32-bit numbers."""

    def word(x: int) -> np.ndarray:
        return np.array([x % 2**32], dtype=np.uint32)

    start = _mix(_mix(word(seed + GOLDEN)) + word(stream + GOLDEN))
    step = _mix(start ^ word(GOLDEN)) | np.uint32(1)
    return _mix(start + step * np.arange(size, dtype=np.uint32))


def indices(seed: int, draws: int, n: int, stream: int = 0) -> np.ndarray:
    """Return [draws, n] indices in 0 … n − 1: n items drawn with replacement, `draws` times.

    An index is ⌊u · n / 2³²⌋, whose probabilities are off by less than n / 2³².
    """
    scaled = bits(seed, draws * n, stream).astype(np.uint64) * np.uint64(n)
    return (scaled >> np.uint64(32)).astype(np.int64).reshape(draws, n)


@lru_cache(maxsize=32)  # methods of a board have the same number of runs, and share draws
def counts(seed: int, draws: int, n: int, stream: int = 0) -> np.ndarray:
    """Return [draws, n]: how often each item is among those that `indices` draws. Read-only."""
    rows = np.arange(draws)[:, None] * n
    places = (indices(seed, draws, n, stream) + rows).ravel()
    found = np.bincount(places, minlength=draws * n).reshape(draws, n).astype(np.float64)
    found.setflags(write=False)
    return found


@lru_cache(maxsize=32)
def signs(seed: int, draws: int, n: int, stream: int = 0) -> np.ndarray:
    """Return [draws, n] random signs: +1 where the highest bit is 0. Read-only."""
    found = 1.0 - 2.0 * (bits(seed, draws * n, stream) >> np.uint32(31))
    found = found.reshape(draws, n)
    found.setflags(write=False)
    return found
