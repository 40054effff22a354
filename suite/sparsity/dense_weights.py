"""Methods that train more weights than their forward pass uses: dense weights behind sparse ones.

Top-KAST, SR-STE and STR share this base class. Between steps the parameter holds what the forward
pass uses, zeros included, so that evaluation, averages, checks and export see the sparse network.
The weights that are trained are the method's own state: they are put into the parameter before the
optimizer steps and taken out after it, so that momentum, weight decay and any optimizer act on
them.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from suite.core.errors import InvalidInput
from suite.sparsity.nonfinite import name_nonfinite_layer
from suite.sparsity.plan import Plan
from suite.sparsity.sparsifier import Sparsifier
from suite.sparsity.storage.masked import MaskedWeight

COMPARE_EVERY = 64
"""Steps after which weights are compared with what the method left, whether or not torch has noted
a write: ``weight.data`` is written without its notice. On a GPU the comparison waits for it."""


class Shown(NamedTuple):
    """What the forward pass uses of one weight. Tensors have the weight's shape.

    Attributes:
        mask: boolean; True where a weight is active.
        values: 0 outside the mask.
        active: number of True in the mask.
    """

    mask: Tensor
    values: Tensor
    active: int


class DenseWeights(Sparsifier, ABC):
    """Trains dense weights and uses some of them, or a function of them, in the forward pass.

    A subclass defines `shown`, which is called after every step, and `begin`, where it chooses
    which weights are trained besides the active ones (`MaskedWeight.train_beyond`). It may add to
    their gradients in `regularize`, and do in `update` what happens at an interval (`is_update`).

    Layers that the method never prunes are ordinary ones. A layer that is frozen midway keeps its
    weights and its mask, and goes on from its dense weights if it is thawed.

    Attributes:
        dense: the weights that are trained, by layer name; empty once training is over.
        is_over: whether training is over (`finish`): the active weights are all there is.
    """

    only_masked = "the method trains weights that its forward pass does not use"

    def __init__(self, plan: Plan, options: Mapping[str, Any]) -> None:
        super().__init__(plan, options)
        self.dense: dict[str, Tensor] = {}
        self.is_over = False
        self._left: dict[str, tuple[int, int]] = {}
        self._groups: dict[str, int] = {}

    # ------------------------------------------------------------------ what a method defines

    @abstractmethod
    def begin(self) -> None:
        """Choose what is trained (`train_beyond`), and set up state; `dense` is there.

        Also called before a saved state is loaded.
        """

    @abstractmethod
    def shown(self, weight: MaskedWeight, dense: Tensor) -> Shown:
        """Return what the forward pass uses, from the trained weights `dense`.

        It must depend on `dense` and the method's state alone, and is called under ``no_grad``. A
        mask that has not changed is best returned as the same tensor.
        """

    def own_state(self) -> dict[str, Any]:
        """Return the state of the method beside its dense weights, as `method_state` does."""
        return {}

    def load_own_state(self, state: Mapping[str, Any]) -> None:
        """Restore what `own_state` returned, and which weights are trained; masks are loaded."""

    def regularize(self, weight: MaskedWeight, gradient: Tensor, dense: Tensor) -> None:
        """Add to a weight's gradient, in place, before the optimizer reads it.

        The gradient is the one that the optimizer would read: accumulated, averaged over replicas,
        without a loss scale, clipped; negated where the optimizer maximizes, so that it always
        points up the loss. It is 0 for weights without a gradient (`train_beyond`).
        """

    # ------------------------------------------------------------------ called by the base class

    @property
    def weights(self) -> list[MaskedWeight]:
        """The weights behind which there are dense ones, in network order."""
        return [weight for weight in self.execution.masked_weights() if weight.name in self.dense]

    @torch.no_grad()
    def start(self) -> None:
        """Take the initial weights as those that are trained, and hide what is not used."""
        self._begin()
        for weight in self.weights:
            weight.mask_state()  # the optimizer may have trained before
        self.show(0)

    @torch.no_grad()
    def resume(self) -> None:
        """Prepare for a state that is loaded next."""
        self._begin()

    def _begin(self) -> None:
        self._require_one(self.optimizers)
        if self.is_global:
            pruned = {layer.name for layer in self.prunable_layers}
        else:
            pruned = {name for name, zeros in self.target_zeros().items() if zeros}
        weights = self.execution.masked_weights()
        self.dense = {
            weight.name: weight.values.clone() for weight in weights if weight.name in pruned
        }
        self.begin()

    def restart(self, optimizer: torch.optim.Optimizer | Sequence[torch.optim.Optimizer]) -> None:
        """Continue with a new optimizer; weights that were written go back to the method's own.

        Raises:
            InvalidInput: there are several optimizers.
        """
        self._require_one(optimizer)
        super().restart(optimizer)
        self.show(None)

    def _require_one(
        self, optimizer: torch.optim.Optimizer | Sequence[torch.optim.Optimizer]
    ) -> None:
        if isinstance(optimizer, Sequence) and len(optimizer) > 1:
            raise InvalidInput(
                f"{type(self).__name__} puts dense weights into the model while the optimizer "
                f"steps, which works for one optimizer, not {len(optimizer)}: train all layers "
                "with one"
            )

    def continue_as(self, plan: Plan, options: Mapping[str, Any], step: int) -> Sparsifier:
        """Return this method under another plan, attached to the same layers.

        Raises:
            InvalidInput: training is over, the method cannot raise its sparsity, or a new target
                cannot be met.
        """
        if self.is_over:
            raise InvalidInput(
                f"extend: after the last step, {self.plan.steps}, {type(self).__name__} has kept "
                "the active weights alone: extend the plan before that step"
            )
        return super().continue_as(plan, options, step)

    def read_gradients(self, step: int) -> None:
        """Check that the weights are those of the last step; then as the base class does.

        Raises:
            InvalidInput: something else has written other values to the weights.
        """
        self._check_unwritten(step)
        super().read_gradients(step)

    def update_connectivity(self, step: int) -> bool:
        """Update where due, then put the dense weights in for the optimizer's step."""
        skips = super().update_connectivity(step)
        groups = [group for one in self.optimizers for group in one.param_groups]
        may_ascend = any(group.get("maximize") for group in groups)
        with torch.no_grad():
            for weight in self.weights:
                dense, gradient = self.dense[weight.name], weight.parameter.grad
                if gradient is not None and weight.trained:
                    ascends = may_ascend and self.group_of(weight).get("maximize")
                    if ascends:
                        gradient.neg_()
                    self.regularize(weight, gradient, dense)
                    if ascends:
                        gradient.neg_()
                weight.put_in(dense)
        return skips

    @torch.no_grad()
    def after_step(self, step: int) -> None:
        """Take the dense weights out again and leave those that the forward pass uses."""
        for weight in self.weights:
            weight.take_out(self.dense[weight.name])
        self.show(step)
        super().after_step(step)
        self._note_left()  # masking what an optimizer has moved writes to the weights again

    def finish(self) -> None:
        """Keep what the forward pass uses, and drop the rest."""
        self.dense, self.is_over = {}, True
        self._train_active_only()

    @property
    def is_dynamic(self) -> bool:
        """Whether the method updates connectivity while the network trains: it does."""
        return True

    def group_of(self, weight: MaskedWeight) -> dict[str, Any]:
        """Return the optimizer's settings for a weight: learning rate, momentum, weight decay."""
        groups = weight.optimizer.param_groups
        index = self._groups.get(weight.name, 0)
        # The place is kept, not the group: loading an optimizer's state makes new ones.
        if index >= len(groups) or not _holds(groups[index], weight.parameter):
            index = next(i for i, group in enumerate(groups) if _holds(group, weight.parameter))
            self._groups[weight.name] = index
        group: dict[str, Any] = groups[index]
        return group

    def is_idle(self) -> bool:
        """Return whether masks, chosen at an interval, are chosen at no step of this training.

        Those of a method without an interval follow the dense weights at every step.
        """
        return type(self).is_update is not Sparsifier.is_update and super().is_idle()

    def keeps_masks(self, step: int) -> bool:
        """Return whether training is over: until then masks follow the dense weights."""
        return self.is_over

    def method_state(self) -> dict[str, Any]:
        """Return the dense weights and the method's own state."""
        return {"dense": self.dense, "is_over": self.is_over, "own": self.own_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a `state_dict`, as the base class does."""
        self.check_state_dict(state)
        if self.is_over:
            self._begin()
        for weight in self.weights:
            weight.keep_all_state()  # of which weights is in what is loaded now
        super().load_state_dict(state)

    @torch.no_grad()
    def load_method_state(self, state: Mapping[str, Any]) -> None:
        """Restore the dense weights, and with them what the forward pass uses."""
        self.is_over = state["is_over"]
        if self.is_over:
            self.dense = {}
        for name, values in state["dense"].items():
            self.dense[name].copy_(values)
        self.load_own_state(state["own"])
        if self.is_over:
            self._train_active_only()
        self.show(None)

    def _train_active_only(self) -> None:
        for weight in self.execution.masked_weights():
            weight.train_beyond(None)
            weight.set_mask(weight.mask)

    @torch.no_grad()
    def show(self, step: int | None) -> None:
        """Show what the forward pass uses; `step` is the one that is over, None if none is."""
        with name_nonfinite_layer(self.layers, step or 0):
            for weight in self.weights:
                mask, values, active = self.shown(weight, self.dense[weight.name])
                if step == 0:
                    self._exploration.begin(weight.name, mask)
                elif step is not None and mask is not weight.mask:
                    self._exploration.add(weight.name, mask)
                weight.show(mask, values, active)
        self._note_left()

    def _note_left(self) -> None:
        self._left = {weight.name: _trace(weight) for weight in self.weights}

    @torch.no_grad()
    def _check_unwritten(self, step: int) -> None:
        """Check that the parameters hold what this method has put there; see `read_gradients`."""
        compares = step % COMPARE_EVERY == 0 or step == self.plan.steps
        with name_nonfinite_layer(self.layers, step):
            for weight in self.weights:
                if not compares and _trace(weight) == self._left.get(weight.name):
                    continue
                expected = self.shown(weight, self.dense[weight.name]).values
                if not torch.allclose(expected, weight.values, rtol=0, atol=0, equal_nan=True):
                    raise InvalidInput(
                        f"layer '{weight.name}': weights were written that {type(self).__name__} "
                        "does not know, and which its own dense weights would replace: load the "
                        "method's state too (handle.load_state_dict), go back to its own "
                        "(handle.apply_masks()), or call sparsify again"
                    )
        self._note_left()


def _trace(weight: MaskedWeight) -> tuple[int, int]:
    """Return what most writes to a parameter change: its version, and where its values lie."""
    return weight.parameter._version, weight.parameter.data_ptr()


def _holds(group: Mapping[str, Any], parameter: Tensor) -> bool:
    return any(one is parameter for one in group["params"])
