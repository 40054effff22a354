"""Truly sparse training against the same training with dense layers in plain PyTorch."""

import itertools
import os
from collections.abc import Callable, Iterator

import torch
from torch import nn

from suite.bench.measurement import Bar, Measurement
from suite.bench.threads import conditions, on_threads
from suite.bench.trainer import Trainer, made, over_a_period
from suite.bench.turns import ratios
from suite.sparsity.prunable import find_prunable
from suite.sparsity.storage.compiled_sampled import compiled_product, worth_compiling
from suite.sparsity.storage.csr import CsrWeight
from suite.sparsity.storage.topology import Topology

BATCH, PERIOD, PARTS, BLOCKS = 128, 100, 10, 5
WIDE, LENET = (784, 1000, 1000, 1000, 10), (784, 300, 100, 10)
Case = tuple[tuple[int, ...], float, float]
"""Network, sparsity, least speed-up."""

BARS: dict[int, tuple[Case, ...]] = {
    1: ((WIDE, 0.9, 2.2), (WIDE, 0.98, 7.0), (WIDE, 0.99, 11.0), (LENET, 0.98, 2.5)),
    2: ((WIDE, 0.9, 2.2), (WIDE, 0.98, 6.0), (WIDE, 0.99, 8.0), (LENET, 0.98, 2.0)),
}
"""By number of threads."""

SAMPLED, SAMPLED_BAR = "resonance_sampled", 1.05
MEMORY_BAR = 8.0
KERNEL_BAR = 1.3
LAYERS = ((10, 100), (100, 100), (100, 300), (300, 784), (1000, 1000))
DENSITIES = (0.4, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01)


def network(widths: tuple[int, ...]) -> nn.Sequential:
    """Return a plain network with these widths, ReLU in between."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for fan_in, fan_out in itertools.pairwise(widths):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def trainer(
    widths: tuple[int, ...], method: str | None = None, sparsity: float = 0.0, period: int = PERIOD
) -> Trainer:
    """Return a network in training: dense in plain PyTorch, or by a method in CSR."""
    options = {"update_every": period}
    sparsifier = None if method is None else made(method, options, sparsity, steps=10**7)
    return Trainer(network(widths), widths[:1], sparsifier, "csr", BATCH, widths[-1])


def ratios_over_periods(
    subject: Trainer, peer: Trainer, blocks: int, period: int = PERIOD
) -> list[float]:
    """Return time(subject) / time(peer) of whole update periods.

    The first of a trainer's periods, in which kernels are compiled and memory is first taken, is
    the caller's.
    """
    return [
        over_a_period(subject, peer, number, period=period, parts=PARTS) for number in range(blocks)
    ]


def speedups(
    widths: tuple[int, ...], sparsity: float, blocks: int, period: int = PERIOD
) -> list[float]:
    """Return dense time / RigL's time in CSR of whole update periods, of one update each."""
    dense, sparse = trainer(widths), trainer(widths, "rigl", sparsity, period)
    dense.train(3)
    sparse.train(period)
    return ratios_over_periods(dense, sparse, blocks, period)


def run(
    bars: dict[int, tuple[Case, ...]] = BARS,
    wide: tuple[int, ...] = WIDE,
    blocks: int = BLOCKS,
    period: int = PERIOD,
) -> Iterator[Measurement]:
    """Measure the speed-up of RigL in CSR over dense training, growth among candidates, memory."""
    for threads, cases in bars.items():
        if threads > (os.cpu_count() or 1):
            continue
        with on_threads(threads):
            for widths, sparsity, bar in cases:
                yield Measurement.of(
                    f"dense / RigL in csr, {'-'.join(map(str, widths))} at {sparsity:.0%}",
                    speedups(widths, sparsity, blocks, period),
                    "×",
                    Bar(bar, least=True),
                    conditions(threads),
                )
    yield from sampled(wide, 2 * blocks, period)
    yield memory(wide)


def sampled(
    widths: tuple[int, ...] = WIDE, blocks: int = 2 * BLOCKS, period: int = PERIOD
) -> Iterator[Measurement]:
    """Measure a step of growth among candidates over one of RigL, both in CSR, on one thread."""
    with on_threads(1):
        peer, subject = (trainer(widths, name, 0.98, period) for name in ("rigl", SAMPLED))
        for one in (peer, subject):
            one.train(period)
        values = ratios_over_periods(subject, peer, blocks, period)
    name = f"{SAMPLED} / RigL, step in csr at 98%"
    yield Measurement.of(name, values, "×", Bar(SAMPLED_BAR), conditions(1))


def memory(widths: tuple[int, ...] = WIDE) -> Measurement:
    """Return the memory of parameters, gradients, optimizer state and indices in % of dense.

    RigL's dense gradients are made one layer at a time, in an update, and are not in this.
    """
    dense, sparse = trainer(widths), trainer(widths, "rigl", 0.98)
    with on_threads(1):
        for one in (dense, sparse):
            one.train(2)
    share = 100 * held_bytes(sparse) / held_bytes(dense)
    name = "csr at 98%: memory held between steps / dense"
    return Measurement(name, share, "%", bar=Bar(MEMORY_BAR), note=conditions(1))


def held_bytes(training: Trainer) -> int:
    """Return bytes of parameters, gradients, optimizer state, indices and what masks take."""
    total = 0
    for parameter in training.model.parameters():
        total += parameter.nbytes
        total += 0 if parameter.grad is None else parameter.grad.nbytes
        state = training.optimizer.state.get(parameter, {})
        total += sum(v.nbytes for v in state.values() if isinstance(v, torch.Tensor))
    if training.sparsifier is not None:
        for layer in training.sparsifier.layers:
            store = layer.store  # type: ignore[attr-defined]
            if isinstance(store, CsrWeight):
                total += store.module.topology.bytes
            else:
                total += store.mask.nbytes + store.multiplier.nbytes
    return total


def kernel(
    size: int = 1000, densities: tuple[float, ...] = (0.1, 0.02, 0.01), blocks: int = 4 * BLOCKS
) -> Iterator[Measurement]:
    """Measure PyTorch's product at chosen places over the compiled one of the same bits.

    Raises:
        AssertionError: the two do not agree.
    """
    torch.manual_seed(0)
    left, right = torch.randn(size, BATCH), torch.randn(size, BATCH)
    with on_threads(1):
        for density in densities:
            product = Topology.of(torch.rand(size, size) < density).at_values
            compiled = worth_compiling(left, right, len(product.column)) and compiled_product()
            if not compiled:
                continue
            assert torch.equal(product.of(left, right), product.stock(left, right))
            their = _repeated(lambda p=product: p.stock(left, right))  # type: ignore[misc]
            own = _repeated(lambda p=product: p.of(left, right))  # type: ignore[misc]
            yield Measurement.of(
                f"sampled_addmm / compiled product, {size} × {size} at {1 - density:.0%}",
                ratios(their, own, blocks),
                "×",
                Bar(KERNEL_BAR, least=True),
                conditions(1),
            )


def _repeated(work: Callable[[], object]) -> Callable[[], None]:
    def works() -> None:
        for _ in range(20):
            work()

    return works


def break_even(
    layers: tuple[tuple[int, int], ...] = LAYERS,
    densities: tuple[float, ...] = DENSITIES,
    blocks: int = 7,
) -> Iterator[Measurement]:
    """Measure how much faster one layer [out, in] is in CSR: where it breaks even."""
    with on_threads(1):
        for fan_out, fan_in in layers:
            for density in densities:
                peer, subject = (layer_step(fan_out, fan_in, d) for d in (1.0, density))
                yield Measurement.of(
                    f"dense / csr, layer {fan_out} × {fan_in} at {1 - density:.0%}",
                    ratios(peer, subject, blocks),
                    "×",
                    note=conditions(1),
                )


def layer_step(fan_out: int, fan_in: int, density: float) -> Callable[[], None]:
    """Return training steps of one hidden layer, dense where `density` is 1."""
    torch.manual_seed(0)
    layer = nn.Linear(fan_in, fan_out)
    optimizer = torch.optim.SGD(layer.parameters(), 0.01, momentum=0.9)
    if density < 1:
        mask = torch.rand(fan_out, fan_in) < density
        (prunable,) = find_prunable(nn.Sequential(layer))
        weight = CsrWeight(prunable, mask, optimizer)
        weight.prepare_backward(False)
    x = torch.randn(BATCH, fan_in, requires_grad=True)

    def steps() -> None:
        for _ in range(max(2, 200_000 // (fan_out * fan_in))):
            optimizer.zero_grad()
            layer(x).square().mean().backward()
            optimizer.step()

    return steps
