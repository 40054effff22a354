"""The training loop: one round, from a step to the end. It knows no method by name."""

import functools
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from suite.core.errors import TrialFailed
from suite.evaluation.scores import evaluate
from suite.sparsity.flops import FlopsLedger, ForwardFlops
from suite.sparsity.nonfinite import ADVICE
from suite.sparsity.sparsifier import Sparsifier
from suite.training.curves import Curves
from suite.training.optimization import LearningRate
from suite.training.parallel import Processes
from suite.training.seeding import seed_step
from tasks.batches import Batch, Epoch
from tasks.data import Data
from tasks.loss import cross_entropy

CHECK_EVERY_ON_GPU = 50
"""Steps between two looks at the loss where a look waits for the device."""


@dataclass
class Training:
    """What one round of training works on.

    Attributes:
        model, optimizer, sparsifier: as they are now; the loop changes them in place.
        data: the splits, on the model's device.
        recipe: the task's recipe, resolved.
        rate: learning rate by step.
        steps_per_epoch: whole batches in the training split.
        seed: the trial's seed, for the order of the data.
        ledger: charged for every step.
        curves: receives losses, validation scores and what the sparsifier reports.
        progress: called with the number of steps done since the last call.
        epoch_seconds: time per step of each whole epoch, validation left out.
        redraw: returns newly drawn initial weights, for a round that does not rewind.
        reference: the task's own model in dense operations, where `model` is another one.
        losses: of the epoch in progress; not empty where a checkpoint was taken within it.
        precision: of forward and backward passes; weights are kept in float32.
        network: what a batch is sent through: `model`, or what averages its gradients.
        processes: those that train this model together; None for this one alone.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    sparsifier: Sparsifier
    data: Data
    recipe: Mapping[str, Any]
    rate: LearningRate
    steps_per_epoch: int
    seed: int
    ledger: FlopsLedger
    curves: Curves
    progress: Callable[[int], None]
    epoch_seconds: list[float] = field(default_factory=list)
    redraw: Callable[[], Mapping[str, Tensor]] | None = None
    reference: ForwardFlops | None = None
    losses: Tensor = field(default_factory=lambda: torch.zeros(0))
    precision: str = "float32"
    network: nn.Module | None = None
    processes: Processes | None = None

    @property
    def steps(self) -> int:
        """Optimizer steps of a round that starts at 0."""
        return self.rate.steps

    @property
    def device(self) -> torch.device:
        """Where training happens."""
        return self.data.train.device


def train(training: Training, start: int, on_step: Callable[[int], None] | None = None) -> None:
    """Train from after step `start` (0 for all of it) to the end.

    Data order and learning rate are functions of seed and step, so a round that starts at k sees
    from k on exactly what a whole run sees. `on_step` is called with each step's number after it,
    and after the validation where the step ends an epoch.

    Raises:
        TrialFailed: the loss is not finite; the message names step and layer.
    """
    t = training
    t.model.train()
    step = start
    source = t.data.train.batch_source(t.recipe, t.seed)
    while step < t.steps:
        epoch, begin = divmod(step, t.steps_per_epoch)
        batches = source.epoch(epoch)
        first = begin - len(t.losses)
        losses = torch.zeros(t.steps_per_epoch, device=t.device)
        losses[first:begin] = t.losses.to(t.device)
        began = time.perf_counter()
        for index, batch in enumerate(batches.batches(begin, t.steps_per_epoch), begin):
            step += 1
            losses[index] = _step(t, step, batch)
            if t.device.type != "cpu" and step % CHECK_EVERY_ON_GPU == 0:
                _check_finite(t, losses, batches, first, index, step)
            if on_step is not None and index + 1 < t.steps_per_epoch:
                t.losses = losses[first : index + 1]
                on_step(step)
        _check_finite(t, losses, batches, first, index, step)
        _end_of_epoch(t, step, losses[first:], began, t.steps_per_epoch - begin)
        t.losses = losses[:0]
        if on_step is not None:
            on_step(step)


def _step(t: Training, step: int, batch: Batch) -> Tensor:
    """Take one optimizer step; return the loss, still on the device."""
    for group in t.optimizer.param_groups:
        group["lr"] = t.rate(step)
    seed_step(t.processes.seed(t.seed) if t.processes else t.seed, step, t.device)
    t.optimizer.zero_grad(set_to_none=True)
    t.sparsifier.before_step(step)
    x, y = t.processes.shard(batch) if t.processes else batch
    with torch.autocast(t.device.type, torch.bfloat16, enabled=t.precision == "bfloat16"):
        loss = training_loss(t.recipe)((t.network or t.model)(x), y)
    seen = t.processes.mean(loss) if t.processes else loss
    if t.device.type == "cpu" and not math.isfinite(value := seen.item()):
        raise _diverged(t, step, value, x)
    loss.backward()
    t.ledger.charge_step(
        t.sparsifier.layers, dense_gradient=t.sparsifier.wants_dense_gradient(step)
    )
    left_out = t.sparsifier.after_backward(step)
    if t.recipe["clip_norm"] > 0:
        nn.utils.clip_grad_norm_(t.model.parameters(), t.recipe["clip_norm"])
    if not left_out:
        t.optimizer.step()
    t.sparsifier.after_step(step)
    return seen.detach()


def training_loss(recipe: Mapping[str, Any]) -> Callable[[Tensor, Tensor], Tensor]:
    """Return what training minimises: (logits, labels) → scalar."""
    return functools.partial(cross_entropy, label_smoothing=recipe["label_smoothing"])


def _check_finite(
    t: Training, losses: Tensor, batches: Epoch, begin: int, index: int, step: int
) -> None:
    bad = (~losses[begin : index + 1].isfinite()).nonzero()
    if len(bad):
        first = begin + int(bad[0])
        x = batches.batch(first)[0]
        raise _diverged(t, step - (index - first), float(losses[first]), x)


def _diverged(t: Training, step: int, loss: float, x: Tensor) -> TrialFailed:
    return TrialFailed(
        f"loss is {loss} at step {step}, first in layer '{first_non_finite(t.model, x)}': {ADVICE}"
    )


def first_non_finite(model: nn.Module, x: Tensor) -> str:
    """Return the first layer, in order of execution, whose output for `x` is not finite."""
    found: list[str] = []

    def look(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor) and not bool(output.isfinite().all()):
                found.append(name)

        return hook

    leaves = [(n, m) for n, m in model.named_modules() if next(m.children(), None) is None]
    handles = [module.register_forward_hook(look(name)) for name, module in leaves]
    try:
        with torch.no_grad():
            model(x.clone())
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else "loss"


def _end_of_epoch(t: Training, step: int, losses: Tensor, began: float, taken: int) -> None:
    mean_loss = float(losses.mean())  # waits for the device: the epoch is over
    t.epoch_seconds.append((time.perf_counter() - began) / taken)
    t.curves.add(step, "train_loss", mean_loss)
    if t.processes:
        t.processes.broadcast_buffers(t.model)
    if len(t.data.validation):
        scores = evaluate(t.model, t.data.validation)
        t.curves.add(step, "validation_accuracy", scores.accuracy)
        t.curves.add(step, "validation_nll", scores.nll)
        t.sparsifier.after_validation(step, 100 * scores.accuracy)
    weights = t.sparsifier.layers
    zeros = sum(weight.size - weight.active for weight in weights)
    t.curves.add(step, "sparsity", zeros / sum(weight.size for weight in weights))
    t.progress(taken)
