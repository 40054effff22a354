"""The training loop, the same for every method: one round, from a step to the end."""

import functools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from suite.core.errors import TrialFailed
from suite.evaluation.scores import evaluate, first_non_finite
from suite.sparsity.flops import FlopsLedger
from suite.sparsity.nonfinite import ADVICE
from suite.sparsity.sparsifier import Sparsifier
from suite.training.budget_plan import BudgetPlan
from suite.training.context import TrialContext
from suite.training.curves import Curves
from suite.training.optimization import LearningRate, learning_rate
from suite.training.parallel import Processes
from suite.training.seeding import seed_step
from tasks.batches import Batch, Epoch
from tasks.data import Data
from tasks.loss import Loss, training_loss

CHECK_EVERY_ON_GPU = 50
"""Steps between two checks of the loss on a GPU, where a check waits for the device."""


@dataclass
class Training:
    """The objects that a trial trains with, and the state of its current epoch.

    Attributes:
        context: the trial's settings, resolved.
        model: as it is now; the loop changes it in place.
        network: `model`, or its wrapper that averages gradients over processes.
        optimizer: of the current round.
        sparsifier: attached to `model`.
        data: the splits, on the model's device.
        rate: learning rate by step.
        ledger: charged for every step.
        curves: receives losses, validation scores and what the sparsifier reports.
        dense_flops: forward FLOPs per example of the task's own network, dense.
        progress: called with the number of steps done since the last call.
        processes: those that train this model together; None if there is only this one.
        budget: decides how many steps there are as training goes on; None if that is known.
        on_gradients: called with each step's number once its gradients are computed, before any of
            them is masked or clipped: an analysis looks on here, and changes nothing.
        epoch_seconds: seconds per step in each epoch, without validation.
        losses: of the current epoch, for checkpoints within it; else empty.
    """

    context: TrialContext
    model: nn.Module
    network: nn.Module
    optimizer: torch.optim.Optimizer
    sparsifier: Sparsifier
    data: Data
    rate: LearningRate
    ledger: FlopsLedger
    curves: Curves
    dense_flops: float
    progress: Callable[[int], None] = lambda steps: None
    processes: Processes | None = None
    budget: BudgetPlan | None = None
    on_gradients: Callable[[int], None] | None = None
    epoch_seconds: list[float] = field(default_factory=list)
    losses: Tensor = field(default_factory=lambda: torch.zeros(0))

    @property
    def steps(self) -> int:
        """Optimizer steps of a round that starts at 0."""
        return self.rate.steps

    @property
    def device(self) -> torch.device:
        """Where training happens."""
        return self.data.train.device

    @functools.cached_property
    def loss(self) -> Loss:
        """The loss that is trained."""
        return training_loss(self.context.dataset, self.context.recipe)

    def begin_round(self, optimizer: torch.optim.Optimizer) -> None:
        """Continue with a new optimizer, on weights that were rewound or reinitialised."""
        self.optimizer = optimizer
        self.sparsifier.restart(optimizer)

    def plan_steps(self, steps: int, step: int) -> None:
        """Go on after `step` towards another number of steps; schedules follow, by their share."""
        if steps == self.steps:
            return
        method = self.sparsifier
        plan = replace(method.plan, steps=steps)
        self.sparsifier = method.continue_as(plan, vars(method.options), step)
        self.rate = learning_rate(self.context.recipe, steps)

    def forecast(self, step: int) -> None:
        """Plan as many steps as the budget is expected to pay for after `step`, if there is one."""
        if self.budget is None:
            return
        self.plan_steps(self.budget.steps(self.sparsifier, self.ledger, step), step)
        self.curves.add(step, "planned_steps", self.steps)

    def next_pause(self) -> int:
        """Return the step after which the loop is to stop for a forecast, or training is over.

        Forecasts at the end of epochs do not count.
        """
        return self.budget.next_pause(self.sparsifier) if self.budget else self.steps

    def resume_epoch(self, losses: Tensor, epoch_seconds: list[float]) -> None:
        """Restore the current epoch's losses and earlier epochs' times from a checkpoint."""
        self.losses, self.epoch_seconds = losses, epoch_seconds


def train(training: Training, start: int, on_step: Callable[[int], None] | None = None) -> None:
    """Train from after step `start` (0 for all of it) to the end.

    Data order and learning rate are functions of seed and step, so a round that starts at k sees
    the same batches and rates from k on as a whole run. `on_step` is called with each step's number
    after the step, and after the validation if the step ends an epoch or the training.

    Raises:
        TrialFailed: the loss is not finite; the message names step and layer.
    """
    with torch.autocast(training.device.type, enabled=False):  # whatever the caller has enabled
        _train(training, start, on_step)


def _train(t: Training, start: int, on_step: Callable[[int], None] | None) -> None:
    t.model.train()
    step = start
    steps_per_epoch = t.context.plan.steps_per_epoch
    source = t.data.train.batch_source(t.context.recipe, t.context.trial.seed)
    pause = t.next_pause()
    while step < t.steps:
        epoch, begin = divmod(step, steps_per_epoch)
        # Training may end, or a forecast be due, within an epoch.
        end = min(steps_per_epoch, begin + pause - step)
        batches = source.epoch(epoch)
        first = begin - len(t.losses)
        losses = torch.zeros(end, device=t.device)
        losses[first:begin] = t.losses.to(t.device)
        began = time.perf_counter()
        for index, batch in enumerate(batches.batches(begin, end), begin):
            step += 1
            losses[index] = _step(t, step, batch)
            if t.device.type != "cpu" and step % CHECK_EVERY_ON_GPU == 0:
                _check_finite(t, losses, batches, first, index, step)
            if on_step is not None and index + 1 < end:
                t.losses = losses[first : index + 1]
                on_step(step)
        _check_finite(t, losses, batches, first, index, step)
        t.losses = losses[first:]
        is_epoch = end == steps_per_epoch
        if not is_epoch and step < t.steps:
            t.forecast(step)
            pause = t.next_pause()
        if is_epoch or step == t.steps:
            _end_of_epoch(t, step, t.losses, began, end - begin)
            t.losses = losses[:0]
        else:
            t.progress(end - begin)
        is_due = t.budget is not None and (step == pause or t.budget.is_due(step, t.steps))
        if is_epoch and is_due and step < t.steps:
            t.forecast(step)
            pause = t.next_pause()
        if on_step is not None:
            on_step(step)


def _step(t: Training, step: int, batch: Batch) -> Tensor:
    """Take one optimizer step; return the loss, still on the device."""
    recipe, trial = t.context.recipe, t.context.trial
    for group in t.optimizer.param_groups:
        group["lr"] = t.rate(step)
    seed_step(t.processes.seed(trial.seed) if t.processes else trial.seed, step, t.device)
    t.optimizer.zero_grad(set_to_none=True)
    t.sparsifier.before_step(step)
    x, y = t.processes.shard(batch) if t.processes else batch
    if trial.precision == "bfloat16":
        with torch.autocast(t.device.type, torch.bfloat16):
            loss = t.loss(t.network(x), y)
    else:
        loss = t.loss(t.network(x), y)
    mean_loss = t.processes.mean(loss) if t.processes else loss
    if t.device.type == "cpu" and not math.isfinite(value := mean_loss.item()):
        raise _diverged(t, step, value, x)
    loss.backward()
    t.ledger.charge_step(
        t.sparsifier.layers,
        dense_gradient=t.sparsifier.wants_dense_gradient(step),
        candidates=t.sparsifier.growth_candidates,
    )
    if t.on_gradients is not None:
        t.on_gradients(step)
    t.sparsifier.read_gradients(step)
    if recipe.clip_norm > 0:
        nn.utils.clip_grad_norm_(t.model.parameters(), recipe.clip_norm)
    skips = t.sparsifier.update_connectivity(step)
    if not skips:
        t.optimizer.step()
    t.sparsifier.after_step(step)
    return mean_loss.detach()


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


def _end_of_epoch(t: Training, step: int, losses: Tensor, began: float, taken: int) -> None:
    mean_loss = float(losses.mean())  # waits for the device: the epoch is over
    t.epoch_seconds.append((time.perf_counter() - began) / taken)
    t.curves.add(step, "train_loss", mean_loss)
    if t.processes:
        t.processes.broadcast_buffers(t.model)
    if len(t.data.validation):
        scores = evaluate(t.model, t.data.validation)
        for name, value in scores.curves.items():
            t.curves.add(step, f"validation_{name}", value)
        t.sparsifier.after_validation(step, 100 * scores.fraction)
    weights = t.sparsifier.layers
    zeros = sum(weight.size - weight.active for weight in weights)
    t.curves.add(step, "sparsity", zeros / sum(weight.size for weight in weights))
    t.progress(taken)
