"""What `sparsify` adds to a step of a bare training loop, all checks included.

The same loop runs with and without it, in turns of a few steps, so that a slow moment of the
machine hits both. rigl-torch, another implementation, is measured the same way if it is installed.
"""

import importlib
import importlib.util
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from suite import sparsify
from suite.bench.measurement import Bar, Measurement
from suite.bench.threads import on_threads
from tasks.models.mlp import mlp

PERIOD, TURN, BATCH, BLOCKS = 100, 25, 128, 15
BAR = 1.03
Prepare = Callable[[nn.Module, torch.optim.Optimizer], Callable[[], object]]
"""Gets model and optimizer, and returns how to step."""


class Loop:
    """A bare loop on LeNet-300-100."""

    def __init__(self, prepare: Prepare) -> None:
        torch.manual_seed(0)
        self.model: nn.Module = mlp((1, 28, 28), 10, hidden=(300, 100))
        self.optimizer = torch.optim.SGD(self.model.parameters(), 0.01, momentum=0.9)
        self.batches = [
            (torch.randn(BATCH, 1, 28, 28), torch.randint(10, (BATCH,))) for _ in range(4)
        ]
        self.step = prepare(self.model, self.optimizer)

    def train(self, steps: int) -> float:
        """Take `steps` steps; return the seconds they took."""
        began = time.perf_counter()
        for number in range(steps):
            x, y = self.batches[number % 4]
            self.optimizer.zero_grad()
            F.cross_entropy(self.model(x), y).backward()
            self.step()
        return time.perf_counter() - began


def dense(model: nn.Module, optimizer: torch.optim.Optimizer) -> Callable[[], object]:
    """Leave the model dense."""
    return optimizer.step


def sparsified(method: str, steps: int, **options: Any) -> Prepare:
    """Return what sparsifies a model by a method."""

    def prepare(model: nn.Module, optimizer: torch.optim.Optimizer) -> Callable[[], object]:
        sparsify(model, optimizer, method, sparsity=0.9, steps=steps, **options)
        return optimizer.step

    return prepare


def by_rigl_torch(steps: int) -> Prepare:
    """Return what sparsifies a model by RigL as rigl-torch has it."""

    def prepare(model: nn.Module, optimizer: torch.optim.Optimizer) -> Callable[[], object]:
        # It leaves the first layer it finds dense: here one of a single weight, not used.
        scheduler = importlib.import_module("rigl_torch.RigL").RigLScheduler(
            nn.ModuleList([nn.Linear(1, 1), model]),
            optimizer,
            dense_allocation=0.1,
            T_end=steps,
            ignore_linear_layers=False,
            delta=PERIOD,
            alpha=0.3,
        )
        return lambda: optimizer.step() if scheduler() else None

    return prepare


def run(blocks: int = BLOCKS, period: int = PERIOD, turn: int = TURN) -> Iterator[Measurement]:
    """Yield the step time over that of the same loop, dense, on LeNet-300-100."""
    steps = period * (blocks + 2)
    note = f"1 thread, batch {BATCH}"
    subjects = [
        ("sparsify, RigL, ΔT = 100", sparsified("rigl", steps, update_every=period), BAR, note),
        ("sparsify, static", sparsified("static", steps), None, note),
    ]
    if importlib.util.find_spec("rigl_torch"):
        peer = f"{note}, rigl-torch {version('rigl-torch')}"
        subjects.append(("rigl-torch, ΔT = 100", by_rigl_torch(steps), None, peer))
    with on_threads(1):
        for name, prepare, bar, conditions in subjects:
            values = in_turns(Loop(prepare), Loop(dense), blocks, period, turn)
            limit = None if bar is None else Bar(bar)
            yield Measurement.of(f"{name} / bare loop, dense", values, "×", limit, conditions)


def in_turns(subject: Loop, peer: Loop, blocks: int, period: int, turn: int) -> list[float]:
    """Return the ratio of both loops over each of `blocks` periods, after one that is not counted.

    They take turns of `turn` steps, which of them goes first alternating.
    """
    subject.train(period)
    peer.train(period)
    values = []
    for _ in range(blocks):
        spent = {subject: 0.0, peer: 0.0}
        for number in range(period // turn):
            for loop in (subject, peer) if number % 2 else (peer, subject):
                spent[loop] += loop.train(turn)
        values.append(spent[subject] / spent[peer])
    return values
