"""What `sparsify` adds to a step of a bare training loop, all checks included.

The same loop runs with and without it, in turns of a few steps, so that a slow moment of the
machine hits both. rigl-torch, another implementation, is measured the same way if it is installed.
"""

import importlib.util
import time
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

from suite import sparsify
from tasks.models.mlp import mlp
from tests.bench.measure import report

PERIOD, TURN, BATCH, BLOCKS = 100, 25, 128, 15
STEPS = PERIOD * (BLOCKS + 2)


class Loop:
    """A bare loop on LeNet-300-100; `prepare` gets model and optimizer, and returns how to step."""

    def __init__(self, prepare: Callable[[nn.Module, torch.optim.Optimizer], Callable[[], object]]):
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


def _dense(model: nn.Module, optimizer: torch.optim.Optimizer) -> Callable[[], object]:
    return optimizer.step


def _sparsified(method: str, **options: int) -> Callable[..., Callable[[], object]]:
    def prepare(model: nn.Module, optimizer: torch.optim.Optimizer) -> Callable[[], object]:
        sparsify(model, optimizer, method, sparsity=0.9, steps=STEPS, **options)
        return optimizer.step

    return prepare


def _rigl_torch(model: nn.Module, optimizer: torch.optim.Optimizer) -> Callable[[], object]:
    from rigl_torch.RigL import RigLScheduler

    # It leaves the first layer it finds dense: here one of a single weight, which is not used.
    found = nn.ModuleList([nn.Linear(1, 1), model])
    scheduler = RigLScheduler(
        found,
        optimizer,
        dense_allocation=0.1,
        T_end=STEPS,
        ignore_linear_layers=False,
        delta=PERIOD,
        alpha=0.3,
    )

    def step() -> None:
        if scheduler():
            optimizer.step()

    return step


def run() -> bool:
    """Print the step time against the same loop, dense, on LeNet-300-100, one thread."""
    torch.set_num_threads(1)
    subjects = [
        ("sparsify, RigL, ΔT = 100", _sparsified("rigl", update_every=PERIOD), 1.03),
        ("sparsify, static", _sparsified("static"), None),
    ]
    if importlib.util.find_spec("rigl_torch"):
        subjects.append(("rigl-torch, ΔT = 100", _rigl_torch, None))
    met = []
    for name, prepare, bar in subjects:
        subject, dense = Loop(prepare), Loop(_dense)
        subject.train(PERIOD)
        dense.train(PERIOD)
        values = []
        for _ in range(BLOCKS):
            spent = {subject: 0.0, dense: 0.0}
            for turn in range(PERIOD // TURN):
                for loop in (subject, dense) if turn % 2 else (dense, subject):
                    spent[loop] += loop.train(TURN)
            values.append(spent[subject] / spent[dense])
        met.append(report(f"bare loop / dense: {name}", values, bar))
    return all(met)
