"""A condensed layer against a dense one and compressed rows (CSR), in the same process."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from suite.bench.measurement import Bar, Measurement
from suite.bench.threads import conditions, on_threads
from suite.bench.turns import ratios
from suite.evaluation.latency import CsrLinear
from suite.sparsity.storage.condensed import FEW, CondensedLinear, numba_is_installed

INPUTS, UNITS = 784, 1000
BARS = {0.9: 1.5, 0.95: 3.0}
"""Sparsity, and how much faster than dense the compiled kernel must be for one example."""
BATCHES = {1: 200, 256: 10}
"""Examples, and how many calls are timed together."""
BLOCKS = 15
JUDGED = ("numba", "dense")
"""Kernel and peer that the bars are for."""


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


def run(
    bars: dict[float, float] = BARS, batches: dict[int, int] = BATCHES, blocks: int = BLOCKS
) -> Iterator[Measurement]:
    """Measure how much faster a condensed layer is, on one thread; bars are those of numba.

    Lasby et al. 2024 (arXiv:2305.02299) report 3.4 × dense and 2.5 × CSR at 90 % on a CPU.
    """
    with on_threads(1):
        for sparsity, bar in bars.items():
            dense = constant_fan_in(sparsity)
            peers = {"dense": dense, "CSR": CsrLinear(dense)}
            for batch, times in batches.items():
                subjects = {"PyTorch": CondensedLinear.of(dense, "torch")}
                if numba_is_installed() and batch <= FEW:  # for many examples both are the same
                    subjects["numba"] = CondensedLinear.of(dense, "numba")
                x = torch.randn(batch, INPUTS)
                for kernel, layer in subjects.items():
                    for peer, other in peers.items():
                        work, their = calls(layer, x, times), calls(other, x, times)
                        held = Bar(bar, least=True) if (kernel, peer) == JUDGED else None
                        name = f"{peer} / condensed by {kernel}, {sparsity:.0%}, batch {batch}"
                        found = ratios(their, work, blocks)
                        yield Measurement.of(name, found, "×", held, conditions(1))
