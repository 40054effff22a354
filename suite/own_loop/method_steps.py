"""A method's part in the steps of a training loop: what happens around each optimizer step."""

import warnings
import weakref
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from suite.core.errors import InvalidInput, SparsityWarning, TrialFailed
from suite.own_loop.average import Average
from suite.own_loop.copied_layers import MarkedLayers
from suite.own_loop.cost import MethodCharges, StepCounter
from suite.own_loop.grad_scaler import active_grad_scaler, inverse_scale
from suite.own_loop.gradients import GradientMasking
from suite.own_loop.learning_rates import LearningRates
from suite.own_loop.model_changes import ModelChanges
from suite.own_loop.optimizer_steps import OptimizerSteps
from suite.own_loop.optimizers import check_state, check_trained
from suite.own_loop.saved_state import check_handle_state
from suite.own_loop.snapshot import Snapshot
from suite.own_loop.watch import WeightWatch
from suite.sparsity.layers import nonzero_outside_mask
from suite.sparsity.modules import unwrap
from suite.sparsity.plan import Plan
from suite.sparsity.prunable import Coverage, Prunable
from suite.sparsity.rounds import TrainingProgress
from suite.sparsity.scoring import Examples
from suite.sparsity.sparsifier import Sparsifier
from suite.sparsity.storage.execution import Execution
from suite.training.curves import Curves

SAMPLE_EVERY = 64
"""Steps between two samples of the weights outside the masks, and two looks at the model."""


@dataclass(frozen=True)
class Attachment:
    """What a method is attached to, and how.

    Attributes:
        model: as it is called, with its wrappers.
        optimizers: those that train it, unwrapped.
        coverage: which weights are prunable.
        prunable: those weights.
        storage: how weights are stored.
        examples: for methods that score connections before training.
        masks: by layer name, to start from; None for the method's own.
        state: of a handle, to continue from.
    """

    model: nn.Module
    optimizers: tuple[torch.optim.Optimizer, ...]
    coverage: Coverage
    prunable: Sequence[Prunable]
    storage: Execution
    examples: Examples | None = None
    masks: Mapping[str, Tensor] | None = None
    state: Mapping[str, Any] | None = None


class MethodSteps:
    """A method at work in the steps of one or several optimizers.

    It is what `OptimizerSteps` calls; a `Handle` is what a loop calls.

    Attributes:
        method: name of the method.
        sparsifier: the method itself.
        model: the model, with its wrappers.
        progress: step and round.
        curves: what the method reported.
        cost: floating-point operations of the steps taken.
        is_attached: whether it still follows the optimizers.
    """

    def __init__(self, method: str, sparsifier: Sparsifier, to: Attachment) -> None:
        self.method = method
        self.sparsifier = sparsifier
        self.model = to.model
        self.progress = TrainingProgress()
        self.curves = Curves()
        self.is_attached = False
        self._in_rounds = False
        self._updates = self._reads_dense = False
        self._averages: list[Average] = []
        self._prepared = 0
        check_trained({one.name: one.parameter for one in to.prunable}, to.optimizers)
        self._snapshot: Snapshot | None = Snapshot(to.prunable, to.optimizers)
        self._optimizer_steps = OptimizerSteps(to.optimizers, self)
        self._rates = LearningRates(to.optimizers)
        self._marked: MarkedLayers | None = None
        self._watch = WeightWatch(to.storage)
        self._masking = GradientMasking(to.storage, to.model)
        try:
            self._attach(to)
        except BaseException:
            self.detach()
            self._snapshot.rollback()
            raise
        self.is_attached = True
        if sparsifier.plan.sparsity:
            self._marked = MarkedLayers(unwrap(to.model), method, to.prunable)
        self._known = set(self.sparsifier.surprises())
        _attached.add(self)

    def _attach(self, to: Attachment) -> None:
        sparsifier = self.sparsifier
        charges = MethodCharges()
        sparsifier.attach(
            to.model,
            to.optimizers,
            examples=to.examples,
            recorder=self.curves.add,
            flops=charges,
            storage=to.storage,
            coverage=to.coverage,
            masks=to.masks,
            resume=to.state is not None,
        )
        self.cost = StepCounter(
            sparsifier.layers, to.coverage, sparsifier.growth_candidates, charges
        )
        self._changes = ModelChanges(unwrap(to.model), sparsifier.layers, to.coverage.exclude)
        if to.state is not None:
            self.load_state_dict(to.state)
        else:
            self.progress.advance_to(0, sparsifier, self.model)
            self._prepare_step()

    def detach(self) -> None:
        """Leave model and optimizers alone from now on."""
        self.is_attached = False
        _attached.discard(self)
        self._optimizer_steps.remove()
        self._masking.remove()
        self.sparsifier.execution.release()
        if self._marked is not None:
            self._marked.release()

    @property
    def step(self) -> int:
        """The last step in the current round, counted from 1; 0 before the first."""
        return self.progress.step

    @property
    def steps(self) -> int:
        """How many steps a round has."""
        return self.sparsifier.plan.steps

    @property
    def is_over(self) -> bool:
        """Whether the last step of the last round was taken."""
        return self.step >= self.steps and self.progress.round + 1 >= self.sparsifier.rounds

    # ------------------------------------------------------------------ between steps

    def update_with_steps(self, average: Average) -> None:
        """Update an average of the weights at the end of every step from now on."""
        self._averages.append(average)

    def apply_masks(self) -> None:
        """Zero weights and optimizer state outside the masks, whatever was written there."""
        self.sparsifier.restart(self._optimizer_steps.optimizers)
        self._optimizer_steps.forget_loaded()
        self._watch.forget()

    def follow(self, optimizers: Sequence[torch.optim.Optimizer]) -> None:
        """Continue with other optimizers, which have been checked."""
        self._optimizer_steps.finish()
        self.sparsifier.restart(optimizers)
        self._optimizer_steps.remove()
        self._optimizer_steps = OptimizerSteps(optimizers, self)
        self._rates = LearningRates(optimizers)
        self._watch.record()

    def continue_as(self, plan: Plan) -> None:
        """Continue under another plan."""
        old = self.sparsifier
        self.sparsifier = old.continue_as(plan, vars(old.options), self.step)
        self.cost.masks_changed(self.sparsifier.growth_candidates)
        self._prepare_step()

    def rounds(self) -> Iterator[int]:
        """Yield once per round of training; between two, prune and rewind."""
        self._in_rounds = True
        yield self.progress.round
        while self.progress.round + 1 < self.sparsifier.rounds:
            layers = self.sparsifier.layers
            frozen = [(w.parameter, w.parameter.detach().clone()) for w in layers if not w.trained]
            self.progress.next_round(self.sparsifier, self.model)
            with torch.no_grad():
                for parameter, values in frozen:  # a frozen layer is left alone
                    parameter.copy_(values)
            for optimizer in self._optimizer_steps.optimizers:
                optimizer.state.clear()
            self.sparsifier.restart(self._optimizer_steps.optimizers)
            self.curves.begin_round(self.progress.round)
            self.cost.masks_changed()
            self._prepare_step()
            yield self.progress.round

    # ------------------------------------------------------------------ saving and resuming

    def state_dict(self) -> dict[str, Any]:
        """Return what is needed to resume, as tensors and plain data."""
        return {
            "method": self.method,
            "step": self.progress.step,
            "round": self.progress.round,
            "stepped": self._optimizer_steps.stepped,
            "rewind": self.progress.rewind_weights,
            "sparsifier": self.sparsifier.state_dict(),
            "curves": self.curves.state_dict(),
            "cost": self.cost.state_dict(),
            "frozen": sorted(self._changes.frozen),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a `state_dict`.

        Raises:
            InvalidInput: it is not such a state, or does not fit. Nothing has changed then.
        """
        check_handle_state(state, self.method)
        self.sparsifier.check_state_dict(state["sparsifier"])
        if self._snapshot is not None:
            self._restore_what_attaching_changed(self._snapshot)
        rewind = {name: value.clone() for name, value in state["rewind"].items()}
        self.progress = TrainingProgress(state["round"], state["step"], rewind)
        self.sparsifier.load_state_dict(state["sparsifier"])
        self.progress.advance_to(self.step, self.sparsifier, self.model)
        if "cost" in state:
            self.cost.load_state_dict(state["cost"])
        if "curves" in state:
            self.curves.load_state_dict(state["curves"])
        self._changes.note_frozen(state.get("frozen", ()))
        self._optimizer_steps.restart(state.get("stepped", ()))
        self._prepare_step()

    def _restore_what_attaching_changed(self, snapshot: Snapshot) -> None:
        """Undo what attaching did to weights and state that were not loaded since."""
        execution = self.sparsifier.execution
        for weight in execution.masked_weights():
            state = not self._optimizer_steps.was_loaded(weight.optimizer)
            snapshot.restore(weight, values=snapshot.is_as_attached(weight), state=state)
        for sparse in execution.csr_weights():
            state = not self._optimizer_steps.was_loaded(sparse.optimizer)
            snapshot.restore(sparse, values=not sparse.is_loaded, state=state)

    # ------------------------------------------------------------------ one step

    def _prepare_step(self) -> None:
        """Prepare for the next step's backward pass; what the weights are now is right."""
        step, sparsifier = self.step + 1, self.sparsifier
        self._updates = sparsifier.is_update(step)
        self._reads_dense = sparsifier.wants_dense_gradient(step)
        sparsifier.before_step(step)
        self._masking.prepare(reads_dense=self._reads_dense, updates=self._updates)
        self._watch.record()
        self.cost.masks_changed()
        self._prepared = step

    def begin_step(self) -> None:
        """Read the gradients of the next step, and update connectivity where due."""
        step, sparsifier = self.step + 1, self.sparsifier
        if step > self.steps and sparsifier.rounds > 1 and not self._in_rounds:
            raise InvalidInput(
                f"this method trains in {sparsifier.rounds} rounds of {self.steps} steps: put the "
                "training into `for _ in handle.rounds():`"
            )
        updates, reads_dense = self._updates, self._reads_dense
        self.check_weights(step, read=updates or self._is_read(step))
        self._mask_loaded_state()
        self._snapshot = None
        if reads_dense:
            self._keep_dense_gradients()
        self.progress.begin_step()
        self.cost.step(dense_gradient=reads_dense)
        self._rates.begin_step()
        sparsifier.read_gradients(step)
        sparsifier.update_connectivity(step)
        if updates:
            self._rates.updated(sparsifier.layers)

    def continue_step(self) -> None:
        """Check and mask what may have been written since another optimizer has stepped."""
        self._watch.check()
        self.sparsifier.execution.mask_gradients()

    def check_weights(self, step: int | None = None, *, read: bool = False) -> None:
        """Check that what the masks say is what the model holds; see `WeightWatch`.

        Args:
            step: that is about to be taken; the last one taken if left out.
            read: whether to fetch what was sampled, which waits for the device.

        Raises:
            InvalidInput: something else has written weights outside the masks, or replaced a layer.
        """
        self._watch.check()
        step = self.step if step is None else step
        if read or step % SAMPLE_EVERY == 0:
            self._changes.check()
            self._watch.sample(step)
        if read:
            self._watch.read()

    def _is_read(self, step: int) -> bool:
        """Return whether samples are read at `step`: the last one, and some of those beyond it."""
        return step >= self.steps and (step - self.steps) % SAMPLE_EVERY == 0

    def _mask_loaded_state(self) -> None:
        """Mask optimizer state that was loaded since: outside the masks it has no meaning."""
        if self._optimizer_steps.any_loaded:
            for weight in self.sparsifier.execution.masked_weights():
                weight.mask_state()
            for sparse in self.sparsifier.execution.csr_weights():
                sparse.fit_state()
            self._optimizer_steps.forget_loaded()

    def _keep_dense_gradients(self) -> None:
        """Keep dense gradients that no backward pass has kept; take out the loss scale."""
        scaler = active_grad_scaler()
        if scaler is not None and len(self._optimizer_steps.optimizers) > 1:
            raise InvalidInput(
                "several optimizers under one GradScaler, which unscales them one after another "
                f"and may skip one of them: {self.method} cannot read dense gradients then; use "
                "bfloat16 autocast, which needs no scaler"
            )
        inverse = None if scaler is None else inverse_scale(scaler)
        self._masking.note_unused()
        self.sparsifier.execution.keep_dense_gradients(inverse)

    def optimizer_stepped(self, optimizer: torch.optim.Optimizer) -> None:
        """Restore what the optimizer may have moved, and take the weights as they are now."""
        if self.step == 1:
            check_state(optimizer, [layer.parameter for layer in self.sparsifier.layers])
        self.sparsifier.after_step(self.step)
        if self.step == self.steps and self._optimizer_steps.all_stepped:
            if self.progress.round + 1 == self.sparsifier.rounds:
                self.sparsifier.end_training()
                self.cost.masks_changed()
            self._check_end()
        # Not only when all have stepped: if the others leave this step out, nothing tells that the
        # next backward pass belongs to the next one. Only once: that pass may be over when they do.
        if self._prepared == self.step + 1:
            self._watch.record()
        else:
            self._prepare_step()
        if self.step == self.steps and self._optimizer_steps.all_stepped:
            self._warn_at_end()

    def _warn_at_end(self) -> None:
        """Warn of what the end of training has brought, which nothing said before."""
        found = self.sparsifier.surprises()
        if self.progress.round + 1 == self.sparsifier.rounds:
            unchanged = self.sparsifier.unchanged_reason(moved=self.curves.moved())
            found = [*found, unchanged] if unchanged and unchanged not in found else found
        for message in found:
            if message not in self._known:
                warnings.warn(f"{self.method}: {message}", SparsityWarning, stacklevel=2)
        self._known.update(found)

    def end_step(self) -> None:
        """Note that the step is over; called late where an optimizer leaves it out."""
        self.progress.advance_to(self.step, self.sparsifier, self.model)
        for average in self._averages:
            average.update()

    def _check_end(self) -> None:
        sparsifier = self.sparsifier
        if self.progress.round + 1 == sparsifier.rounds:
            errors = sparsifier.sparsity_errors(self._changes.frozen)
        else:
            errors = "; ".join(nonzero_outside_mask(sparsifier.layers))
        if errors:
            raise TrialFailed(f"after the last step, {self.step}, {errors}")

    def steps_with(self, optimizer: torch.optim.Optimizer) -> bool:
        """Return whether an optimizer is one of this method's, or a wrapper around one."""
        own = self._optimizer_steps.optimizers
        if any(one is optimizer for one in own):
            return True
        return any(value is one for value in vars(optimizer).values() for one in own)

    def refuse_other(self, optimizer: torch.optim.Optimizer, trained: Container[int]) -> None:
        """Refuse a step of an optimizer that trains this method's weights without it.

        Args:
            optimizer: one that this method does not step with (`steps_with`).
            trained: the `id` of each parameter that it trains.

        Raises:
            InvalidInput: it trains a weight of this method.
        """
        for layer in self.sparsifier.layers:
            if id(layer.parameter) in trained:
                raise InvalidInput(
                    f"{type(optimizer).__name__} trains layer '{layer.name}', which {self.method} "
                    "sparsifies under another optimizer: call handle.use(optimizer) first, or "
                    "handle.detach() to train on without masks"
                )


_attached: "weakref.WeakSet[MethodSteps]" = weakref.WeakSet()
"""Every method that is attached now."""


def _refuse_unknown_optimizer(
    optimizer: torch.optim.Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    others = [one for one in list(_attached) if not one.steps_with(optimizer)]
    if others:
        trained = {id(one) for group in optimizer.param_groups for one in group["params"]}
        for other in others:
            other.refuse_other(optimizer, trained)


register_optimizer_step_pre_hook(_refuse_unknown_optimizer)
