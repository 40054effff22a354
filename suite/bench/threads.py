"""How many threads PyTorch uses while something is measured, and what compiles kernels."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

import torch

from suite.sparsity.storage.condensed import numba_is_installed


@contextmanager
def on_threads(number: int) -> Iterator[None]:
    """Use so many threads; the former number afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def conditions(threads: int) -> str:
    """Return the note of a measurement: threads, and numba's version or that it is missing."""
    numba = f"numba {version('numba')}" if numba_is_installed() else "without numba"
    return f"{threads} {'thread' if threads == 1 else 'threads'}, {numba}"
