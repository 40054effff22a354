"""Truly sparse training against the same training with dense layers in plain PyTorch."""

import itertools
import statistics
import time
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

from suite.experiments import registry
from suite.sparsity.construct import make_sparsifier
from suite.sparsity.plan import Plan
from suite.sparsity.prunable import Prunable
from suite.sparsity.sparsifier import Sparsifier
from suite.sparsity.storage.csr import CsrWeight
from suite.sparsity.storage.execution import Execution
from tests.bench.measure import ratios, report

BATCH, PERIOD, BLOCKS = 128, 100, 5
WIDE, LENET = (784, 1000, 1000, 1000, 10), (784, 300, 100, 10)
BARS = [(WIDE, 0.9, 1.8), (WIDE, 0.98, 5.0), (WIDE, 0.99, 7.0), (LENET, 0.98, 2.2)]
"""Network, sparsity, least speed-up."""

SAMPLED, SAMPLED_BAR = "resonance_sampled", 1.05


def network(widths: tuple[int, ...]) -> nn.Sequential:
    """Return a plain network with these widths, ReLU in between."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for fan_in, fan_out in itertools.pairwise(widths):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class Trainer:
    """A network in training on fixed batches: dense in plain PyTorch, or by a method in CSR."""

    def __init__(self, widths: tuple[int, ...], method: str | None, sparsity: float = 0.0) -> None:
        self.model = network(widths)
        self.optimizer = torch.optim.SGD(self.model.parameters(), 0.01, momentum=0.9)
        self.batches = [
            (torch.randn(BATCH, widths[0]), torch.randint(widths[-1], (BATCH,))) for _ in range(4)
        ]
        self.sparsifier: Sparsifier | None = None
        self.step = 0
        if method is not None:
            declared = registry.methods()[method]
            plan = Plan(steps=10**7, sparsity=sparsity, seed=0, steps_per_epoch=500)
            made = make_sparsifier(declared, plan, declared.resolve({}))
            made.attach(self.model, self.optimizer, storage=Execution("csr"))
            self.sparsifier = made

    def train(self, steps: int) -> float:
        """Take `steps` steps; return the seconds they took."""
        began = time.perf_counter()
        for _ in range(steps):
            self.step += 1
            x, y = self.batches[self.step % 4]
            self.optimizer.zero_grad()
            if self.sparsifier is not None:
                self.sparsifier.before_step(self.step)
            F.cross_entropy(self.model(x), y).backward()
            if self.sparsifier is not None:
                self.sparsifier.after_backward(self.step)
            self.optimizer.step()
            if self.sparsifier is not None:
                self.sparsifier.after_step(self.step)
        return time.perf_counter() - began


def speedups(
    widths: tuple[int, ...], method: str, sparsity: float, blocks: int, period: int = PERIOD
) -> list[float]:
    """Return dense time / sparse time of whole update periods, measured in parts that take turns.

    A period holds exactly one update of RigL at ΔT = 100. Both sides take the same steps.
    """
    dense, sparse = Trainer(widths, None), Trainer(widths, method, sparsity)
    dense.train(3)
    sparse.train(period)
    return step_ratios(dense, sparse, blocks, period)


def run() -> bool:
    """Print the speed-up of RigL in CSR over dense training, on one thread and on two."""
    met = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        for widths, sparsity, bar in BARS:
            values = speedups(widths, "rigl", sparsity, BLOCKS)
            median = statistics.median(values)
            met.append(median >= bar)
            name = f"csr {'-'.join(map(str, widths))} at {sparsity:.0%}, {threads} thread(s)"
            print(
                f"{name:<58} {median:6.2f} × faster ({min(values):.2f} … {max(values):.2f})  "
                f"bar ≥ {bar:g}  {'ok' if met[-1] else 'MISSED'}",
                flush=True,
            )
    return all([*met, sampled(), memory()])


def sampled() -> bool:
    """Print a step of growth among candidates over one of RigL, both in CSR, on one thread."""
    torch.set_num_threads(1)
    peer, subject = (Trainer(WIDE, method, 0.98) for method in ("rigl", SAMPLED))
    for trainer in (peer, subject):
        trainer.train(PERIOD)
    values = step_ratios(subject, peer, 2 * BLOCKS)
    return report(f"{SAMPLED} / RigL, step under csr at 98 %", values, SAMPLED_BAR)


def step_ratios(subject: Trainer, peer: Trainer, blocks: int, period: int = PERIOD) -> list[float]:
    """Return time(subject) / time(peer) of whole update periods, in parts that take turns."""
    found = []
    for number in range(blocks):
        spent = {peer: 0.0, subject: 0.0}
        for _ in range(10):
            for trainer in (peer, subject) if number % 2 else (subject, peer):
                spent[trainer] += trainer.train(period // 10)
        found.append(spent[subject] / spent[peer])
    return found


def memory() -> bool:
    """Print the memory of parameters, gradients, optimizer state and indices, relative to dense."""
    met = []
    # RigL's dense gradients are made one layer at a time, in an update, and are not in this.
    dense, sparse = Trainer(WIDE, None), Trainer(WIDE, "rigl", 0.98)
    for trainer in (dense, sparse):
        trainer.train(2)
    share = held_bytes(sparse) / held_bytes(dense)
    met.append(share <= 0.08)
    print(
        f"{'csr at 98 %: memory held between steps / dense':<58} {share:6.1%}  bar ≤ 8 %  "
        f"{'ok' if met[-1] else 'MISSED'}"
    )
    return all(met)


def held_bytes(trainer: Trainer) -> int:
    """Return bytes of parameters, gradients, optimizer state, indices and what masks take."""
    total = 0
    for parameter in trainer.model.parameters():
        total += parameter.nbytes
        total += 0 if parameter.grad is None else parameter.grad.nbytes
        state = trainer.optimizer.state.get(parameter, {})
        total += sum(v.nbytes for v in state.values() if isinstance(v, torch.Tensor))
    if trainer.sparsifier is not None:
        for layer in trainer.sparsifier.layers:
            store = layer.store  # type: ignore[attr-defined]
            if isinstance(store, CsrWeight):
                total += store.module.topology.bytes
            else:
                total += store.mask.nbytes + store.multiplier.nbytes
    return total


def table() -> bool:
    """Print how much faster one layer is in CSR, by size and density: where it breaks even."""
    torch.set_num_threads(1)
    for fan_out, fan_in in ((10, 100), (100, 100), (100, 300), (300, 784), (1000, 1000)):
        found = []
        for density in (0.4, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01):
            peer, subject = (layer_step(fan_out, fan_in, d) for d in (1.0, density))
            found.append(f"{density:g}: {1 / statistics.median(ratios(subject, peer, 7)):.2f}")
        print(f"{fan_out} × {fan_in}: {', '.join(found)}", flush=True)
    return True


def layer_step(fan_out: int, fan_in: int, density: float) -> Callable[[], None]:
    """Return training steps of one hidden layer, dense where `density` is 1."""
    torch.manual_seed(0)
    layer = nn.Linear(fan_in, fan_out)
    optimizer = torch.optim.SGD(layer.parameters(), 0.01, momentum=0.9)
    if density < 1:
        mask = torch.rand(fan_out, fan_in) < density
        weight = CsrWeight(Prunable("layer", "layer.weight", layer.weight, layer), mask, optimizer)
        weight.prepare_backward(False)
    x = torch.randn(BATCH, fan_in, requires_grad=True)

    def steps() -> None:
        for _ in range(max(2, 200_000 // (fan_out * fan_in))):
            optimizer.zero_grad()
            layer(x).square().mean().backward()
            optimizer.step()

    return steps
