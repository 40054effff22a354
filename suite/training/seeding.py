"""Reproducibility: threads, deterministic operators and seeds."""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import torch

from suite.core.seeds import derive_seed


@contextlib.contextmanager
def reproducible(device: torch.device, threads: int) -> Iterator[None]:
    """Run with a fixed number of threads and, on a GPU, deterministic operators in float32.

    At a fixed number of threads the operators used here are deterministic on a CPU anyway, and
    requiring it of torch imports its compiler, which takes longer than a small trial.
    """
    before_threads = torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(threads)
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with full_float32() if device.type == "cuda" else contextlib.nullcontext():
            yield
    finally:
        torch.set_num_threads(before_threads)
        if device.type == "cuda":
            torch.use_deterministic_algorithms(deterministic)


@contextlib.contextmanager
def full_float32() -> Iterator[None]:
    """Compute float32 products and convolutions in float32 on a GPU.

    On recent NVIDIA GPUs, torch computes convolutions with 10 bits of mantissa (TF32) unless it is
    told not to. Torch has two interfaces for this: where the caller has used the newer one, reading
    the older raises; otherwise only the older is used, because it could not be read afterwards.
    """
    backends: Any = torch.backends  # whose newer interface is not typed
    try:
        before = backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    except RuntimeError:
        parts = (backends.cudnn.conv, backends.cudnn.rnn, backends.cuda.matmul)
        precisions = [part.fp32_precision for part in parts]
        for part in parts:
            part.fp32_precision = "ieee"
        try:
            yield
        finally:
            for part, precision in zip(parts, precisions, strict=True):
                part.fp32_precision = precision
        return
    backends.cudnn.allow_tf32 = False
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        backends.cudnn.allow_tf32 = before[0]
        torch.set_float32_matmul_precision(before[1])


def seed_step(seed: int, step: int, device: torch.device) -> None:
    """Seed torch's global random state (dropout) for a step, as a function of seed and step.

    So paired trials drop the same units, and training can resume from any step.
    """
    value = derive_seed(seed, "dropout", step)
    torch.default_generator.manual_seed(value)
    if device.type == "cuda":
        torch.cuda.manual_seed(value)
