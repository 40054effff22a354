"""A condensed layer against a dense one and compressed rows (CSR), in the same process."""

import statistics
from collections.abc import Callable

import torch
from torch import Tensor, nn

from suite.evaluation.latency import CsrLinear
from suite.sparsity.storage.condensed import CondensedLinear, numba_is_installed
from tests.bench.measure import ratios

INPUTS, UNITS = 784, 1000
BARS = {0.9: 1.5, 0.95: 3.0}
"""Sparsity, and how much faster than dense the compiled kernel must be for one example."""
BATCHES = {1: 200, 256: 10}
"""Examples, and how many calls are timed together."""
BLOCKS = 15


def constant_fan_in(sparsity: float) -> nn.Linear:
    """Return a layer of which every unit has the same number of weights."""
    torch.manual_seed(0)
    layer = nn.Linear(INPUTS, UNITS).requires_grad_(False)
    rank = torch.rand(UNITS, INPUTS).argsort(1).argsort(1)
    layer.weight *= rank < round((1 - sparsity) * INPUTS)
    return layer


def calls(layer: nn.Module, x: Tensor, times: int) -> Callable[[], None]:
    """Return this many forward passes."""

    def work() -> None:
        with torch.inference_mode():
            for _ in range(times):
                layer(x)

    return work


def run() -> bool:
    """Print how much faster a condensed layer is, on one thread; return whether bars are met."""
    torch.set_num_threads(1)
    met = []
    for sparsity, bar in BARS.items():
        dense = constant_fan_in(sparsity)
        peers = {"dense": dense, "CSR": CsrLinear(dense)}
        for batch, times in BATCHES.items():
            subjects = {"PyTorch": CondensedLinear.of(dense, "torch")}
            if numba_is_installed() and batch == 1:  # for many examples both are the same
                subjects["numba"] = CondensedLinear.of(dense, "numba")
            x = torch.randn(batch, INPUTS)
            for kernel, layer in subjects.items():
                for peer, other in peers.items():
                    work, their = calls(layer, x, times), calls(other, x, times)
                    found = [1 / ratio for ratio in ratios(work, their, BLOCKS)]
                    least = bar if (kernel, peer) == ("numba", "dense") else None
                    name = f"condensed, {kernel}, {sparsity:.0%}, batch {batch}, against {peer}"
                    met.append(report(name, found, least))
    print("Lasby et al. 2024 (arXiv:2305.02299), a CPU, 90 %: 3.4 × dense and 2.5 × CSR")
    if not numba_is_installed():
        print("numba is missing, so its bars were not measured: pip install numba  MISSED")
    return numba_is_installed() and all(met)


def report(name: str, faster: list[float], bar: float | None) -> bool:
    """Print a median speed-up with its range and the least that is asked; return whether it is."""
    median = statistics.median(faster)
    met = bar is None or median >= bar
    judged = f"  bar ≥ {bar:g}  {'ok' if met else 'MISSED'}" if bar is not None else ""
    print(
        f"{name:<58} {median:6.2f} × faster ({min(faster):.2f} … {max(faster):.2f}){judged}",
        flush=True,
    )
    return met
