"""What a method adds to a training step, as a mean over whole update periods; and its memory.

The masks are in place from the first decision on, and every period holds its one decision, so a
figure includes what decisions cost.
"""

import statistics
import subprocess
import sys
import time
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from suite.experiments import registry
from suite.sparsity.construct import make_sparsifier
from suite.sparsity.plan import Plan
from suite.sparsity.sparsifier import Sparsifier
from tasks.models.mlp import mlp
from tasks.models.resnet import resnet
from tests.bench.measure import report

PERIOD, BATCH, BLOCKS = 100, 128, 7
RESONANCE = {"update_every": PERIOD, "ramp": 0.0, "accuracy_depth": 0.0}
CONFIGURATIONS: list[tuple[str, str, dict[str, Any], float | None]] = [
    ("RigL, ΔT = 100", "rigl", {"update_every": PERIOD}, 1.03),
    ("coherent, every gradient", "resonance_coherent", {}, 1.07),
    ("coherent, one gradient in 5", "resonance_coherent", {"record_every": 5}, 1.04),
    ("resonance, N = 16", "resonance", RESONANCE | {"window": 16}, None),
    ("resonance, N = 32", "resonance", RESONANCE | {"window": 32}, 1.12),
    ("resonance, N = 64", "resonance", RESONANCE | {"window": 64}, None),
    ("resonance, N = 128", "resonance", RESONANCE | {"window": 128}, None),
]


class Trainer:
    """A model in training on fixed batches, with or without a method."""

    def __init__(self, model: nn.Module, shape: tuple[int, ...], method: str | None, options: Any):
        self.model = model
        self.optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
        self.batches = [(torch.randn(BATCH, *shape), torch.randint(10, (BATCH,))) for _ in range(4)]
        self.sparsifier: Sparsifier | None = None
        self.step = 0
        if method is not None:
            declared = registry.methods()[method]
            plan = Plan(steps=10**7, sparsity=0.9, seed=0, steps_per_epoch=500)
            made = make_sparsifier(declared, plan, declared.resolve(options))
            made.attach(model, self.optimizer)
            self.sparsifier = made

    def train(self, steps: int) -> float:
        """Take `steps` steps; return the seconds they took."""
        began = time.perf_counter()
        for _ in range(steps):
            self.step += 1
            x, y = self.batches[self.step % 4]
            self.optimizer.zero_grad()
            F.cross_entropy(self.model(x), y).backward()
            if self.sparsifier is not None:
                self.sparsifier.after_backward(self.step)
            self.optimizer.step()
            if self.sparsifier is not None:
                self.sparsifier.after_step(self.step)
        return time.perf_counter() - began


def lenet() -> bool:
    """Print step time against dense on LeNet-300-100, measured in neighbouring blocks."""
    torch.set_num_threads(1)
    shape = (1, 28, 28)
    build = lambda: mlp(shape, 10, hidden=(300, 100))  # noqa: E731
    met = []
    for name, method, options, bar in CONFIGURATIONS:
        dense = Trainer(build(), shape, None, {})
        sparse = Trainer(build(), shape, method, options)
        dense.train(20)
        sparse.train(2 * PERIOD)  # the first decision has been taken
        values = []
        for number in range(BLOCKS):
            order = (dense, sparse) if number % 2 else (sparse, dense)
            # Quarters of a period take turns, so that a slow moment of the machine hits both.
            spent = {dense: 0.0, sparse: 0.0}
            for _ in range(4):
                for trainer in order:
                    spent[trainer] += trainer.train(PERIOD // 4)
            values.append(spent[sparse] / spent[dense])
        met.append(report(f"LeNet-300-100: {name}", values, bar))
    return all(met)


def resnet_20() -> bool:
    """Print step time against dense on ResNet-20.

    A period of real training takes minutes here, so the method's own calls are timed where they
    happen in a run of a few steps of each kind (plain, recording, deciding), and the mean over a
    period is put together from them.
    """
    torch.set_num_threads(1)
    shape = (3, 32, 32)
    met = []
    for name, method, options, bar in CONFIGURATIONS:
        trainer = Trainer(resnet(shape, 10), shape, method, options)
        sparsifier = trainer.sparsifier
        assert sparsifier is not None
        # Records of the first window, without their training: its gradients stay as they are.
        trainer.train(1)
        for step in range(2, 2 * PERIOD + 1):
            sparsifier.after_backward(step)
        kinds: dict[str, list[float]] = {"plain": [], "recording": [], "deciding": []}
        training: list[float] = []
        period = range(2 * PERIOD + 1, 3 * PERIOD + 1)
        chosen = [s for s in period if not sparsifier.wants_dense_gradient(s)][:4]
        chosen += [s for s in period if sparsifier.wants_dense_gradient(s)][:5]
        chosen.append(period[-1])  # the decision
        for step in period:
            real = step in chosen
            if real:
                x, y = trainer.batches[step % 4]
                began = time.perf_counter()
                trainer.optimizer.zero_grad()
                F.cross_entropy(trainer.model(x), y).backward()
                training.append(time.perf_counter() - began)
            began = time.perf_counter()
            sparsifier.after_backward(step)
            spent = time.perf_counter() - began
            if real:
                began = time.perf_counter()
                trainer.optimizer.step()
                training[-1] += time.perf_counter() - began
                kinds[_kind(sparsifier, step)].append(spent)
        total = sum(statistics.median(kinds[_kind(sparsifier, s)]) for s in period)
        value = 1 + total / PERIOD / statistics.median(training)
        met.append(report(f"ResNet-20: {name}", [value], bar))
    return all(met)


def _kind(sparsifier: Sparsifier, step: int) -> str:
    if sparsifier.is_update(step):
        return "deciding"
    return "recording" if sparsifier.wants_dense_gradient(step) else "plain"


def memory() -> bool:
    """Print the peak memory that resonance adds, in bytes per weight, over a first decision."""
    met = []
    for window in (16, 32):
        code = f"from tests.bench.overhead import extra_memory; print(extra_memory({window}))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        value = float(done.stdout)
        bar = 2 * window + 16
        met.append(value <= bar)
        print(
            f"{f'resonance, N = {window}: extra memory at its peak':<58} {value:6.1f} bytes per "
            f"weight  bar ≤ {bar}  {'ok' if met[-1] else 'MISSED'}"
        )
    return all(met)


def extra_memory(window: int) -> float:
    """Return peak bytes per weight above a dense step, on 16 layers of a million weights."""
    from suite.training.environment import PeakMemory

    torch.set_num_threads(1)
    model = nn.Sequential(*(nn.Linear(1024, 1024, bias=False) for _ in range(16)))
    weights = sum(p.numel() for p in model.parameters())
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)

    def step() -> None:
        optimizer.zero_grad()
        model(torch.randn(8, 1024)).square().mean().backward()

    for _ in range(3):
        step()
        optimizer.step()
    cpu = torch.device("cpu")
    dense = PeakMemory(cpu)
    step()
    optimizer.step()
    before = dense.read()
    declared = registry.methods()["resonance"]
    options = declared.resolve({"window": window, "update_every": 2 * window, "ramp": 0.0})
    plan = Plan(steps=10**5, sparsity=0.9, seed=0, steps_per_epoch=500)
    sparsifier = make_sparsifier(declared, plan, options)
    peak = PeakMemory(cpu)
    sparsifier.attach(model, optimizer)
    for number in range(1, 4 * window + 1):
        step()
        sparsifier.after_backward(number)
        optimizer.step()
        sparsifier.after_step(number)
    after = peak.read()
    assert before is not None
    assert after is not None
    return (after - before) / weights
