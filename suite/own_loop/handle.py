"""What `suite.sparsify` returns: a method at work in a training loop of one's own."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from suite.core.errors import InvalidInput, SparsityWarning
from suite.own_loop.average import Average
from suite.own_loop.copied_handle import CopiedHandle
from suite.own_loop.cost import Flops
from suite.own_loop.method_steps import Attachment, MethodSteps
from suite.own_loop.optimizers import check_trained, check_updates, usable_optimizers
from suite.sparsity.layers import count_zeros
from suite.sparsity.modules import unwrap
from suite.sparsity.scoring import averaged
from suite.sparsity.sparsifier import Sparsifier
from suite.sparsity.storage.masked import keeps_zeros
from suite.sparsity.whole_model import whole_model_sparsity

if TYPE_CHECKING:
    from suite.export.network import Exported

SEARCH_AHEAD = 100_000
"""Steps that `Handle.next_update` looks ahead."""


class Handle:
    """A method at work in a custom training loop.

    It counts the optimizers' steps: with several optimizers a step is over when each has taken it,
    or when one steps again.
    Gradients are masked as backward computes them. The method reads dense ones: accumulated over
    micro-batches, averaged over replicas, without the loss scale of a GradScaler, and before they
    are clipped. A step that a scaler skips is not counted.

    ``optimizer.step()`` raises `InvalidInput` where something else has written to the weights that
    is not as sparse as the masks; `TrialFailed` where an update finds weights or gradients that
    are not finite, and after the last step where the masks miss their counts or weights outside
    them are not 0. It warns (`SparsityWarning`) once where optimizers step unequally, where layers
    are updated whose learning rate stays 0, and where a copy of the model is trained without masks.

    Attributes:
        method: name of the method.
        model: the model, with its wrappers.
    """

    def __init__(self, method: str, sparsifier: Sparsifier, to: Attachment) -> None:
        self.method = method
        self.model = to.model
        self._example = None if to.examples is None else to.examples.first(2)
        self._steps = MethodSteps(method, sparsifier, to)

    # ------------------------------------------------------------------ what it holds

    @property
    def sparsifier(self) -> Sparsifier:
        """The method itself."""
        return self._steps.sparsifier

    @property
    def step(self) -> int:
        """The last step in the current round, counted from 1; 0 before the first."""
        return self._steps.step

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
        return self._steps.cost.measure(unwrap(self.model), example)

    def curves(self) -> Any:
        """Return what the method reported, as a polars DataFrame.

        Columns: round, step, series (density, dropped, grown, …), layer, index, value.
        """
        return self._steps.curves.to_frame()

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

        A warning says so where the method has yet to reach its target.

        Raises:
            InvalidInput: the format does not exist, or the model cannot be exported to it.
        """
        from suite.own_loop.export import export

        self._steps.check_weights(read=True)
        if example is None and isinstance(self._example, Tensor):
            example = self._example
        self._warn_if_unfinished()
        return export(unwrap(self.model), self.sparsifier.layers, path, to, example)

    def _warn_if_unfinished(self) -> None:
        """Warn if the network is not as sparse as it will be at the end of training."""
        if self._steps.is_over or self.sparsifier.has_final_zeros:
            return
        size = sum(layer.size for layer in self.sparsifier.layers)
        warnings.warn(
            f"export: {self.sparsity:.4f} of the weights are zero, not yet the "
            f"{self.sparsifier.target_total() / size:.4f} that {self.method} ends with: this is "
            f"step {self.step:,} of {self.steps:,}"
            + (f" of round {self._steps.progress.round + 1}" if self.sparsifier.rounds > 1 else ""),
            SparsityWarning,
            stacklevel=3,
        )

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
        self._steps.update_with_steps(made)
        return made

    def __repr__(self) -> str:
        layers = self.sparsifier.layers
        size, active = sum(w.size for w in layers), sum(w.active for w in layers)
        after = f"next update at {self.next_update}" if self.next_update else "no further update"
        lines = [
            f"{self.method} on {type(unwrap(self.model)).__name__}: {1 - active / size:.4f} of "
            f"{size:,} weights in {len(layers)} layers are zero (target "
            f"{self.sparsifier.plan.sparsity:g}), step {self.step:,} of {self.steps:,}, "
            + (after if self._steps.is_attached else "detached")
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
        self._steps.check_weights(read=True)
        mean = averaged({"score": torch.tensor(float(score), dtype=torch.float64)})["score"]
        self.sparsifier.after_validation(self.step, float(mean))

    def rounds(self) -> Iterator[int]:
        """Yield once per round of training: once for most methods, often for lottery tickets.

        Put the whole training into the body of a ``for``. Between two rounds the method prunes,
        weights and buffers are rewound, and the optimizers' state is cleared; the loop must reset
        the learning rate itself. A round starts after step `step`: the rewind step, or the last
        step done if the training was loaded by `load_state_dict`.
        """
        yield from self._steps.rounds()

    def apply_masks(self) -> None:
        """Zero the weights and the optimizer state outside the masks, whatever was written there.

        A way out where a step has refused weights that something else has written.
        """
        self._require_attached("apply_masks")
        self._steps.apply_masks()

    def use(self, optimizer: torch.optim.Optimizer | Sequence[torch.optim.Optimizer]) -> None:
        """Continue with another optimizer, or several.

        Raises:
            InvalidInput: masks cannot be kept under one of them, a weight is not trained, or
                weights were written that are not as sparse as the masks. Nothing has changed then.
        """
        self._require_attached("use")
        self._steps.check_weights(read=True)
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
        self._steps.follow(optimizers)

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
        self._steps.check_weights(read=True)
        plan = replace(old.plan, steps=old.plan.steps + int(steps), sparsity=float(target))
        self._steps.continue_as(plan)

    # ------------------------------------------------------------------ saving and resuming

    def state_dict(self) -> dict[str, Any]:
        """Return what is needed to resume, beside the model's and the optimizers' own state.

        It holds tensors and plain data only.

        Raises:
            InvalidInput: weights outside the masks are not 0: the model would not fit the masks.
        """
        if self._steps.is_attached:
            self._steps.check_weights(read=True)
        return self._steps.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a `state_dict`; model and optimizers may be loaded before or after.

        Raises:
            InvalidInput: it is not such a state, or one of another method, of other settings or
                of other layers. Nothing has changed then.
        """
        self._require_attached("load_state_dict")
        self._steps.load_state_dict(state)

    def detach(self) -> None:
        """Detach from model and optimizers: weights keep their values and are no longer masked.

        Sparse (CSR) layers become ordinary Linear layers again, with dense weights.
        """
        self._steps.detach()

    def __deepcopy__(self, memo: dict[int, Any]) -> "CopiedHandle":
        """Return what a copy of a handle is: not attached to anything."""
        return CopiedHandle(self.method)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as a handle that is not attached to anything."""
        return CopiedHandle, (self.method,)

    def _require_attached(self, called: str) -> None:
        if not self._steps.is_attached:
            raise InvalidInput(
                f"{called}: this handle is detached; call sparsify again, with state= or masks="
            )


def is_whole(value: Any) -> bool:
    """Return whether a value is a whole number, of Python or NumPy."""
    return isinstance(value, Integral) and not isinstance(value, bool)
