"""Making a trial repeat exactly."""

import contextlib
import importlib
import os
from collections.abc import Iterator

import torch

from suite.seeds import derive_seed


@contextlib.contextmanager
def reproducible(threads: int) -> Iterator[None]:
    """Run with deterministic operators and a fixed number of threads; put things back after."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.are_deterministic_algorithms_enabled()
    before_threads = torch.get_num_threads()
    memory = importlib.import_module("torch.utils.deterministic")
    fill = memory.fill_uninitialized_memory
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    memory.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        memory.fill_uninitialized_memory = fill  # type: ignore[attr-defined]
        torch.set_num_threads(before_threads)


def seed_global(seed: int, purpose: str) -> None:
    """Seed torch's global random state for one purpose (initial weights, dropout)."""
    torch.manual_seed(derive_seed(seed, purpose))
