"""What `suite.sparsify` returns: a method at work in a training loop of one's own."""

import warnings
import weakref
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from suite.core.errors import InvalidInput, SparsityWarning, TrialFailed
from suite.own_loop.average import Average
from suite.own_loop.copied_handle import CopiedHandle
from suite.own_loop.cost import Flops, MethodCharges, StepCounter
from suite.own_loop.grad_scaler import active_grad_scaler, inverse_scale
from suite.own_loop.gradients import GradientMasking
from suite.own_loop.model_changes import ModelChanges
from suite.own_loop.optimizer_steps import OptimizerSteps
from suite.own_loop.optimizers import check_state, check_trained, check_updates, usable_optimizers
from suite.own_loop.saved_state import check_handle_state
from suite.own_loop.snapshot import Snapshot
from suite.own_loop.watch import WeightWatch
from suite.sparsity.layers import count_zeros, nonzero_outside_mask
from suite.sparsity.modules import unwrap
from suite.sparsity.prunable import Coverage, Prunable
from suite.sparsity.rounds import TrainingProgress
from suite.sparsity.scoring import Examples, averaged
from suite.sparsity.sparsifier import Sparsifier
from suite.sparsity.storage.execution import Execution
from suite.sparsity.storage.masked import keeps_zeros
from suite.sparsity.whole_model import whole_model_sparsity
from suite.training.curves import Curves

if TYPE_CHECKING:
    from suite.export.network import Exported

SAMPLE_EVERY = 64
"""Steps between two samples of the weights outside the masks, and two looks at the model."""

SEARCH_AHEAD = 100_000
"""Steps that `Handle.next_update` looks ahead."""


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


class Handle:
    """A method at work in a custom training loop.

    It counts the optimizers' steps: with several optimizers a step is over when each has taken it.
    Gradients are masked as backward computes them. The method reads dense ones: accumulated over
    micro-batches, averaged over replicas, without the loss scale of a GradScaler, and before they
    are clipped. A step that a scaler skips is not counted.

    ``optimizer.step()`` raises `InvalidInput` where something else has written to the weights that
    is not as sparse as the masks; `TrialFailed` where an update finds weights or gradients that
    are not finite, and after the last step where the masks miss their counts or weights outside
    them are not 0.

    Attributes:
        method: name of the method.
        sparsifier: the method itself.
        model: the model, with its wrappers.
    """

    def __init__(self, method: str, sparsifier: Sparsifier, to: Attachment) -> None:
        self.method = method
        self.sparsifier = sparsifier
        self.model = to.model
        self._example = None if to.examples is None else to.examples.first(2)
        self._progress = TrainingProgress()
        self._in_rounds = False
        self._updates = self._reads_dense = False
        self._curves = Curves()
        self._averages: list[Average] = []
        self._is_attached = False
        self._prepared = 0
        check_trained({one.name: one.parameter for one in to.prunable}, to.optimizers)
        self._snapshot: Snapshot | None = Snapshot(to.prunable, to.optimizers)
        self._steps = OptimizerSteps(to.optimizers, self)
        self._watch = WeightWatch(to.storage)
        self._masking = GradientMasking(to.storage, to.model)
        try:
            self._attach(to)
        except BaseException:
            self.detach()
            self._snapshot.rollback()
            raise
        self._is_attached = True
        self._known = set(self.sparsifier.surprises())
        _attached.add(self)

    def _attach(self, to: Attachment) -> None:
        sparsifier = self.sparsifier
        charges = MethodCharges()
        sparsifier.attach(
            to.model,
            to.optimizers,
            examples=to.examples,
            recorder=self._curves.add,
            flops=charges,
            storage=to.storage,
            coverage=to.coverage,
            masks=to.masks,
            resume=to.state is not None,
        )
        self._cost = StepCounter(
            sparsifier.layers, to.coverage, sparsifier.growth_candidates, charges
        )
        self._changes = ModelChanges(unwrap(to.model), sparsifier.layers, to.coverage.exclude)
        if to.state is not None:
            self._load(to.state)
        else:
            self._progress.advance_to(0, sparsifier, self.model)
            self._prepare_step()

    # ------------------------------------------------------------------ what it holds

    @property
    def step(self) -> int:
        """The last step in the current round, counted from 1; 0 before the first."""
        return self._progress.step

    @property
    def steps(self) -> int:
        """How many steps a round has."""
        return self.sparsifier.plan.steps

    @property
    def sparsity(self) -> float:
        """Fraction of the prunable weights that are outside the masks and 0 now."""
        size = sum(layer.size for layer in self.sparsifier.layers)
        return sum(count_zeros(layer) for layer in self.sparsifier.layers) / size

    @property
    def model_sparsity(self) -> float:
        """Fraction of zeros among all weights of the model, the method's or not.

        Weights are the parameters of two or more dimensions.
        """
        return whole_model_sparsity(unwrap(self.model))

    @property
    def next_update(self) -> int | None:
        """The next step at which connectivity is updated; None if there is none."""
        last = min(self.steps, self.step + SEARCH_AHEAD)
        return next(filter(self.sparsifier.is_update, range(self.step + 1, last + 1)), None)

    def masks(self) -> dict[str, Tensor]:
        """Return the boolean mask of every prunable weight, by layer name."""
        return {layer.name: layer.mask for layer in self.sparsifier.layers}

    def flops(self, example: Any = None) -> Flops:
        """Return the floating-point operations of the model and of the training so far.

        Args:
            example: a batch of inputs, of any size: a tensor, or a tuple or dict of tensors. The
                examples given to `sparsify` if left out.

        Raises:
            InvalidInput: there is no example, or the model does not take it.
        """
        example = self._example if example is None else example
        if example is None:
            raise InvalidInput(
                "flops() needs an example to send through the model: give a batch of inputs, "
                "handle.flops(x)"
            )
        return self._cost.measure(unwrap(self.model), example)

    def curves(self) -> Any:
        """Return what the method reported, as a polars DataFrame.

        Columns: round, step, series (density, dropped, grown, …), layer, index, value.
        """
        return self._curves.to_frame()

    def export(
        self, path: str | Path, to: str = "safetensors", example: Tensor | None = None
    ) -> "Exported":
        """Write the network to a file.

        Args:
            path: of the file; its folder must exist.
            to: ``safetensors`` (weights with their zeros, and the masks), ``compact`` (without
                dead units), ``condensed`` (Linear weights as values and indices),
                ``semi_structured`` (2:4 weights in PyTorch's format) or ``onnx``.
            example: a batch of inputs, which ``compact``, ``condensed`` and ``onnx`` need.

        Raises:
            InvalidInput: the format does not exist, or the model cannot be exported to it.
        """
        from suite.own_loop.export import export

        self._check_weights(read=True)
        if example is None and isinstance(self._example, Tensor):
            example = self._example
        return export(unwrap(self.model), self.sparsifier.layers, path, to, example)

    def average(self, decay: float | None = 0.999) -> Average:
        """Return an average of the weights over the steps from now on, as sparse as the model.

        Args:
            decay: of an exponential moving average; None for equal weights (SWA).

        Raises:
            InvalidInput: the method adjusts the weights that stay after the last step, or `decay`
                is no such number.
        """
        self._require_attached("average")
        if self.sparsifier.adjusts_weights_at_end:
            raise InvalidInput(
                f"average: {self.method} adjusts the weights that stay after the last step, which "
                "an average of the steps before would lack: evaluate the model itself, or call "
                "sparsify again with 'static' and masks='nonzero' and average from there"
            )
        made = Average(self.model, self.sparsifier.layers, decay)
        self._averages.append(made)
        return made

    def __repr__(self) -> str:
        layers = self.sparsifier.layers
        size, active = sum(w.size for w in layers), sum(w.active for w in layers)
        after = f"next update at {self.next_update}" if self.next_update else "no further update"
        lines = [
            f"{self.method} on {type(unwrap(self.model)).__name__}: {1 - active / size:.4f} of "
            f"{size:,} weights in {len(layers)} layers are zero (target "
            f"{self.sparsifier.plan.sparsity:g}), step {self.step:,} of {self.steps:,}, "
            + (after if self._is_attached else "detached")
        ]
        for layer in layers:
            shape = " × ".join(map(str, layer.shape))
            lines.append(f"  {layer.name}: {shape}, {layer.active:,} of {layer.size:,} active")
        return "\n".join(lines)

    # ------------------------------------------------------------------ what a loop calls

    def validated(self, score: Any) -> None:
        """Give the method a validation score in points (per cent of accuracy); higher is better.

        Under data-parallel training every replica calls it, and the mean counts.

        Raises:
            InvalidInput: it is not a number, or weights outside the masks are not 0.
        """
        is_scalar = isinstance(score, Tensor) and score.numel() == 1
        if isinstance(score, bool) or not (is_scalar or isinstance(score, Real)):
            raise InvalidInput(
                f"validated: {type(score).__name__} is not usable: give the score as a number"
            )
        self._check_weights(read=True)
        mean = averaged({"score": torch.tensor(float(score), dtype=torch.float64)})["score"]
        self.sparsifier.after_validation(self.step, float(mean))

    def rounds(self) -> Iterator[int]:
        """Yield once per round of training: once for most methods, often for lottery tickets.

        Put the whole training into the body of a ``for``. Between two rounds the method prunes,
        weights and buffers are rewound, and the optimizers' state is cleared; the loop must reset
        the learning rate itself. A round starts after step `step`: the rewind step, or the last
        step done if the training was loaded by `load_state_dict`.
        """
        self._in_rounds = True
        yield self._progress.round
        while self._progress.round + 1 < self.sparsifier.rounds:
            layers = self.sparsifier.layers
            frozen = [(w.parameter, w.parameter.detach().clone()) for w in layers if not w.trained]
            self._progress.next_round(self.sparsifier, self.model)
            with torch.no_grad():
                for parameter, values in frozen:  # a frozen layer is left alone
                    parameter.copy_(values)
            for optimizer in self._steps.optimizers:
                optimizer.state.clear()
            self.sparsifier.restart(self._steps.optimizers)
            self._curves.begin_round(self._progress.round)
            self._cost.masks_changed()
            self._prepare_step()
            yield self._progress.round

    def apply_masks(self) -> None:
        """Zero the weights and the optimizer state outside the masks, whatever was written there.

        A way out where a step has refused weights that something else has written.
        """
        self._require_attached("apply_masks")
        self.sparsifier.restart(self._steps.optimizers)
        self._steps.forget_loaded()
        self._watch.forget()

    def use(self, optimizer: torch.optim.Optimizer | Sequence[torch.optim.Optimizer]) -> None:
        """Continue with another optimizer, or several.

        Raises:
            InvalidInput: masks cannot be kept under one of them, a weight is not trained, or
                weights were written that are not as sparse as the masks. Nothing has changed then.
        """
        self._require_attached("use")
        self._check_weights(read=True)
        self.sparsifier.execution.check_loaded()
        optimizers = usable_optimizers(optimizer)
        execution = self.sparsifier.execution
        held = {w.name: w.parameter for w in self.sparsifier.layers if w.trained}
        check_trained(held, optimizers)
        for one in optimizers:
            check_updates(one, held.values())
            if execution.may_be_sparse and not keeps_zeros(one):
                raise InvalidInput(
                    f"use: execution={execution.mode} is tested with SGD, Adam and AdamW, not "
                    f"{type(one).__name__}; use one of those, or execution=masked"
                )
        self._steps.finish()
        self.sparsifier.restart(optimizers)
        self._steps.remove()
        self._steps = OptimizerSteps(optimizers, self)
        self._watch.record()

    def extend(self, *, steps: int = 0, sparsity: float | None = None) -> None:
        """Add steps to the plan, or raise the sparsity that it ends at.

        Schedules are relative to the new number of steps from now on. Methods that keep their
        number of weights prune the smallest at once; those that prune gradually go on to the new
        target. To resume later, call `sparsify` with the new totals.

        Args:
            steps: how many more steps there will be.
            sparsity: the new target, at least the present one.

        Raises:
            InvalidInput: the method cannot, or a number is not usable. Nothing has changed then.
        """
        self._require_attached("extend")
        old = self.sparsifier
        if old.rounds > 1:
            raise InvalidInput(f"extend: {self.method} trains in rounds, which cannot be extended")
        if not is_whole(steps) or steps < 0:
            raise InvalidInput(f"extend(steps={steps!r}): give how many steps to add, 0 or more")
        target: Any = old.plan.sparsity if sparsity is None else sparsity
        if not isinstance(target, Real) or not old.plan.sparsity <= float(target) < 1:
            raise InvalidInput(
                f"extend(sparsity={sparsity!r}): give a number from the present target, "
                f"{old.plan.sparsity:g}, up to below 1"
            )
        self._check_weights(read=True)
        plan = replace(old.plan, steps=old.plan.steps + int(steps), sparsity=float(target))
        self.sparsifier = old.continue_as(plan, vars(old.options), self.step)
        self._cost.masks_changed(self.sparsifier.growth_candidates)
        self._prepare_step()

    # ------------------------------------------------------------------ saving and resuming

    def state_dict(self) -> dict[str, Any]:
        """Return what is needed to resume, beside the model's and the optimizers' own state.

        It holds tensors and plain data only.

        Raises:
            InvalidInput: weights outside the masks are not 0: the model would not fit the masks.
        """
        if self._is_attached:
            self._check_weights(read=True)
        return {
            "method": self.method,
            "step": self._progress.step,
            "round": self._progress.round,
            "stepped": self._steps.stepped,
            "rewind": self._progress.rewind_weights,
            "sparsifier": self.sparsifier.state_dict(),
            "curves": self._curves.state_dict(),
            "cost": self._cost.state_dict(),
            "frozen": sorted(self._changes.frozen),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a `state_dict`; model and optimizers may be loaded before or after.

        Raises:
            InvalidInput: it is not such a state, or one of another method, of other settings or
                of other layers. Nothing has changed then.
        """
        self._require_attached("load_state_dict")
        self._load(state)

    def _load(self, state: Mapping[str, Any]) -> None:
        check_handle_state(state, self.method)
        self.sparsifier.check_state_dict(state["sparsifier"])
        if self._snapshot is not None:
            self._restore_what_attaching_changed(self._snapshot)
        rewind = {name: value.clone() for name, value in state["rewind"].items()}
        self._progress = TrainingProgress(state["round"], state["step"], rewind)
        self.sparsifier.load_state_dict(state["sparsifier"])
        self._progress.advance_to(self.step, self.sparsifier, self.model)
        if "cost" in state:
            self._cost.load_state_dict(state["cost"])
        if "curves" in state:
            self._curves.load_state_dict(state["curves"])
        self._changes.note_frozen(state.get("frozen", ()))
        self._steps.restart(state.get("stepped", ()))
        self._prepare_step()

    def _restore_what_attaching_changed(self, snapshot: Snapshot) -> None:
        """Undo what attaching did to weights and state that were not loaded since."""
        execution = self.sparsifier.execution
        for weight in execution.masked_weights():
            state = not self._steps.was_loaded(weight.optimizer)
            snapshot.restore(weight, values=snapshot.is_as_attached(weight), state=state)
        for sparse in execution.csr_weights():
            state = not self._steps.was_loaded(sparse.optimizer)
            snapshot.restore(sparse, values=not sparse.is_loaded, state=state)

    def detach(self) -> None:
        """Detach from model and optimizers: weights keep their values and are no longer masked.

        Sparse (CSR) layers become ordinary Linear layers again, with dense weights.
        """
        self._is_attached = False
        _attached.discard(self)
        self._steps.remove()
        self._masking.remove()
        self.sparsifier.execution.release()

    def __deepcopy__(self, memo: dict[int, Any]) -> "CopiedHandle":
        """Return what a copy of a handle is: not attached to anything."""
        return CopiedHandle(self.method)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as a handle that is not attached to anything."""
        return CopiedHandle, (self.method,)

    def _require_attached(self, called: str) -> None:
        if not self._is_attached:
            raise InvalidInput(
                f"{called}: this handle is detached; call sparsify again, with state= or masks="
            )

    # ------------------------------------------------------------------ one step

    def _prepare_step(self) -> None:
        """Prepare for the next step's backward pass; what the weights are now is right."""
        step, sparsifier = self.step + 1, self.sparsifier
        self._updates = sparsifier.is_update(step)
        self._reads_dense = sparsifier.wants_dense_gradient(step)
        sparsifier.before_step(step)
        self._masking.prepare(reads_dense=self._reads_dense, updates=self._updates)
        self._watch.record()
        self._cost.masks_changed()
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
        self._check_weights(step, read=updates or self._is_read(step))
        self._mask_loaded_state()
        self._snapshot = None
        if reads_dense:
            self._keep_dense_gradients()
        self._progress.begin_step()
        self._cost.step(dense_gradient=reads_dense)
        sparsifier.read_gradients(step)
        sparsifier.update_connectivity(step)

    def continue_step(self) -> None:
        """Check and mask what may have been written since another optimizer has stepped."""
        self._watch.check()
        self.sparsifier.execution.mask_gradients()

    def _check_weights(self, step: int | None = None, *, read: bool = False) -> None:
        """Check that what the masks say is what the model holds; see `WeightWatch`."""
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
        if self._steps.any_loaded:
            for weight in self.sparsifier.execution.masked_weights():
                weight.mask_state()
            for sparse in self.sparsifier.execution.csr_weights():
                sparse.fit_state()
            self._steps.forget_loaded()

    def _keep_dense_gradients(self) -> None:
        """Keep dense gradients that no backward pass has kept; take out the loss scale."""
        scaler = active_grad_scaler()
        if scaler is not None and len(self._steps.optimizers) > 1:
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
        if self.step == self.steps and self._steps.all_stepped:
            if self._progress.round + 1 == self.sparsifier.rounds:
                self.sparsifier.end_training()
                self._cost.masks_changed()
            self._check_end()
        # Not only when all have stepped: if the others leave this step out, nothing tells that the
        # next backward pass belongs to the next one. Only once: that pass may be over when they do.
        if self._prepared == self.step + 1:
            self._watch.record()
        else:
            self._prepare_step()
        if self.step == self.steps and self._steps.all_stepped:
            self._warn_at_end()

    def _warn_at_end(self) -> None:
        """Warn of what the end of training has brought, which nothing said before."""
        found = self.sparsifier.surprises()
        for message in found:
            if message not in self._known:
                warnings.warn(f"{self.method}: {message}", SparsityWarning, stacklevel=2)
        self._known.update(found)

    def end_step(self) -> None:
        """Note that the step is over; called late where an optimizer leaves it out."""
        self._progress.advance_to(self.step, self.sparsifier, self.model)
        for average in self._averages:
            average.update()

    def _check_end(self) -> None:
        sparsifier = self.sparsifier
        if self._progress.round + 1 == sparsifier.rounds:
            errors = sparsifier.sparsity_errors(self._changes.frozen)
        else:
            errors = "; ".join(nonzero_outside_mask(sparsifier.layers))
        if errors:
            raise TrialFailed(f"after the last step, {self.step}, {errors}")

    def steps_with(self, optimizer: torch.optim.Optimizer) -> bool:
        """Return whether an optimizer is one of this method's, or a wrapper around one."""
        own = self._steps.optimizers
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


_attached: "weakref.WeakSet[Handle]" = weakref.WeakSet()
"""Every handle that is attached now."""


def _refuse_unknown_optimizer(
    optimizer: torch.optim.Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    others = [handle for handle in list(_attached) if not handle.steps_with(optimizer)]
    if others:
        trained = {id(one) for group in optimizer.param_groups for one in group["params"]}
        for handle in others:
            handle.refuse_other(optimizer, trained)


register_optimizer_step_pre_hook(_refuse_unknown_optimizer)


def is_whole(value: Any) -> bool:
    """Return whether a value is a whole number, of Python or NumPy."""
    return isinstance(value, Integral) and not isinstance(value, bool)
