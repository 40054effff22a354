"""Reproducibility: threads, deterministic operators and seeds."""

import contextlib
import os
from collections.abc import Iterator

import torch

from suite.core.seeds import derive_seed


@contextlib.contextmanager
def reproducible(device: torch.device, threads: int) -> Iterator[None]:
    """Run with a fixed number of threads and, on a GPU, deterministic operators in float32.

    At a fixed number of threads the operators used here are deterministic on a CPU anyway, and
    requiring it of torch imports its compiler, which takes longer than a small trial. On recent
    NVIDIA GPUs, torch computes convolutions of float32 with 10 bits of mantissa (TF32) unless it is
    told not to; a trial's precision says what is meant.
    """
    before_threads = torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    tf32 = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.set_num_threads(threads)
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.set_num_threads(before_threads)
        if device.type == "cuda":
            torch.use_deterministic_algorithms(deterministic)
            torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = tf32


def seed_step(seed: int, step: int, device: torch.device) -> None:
    """Seed torch's global random state (dropout) for a step, as a function of seed and step.

    So paired trials drop the same units, and training can resume from any step.
    """
    value = derive_seed(seed, "dropout", step)
    torch.default_generator.manual_seed(value)
    if device.type == "cuda":
        torch.cuda.manual_seed(value)
