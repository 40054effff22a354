"""What each method adds to a training step of ResNet-50 on a GPU, in time and in memory.

A step is timed over a whole update period, which holds one update, in turns with dense training
(`suite.bench.trainer`). Methods without updates at an interval are left out: their steps are those
of dense training or of a fixed mask (static). So are controls, which cost what their method does.
"""

import gc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from suite.bench.overhead import RESONANCE, SPARSITY
from suite.bench.trainer import Trainer, times_over_a_period
from suite.core.errors import InvalidInput
from suite.experiments import registry
from suite.sparsity.construct import make_sparsifier
from suite.sparsity.dense_weights import DenseWeights
from suite.sparsity.plan import Plan
from suite.sparsity.sparsifier import Sparsifier
from tasks.model_factory import make_model, to_device
from tasks.models.resnet import resnet
from tests.gpu.report import Check, Lines, attempt

TASK = "imagenet/resnet_50"
FIXED_MASK = "static"
SPARSITIES = (SPARSITY, 0.75, 0.5)
"""Tried in this order until a method accepts one: N:M patterns need their own."""
HEAD = f"{'':<34}{'ms':>10}{'over dense':>13}{'peak memory':>14}{'state':>10}"


@dataclass(frozen=True)
class Size:
    """What is trained, and for how long.

    Attributes:
        period: steps from one update to the next, ΔT.
        parts: turns that dense training and a method take in a period.
        batch: examples in a batch, halved until dense training fits into memory.
        windows: of `resonance`, each in a row of its own.
        window: of other methods that have one.
    """

    period: int
    parts: int
    batch: int
    windows: Sequence[int]
    window: int


FULL = Size(period=100, parts=4, batch=64, windows=(16, 32, 64, 128), window=32)
QUICK = Size(period=10, parts=2, batch=2, windows=(8,), window=8)
PERIODS = 40
"""Of the training that a method is planned for; no more than the first few are trained."""


@dataclass(frozen=True)
class Case:
    """A method under options; `name` is that of its row."""

    name: str
    method: str
    options: Mapping[str, Any]


class Bench:
    """Dense training on a device, and what is measured beside it.

    Attributes:
        batch: examples in a batch: `size.batch`, or as many as fit into memory.
        memory: bytes that dense training needs at its peak; 0 on a CPU.
    """

    def __init__(self, device: torch.device, quick: bool) -> None:
        self.device, self.quick = device, quick
        self.size = QUICK if quick else FULL
        self.batch = self.size.batch
        self.dense, self.memory = self._fitting()

    def _fitting(self) -> tuple[Trainer, int]:
        while True:
            try:
                return self._dense()
            except torch.OutOfMemoryError:
                if self.batch == 1:
                    raise
                self.batch //= 2
                self._collect()

    def _dense(self) -> tuple[Trainer, int]:
        before = self._reset()
        dense = self._trainer(None)
        dense.train(5)
        return dense, self._peak() - before

    def _trainer(self, sparsifier: Sparsifier | None) -> Trainer:
        model, shape, classes = self._model()
        return Trainer(
            model,
            shape,
            sparsifier,
            batch=self.batch,
            classes=classes,
            device=self.device,
            bfloat16=True,
        )

    def _model(self) -> tuple[nn.Module, Sequence[int], int]:
        torch.manual_seed(0)
        if self.quick:
            return resnet((3, 8, 8), 10, depth=8, width=0.25), (3, 8, 8), 10
        task = registry.tasks()[TASK]
        dataset = registry.datasets()[task.dataset]
        model = to_device(make_model(task, dataset), self.device, task.resolve_recipe({}))
        return model, dataset.shape, dataset.classes

    def row(self, case: Case) -> Check:
        """Return the row of one method, as a check that it has an update in the period."""
        period = self.size.period
        sparsifier = planned(case, PERIODS * period)
        before = self._reset()
        trainer = self._trainer(sparsifier)
        warm = -(-(sparsifier.next_update(0) or 1) // period) * period
        trainer.train(warm)
        updates = sum(map(sparsifier.is_update, range(warm + 1, warm + period + 1)))
        spent, dense = times_over_a_period(
            trainer, self.dense, 0, period=period, parts=self.size.parts
        )
        memory = "–"
        if self.device.type == "cuda":
            memory = f"{(self._peak() - before) / self.memory:.2f} ×"
        weights = sum(layer.size for layer in sparsifier.layers)
        found = (
            f"{1000 * spent / period:>6.2f}{spent / dense:>11.3f} ×{memory:>14}"
            f"{bytes_of(sparsifier.state_dict()) / weights:>8.2f} B"
        )
        needs = case.method != FIXED_MASK and not isinstance(sparsifier, DenseWeights)
        if needs and updates == 0:
            return Check(case.name, False, f"no update in steps {warm + 1} to {warm + period}")
        return Check(case.name, True, found)

    def _reset(self) -> int:
        """Return the bytes that are allocated, from which on the peak is counted."""
        self._collect()
        if self.device.type != "cuda":
            return 0
        torch.cuda.reset_peak_memory_stats(self.device)
        return torch.cuda.memory_allocated(self.device)

    def _peak(self) -> int:
        return torch.cuda.max_memory_allocated(self.device) if self.device.type == "cuda" else 0

    def _collect(self) -> None:
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


def measure(device: torch.device, quick: bool) -> Lines:
    """Yield the table, a row for each method."""
    bench = Bench(device, quick)
    network = "a small ResNet" if quick else "ResNet-50"
    yield (
        f"{network}, batch {bench.batch}, bfloat16, {SPARSITY:.0%} sparse if the method allows it, "
        f"ΔT = {bench.size.period}; ms per step, state in bytes per weight"
    )
    if device.type == "cuda":
        yield f"dense: {bench.memory / 2**30:.2f} GiB at its peak"
    yield HEAD
    for case in cases(bench.size):
        yield attempt(case.name, lambda case=case: bench.row(case))


def cases(size: Size) -> list[Case]:
    """Return the methods to measure: all with updates at an interval but controls, and static."""
    found = []
    for method in registry.methods():
        options: dict[str, Any] = {}
        if any(one.name == "update_every" for one in method.hyperparameters):
            options["update_every"] = size.period
        elif method.name != FIXED_MASK and not _has_dense_weights(method.name):
            continue
        if method.control_of:
            continue
        if not any(one.name == "window" for one in method.hyperparameters):
            found.append(Case(method.name, method.name, options))
            continue
        own = {name: RESONANCE[name] for name in ("ramp", "accuracy_depth")}
        windows = size.windows if method.name == "resonance" else (size.window,)
        found += [
            Case(f"{method.name}, N = {window}", method.name, options | own | {"window": window})
            for window in windows
        ]
    return found


def _has_dense_weights(method: str) -> bool:
    return isinstance(planned(Case(method, method, {}), 100), DenseWeights)


def planned(case: Case, steps: int) -> Sparsifier:
    """Return a method that is not attached, for a training of so many steps.

    Raises:
        InvalidInput: it accepts no sparsity.
    """
    declared = registry.methods()[case.method]
    for sparsity in SPARSITIES:
        plan = Plan(steps=steps, sparsity=sparsity, seed=0, steps_per_epoch=steps // 10)
        try:
            return make_sparsifier(declared, plan, declared.resolve(case.options))
        except InvalidInput as error:
            refused = error
    raise refused


def bytes_of(state: object) -> int:
    """Return the bytes of all tensors in a method's state."""
    if isinstance(state, Tensor):
        return state.nbytes
    if isinstance(state, Mapping):
        return sum(map(bytes_of, state.values()))
    return sum(map(bytes_of, state)) if isinstance(state, list | tuple) else 0
