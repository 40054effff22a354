"""What a method adds to a training step, as a mean over whole update periods; and its memory.

The masks are in place from the first decision on, and every period holds its one decision, so a
figure includes what decisions cost. The method is called as the suite's own training loop calls it.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn

from suite.bench.measurement import Bar, Measurement
from suite.bench.threads import on_threads
from suite.bench.trainer import Trainer, made, over_a_period
from suite.bench.turns import CPU
from suite.core.errors import InvalidInput
from suite.sparsity.sparsifier import Sparsifier
from suite.training.environment import Stopwatch
from tasks.models.mlp import mlp
from tasks.models.resnet import resnet

PERIOD, PARTS, BATCH, BLOCKS = 100, 4, 128, 15
SPARSITY = 0.9
LENET, RESNET = (1, 28, 28), (3, 32, 32)
NOTE = "1 thread, batch 128"
RESONANCE = {"update_every": PERIOD, "ramp": 0.0, "accuracy_depth": 0.0}


class Case(NamedTuple):
    """A method under options, and the largest ratio of its step to a dense one, if there is one."""

    what: str
    method: str
    options: Mapping[str, Any]
    bar: float | None = None


CASES = (
    Case("RigL, ΔT = 100", "rigl", {"update_every": PERIOD}, 1.03),
    Case("coherent, every gradient", "resonance_coherent", {}, 1.07),
    Case("coherent, one gradient in 5", "resonance_coherent", {"record_every": 5}, 1.03),
    Case("resonance, N = 16", "resonance", RESONANCE | {"window": 16}),
    Case("resonance, N = 32", "resonance", RESONANCE | {"window": 32}, 1.10),
    Case("resonance, N = 64", "resonance", RESONANCE | {"window": 64}),
    Case("resonance, N = 128", "resonance", RESONANCE | {"window": 128}),
)


def trainer(
    model: nn.Module, shape: Sequence[int], case: Case | None = None, batch: int = BATCH
) -> Trainer:
    """Return a model in training, with a method or without one."""
    sparsifier = None if case is None else made(case.method, case.options, SPARSITY, steps=10**7)
    return Trainer(model, shape, sparsifier, batch=batch)


def lenet(cases: Sequence[Case] = CASES, blocks: int = BLOCKS) -> Iterator[Measurement]:
    """Yield the step with a method over the dense step, on LeNet-300-100, in turns."""
    with on_threads(1):
        for case in cases:
            dense = trainer(mlp(LENET, 10, hidden=(300, 100)), LENET)
            sparse = trainer(mlp(LENET, 10, hidden=(300, 100)), LENET, case)
            dense.train(20)
            sparse.train(2 * PERIOD)  # the first decision has been taken
            values = [
                over_a_period(sparse, dense, number, period=PERIOD, parts=PARTS)
                for number in range(blocks)
            ]
            yield _ratio(f"{case.what} / dense step, LeNet-300-100", values, case.bar)


def _ratio(what: str, values: Sequence[float], bar: float | None) -> Measurement:
    return Measurement.of(what, values, "×", None if bar is None else Bar(bar), NOTE)


def resnet_20(cases: Sequence[Case] = CASES, batch: int = BATCH) -> Iterator[Measurement]:
    """Yield the step with a method over the dense step, on ResNet-20.

    A period of real training takes minutes here, so the method's own calls are timed where they
    happen in a run of a few steps of each kind (plain, recording, deciding), and the mean over a
    period is put together from them.
    """
    with on_threads(1):
        for case in cases:
            training = trainer(resnet(RESNET, 10), RESNET, case, batch)
            yield _ratio(f"{case.what} / dense step, ResNet-20", [_composed(training)], case.bar)


def _composed(trained: Trainer) -> float:
    """Return the ratio of a step over a period, from a few steps of each kind."""
    sparsifier = trained.sparsifier
    assert sparsifier is not None
    # Records of the first window, without their training: its gradients stay as they are.
    trained.train(1)
    for step in range(2, 2 * PERIOD + 1):
        sparsifier.after_backward(step)
    kinds: dict[str, list[float]] = {"plain": [], "recording": [], "deciding": []}
    training: list[float] = []
    period = range(2 * PERIOD + 1, 3 * PERIOD + 1)
    chosen = [step for step in period if not sparsifier.wants_dense_gradient(step)][:4]
    chosen += [step for step in period if sparsifier.wants_dense_gradient(step)][:5]
    chosen.append(period[-1])  # the decision
    for step in period:
        if step in chosen:
            began = time.perf_counter()
            trained.backward()
            training.append(time.perf_counter() - began)
        began = time.perf_counter()
        sparsifier.after_backward(step)
        spent = time.perf_counter() - began
        if step in chosen:
            began = time.perf_counter()
            trained.optimizer.step()
            training[-1] += time.perf_counter() - began
            kinds[_kind(sparsifier, step)].append(spent)
    total = sum(statistics.median(kinds[_kind(sparsifier, step)]) for step in period)
    return 1 + total / PERIOD / statistics.median(training)


def _kind(sparsifier: Sparsifier, step: int) -> str:
    if sparsifier.is_update(step):
        return "deciding"
    return "recording" if sparsifier.wants_dense_gradient(step) else "plain"


MEMORY = "from suite.bench.overhead import extra_memory; print(extra_memory({}, {}, {}))"


def memory(
    windows: Sequence[int] = (16, 32), width: int = 1024, depth: int = 16
) -> Iterator[Measurement]:
    """Yield the peak memory that resonance adds, in bytes per weight, over a first decision.

    Each in a process of its own: memory that another one has left would not be counted.

    Raises:
        InvalidInput: the system does not report the peak of a process.
    """
    _peak(Stopwatch(CPU))
    for window in windows:
        words = [sys.executable, "-c", MEMORY.format(window, width, depth)]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        what = f"resonance, N = {window}: extra memory at its peak"
        bar = Bar(2 * window + 16)
        yield Measurement(what, float(done.stdout), "bytes per weight", bar=bar, note="1 thread")


def extra_memory(window: int, width: int = 1024, depth: int = 16) -> float:
    """Return peak bytes per weight above a dense step, on `depth` layers of `width`² weights."""
    torch.set_num_threads(1)
    model = nn.Sequential(*(nn.Linear(width, width, bias=False) for _ in range(depth)))
    weights = sum(p.numel() for p in model.parameters())
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)

    def step() -> None:
        optimizer.zero_grad()
        model(torch.randn(8, width)).square().mean().backward()

    for _ in range(3):
        step()
        optimizer.step()
    dense = Stopwatch(CPU)
    step()
    optimizer.step()
    before = _peak(dense)
    options = {"window": window, "update_every": 2 * window, "ramp": 0.0}
    sparsifier = made("resonance", options, SPARSITY, steps=10**5)
    whole = Stopwatch(CPU)
    sparsifier.attach(model, optimizer)
    for number in range(1, 4 * window + 1):
        step()
        sparsifier.after_backward(number)
        optimizer.step()
        sparsifier.after_step(number)
    return (_peak(whole) - before) / weights


def _peak(watch: Stopwatch) -> float:
    """Return the peak of this process in bytes, since the watch was started."""
    peak = watch.timing([0.0])["peak_memory_bytes"]
    if not isinstance(peak, float):
        raise InvalidInput(
            "memory: this system does not report the peak of a process; leave this benchmark out, "
            "or run it on Linux"
        )
    return peak
