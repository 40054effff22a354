"""Methods that train more weights than their forward pass uses: dense weights behind sparse ones.

Top-KAST, SR-STE and STR share this base class. Between steps the parameter holds what the forward
pass uses, zeros included, so that evaluation, averages, checks and export see the sparse network.
The weights that are trained are the method's own state: they are put into the parameter before the
optimizer steps and taken out after it, so that momentum, weight decay and any optimizer act on
them.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from suite.core.errors import InvalidInput
from suite.sparsity.nonfinite import name_nonfinite_layer
from suite.sparsity.plan import Plan
from suite.sparsity.sparsifier import Sparsifier
from suite.sparsity.storage.masked import MaskedWeight


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

    Attributes:
        dense: the weights that are trained, by layer name; empty once training is over.
    """

    only_masked = "the method trains weights that its forward pass does not use"

    def __init__(self, plan: Plan, options: Mapping[str, Any]) -> None:
        super().__init__(plan, options)
        self.dense: dict[str, Tensor] = {}
        self._versions: dict[str, int] = {}

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
        """Restore what `own_state` returned."""

    def regularize(self, weight: MaskedWeight, gradient: Tensor, dense: Tensor) -> None:
        """Add to a weight's gradient, in place, before the optimizer reads it."""

    # ------------------------------------------------------------------ called by the base class

    @property
    def weights(self) -> list[MaskedWeight]:
        """The prunable weights that are trained, in network order."""
        return [weight for weight in self.execution.masked_weights() if weight.trained]

    @torch.no_grad()
    def start(self) -> None:
        """Take the initial weights as those that are trained, and hide what is not used."""
        if len(self.optimizers) > 1:
            raise InvalidInput(
                f"{type(self).__name__} puts dense weights into the model while the optimizer "
                f"steps, which works for one optimizer, not {len(self.optimizers)}: train all "
                "layers with one"
            )
        self.dense = {weight.name: weight.values.clone() for weight in self.weights}
        self.begin()
        self._take_out(0)

    @torch.no_grad()
    def resume(self) -> None:
        """Prepare for a state that is loaded next."""
        self.dense = {weight.name: weight.values.clone() for weight in self.weights}
        self.begin()

    def read_gradients(self, step: int) -> None:
        """Check that the weights are those of the last step; then as the base class does.

        Raises:
            InvalidInput: something else has written other values to the weights.
        """
        self._check_unwritten()
        super().read_gradients(step)

    def update_connectivity(self, step: int) -> bool:
        """Update where due, then put the dense weights in for the optimizer's step."""
        skips = super().update_connectivity(step)
        with torch.no_grad():
            for weight in self.weights:
                if (dense := self.dense.get(weight.name)) is None:
                    continue
                if (gradient := weight.parameter.grad) is not None:
                    self.regularize(weight, gradient, dense)
                weight.parameter.copy_(dense)
        return skips

    @torch.no_grad()
    def after_step(self, step: int) -> None:
        """Take the dense weights out again and leave those that the forward pass uses."""
        for weight in self.weights:
            if (dense := self.dense.get(weight.name)) is not None:
                dense.copy_(weight.parameter)
        self._take_out(step)
        super().after_step(step)
        self._note_versions()  # masking what an optimizer has moved writes to the weights again

    def finish(self) -> None:
        """Keep what the forward pass uses, and drop the rest."""
        self.dense = {}
        self._train_active_only()

    @property
    def is_dynamic(self) -> bool:
        """Whether the method updates connectivity while the network trains: it does."""
        return True

    def is_idle(self) -> bool:
        """Return that masks follow the dense weights at every step."""
        return False

    def method_state(self) -> dict[str, Any]:
        """Return the dense weights and the method's own state."""
        return {"dense": self.dense, "own": self.own_state()}

    def load_method_state(self, state: Mapping[str, Any]) -> None:
        """Restore the dense weights, and with them what the forward pass uses."""
        self.dense = {name: values.clone() for name, values in state["dense"].items()}
        self.load_own_state(state["own"])
        if self.dense:
            self._take_out(None)
        else:  # saved after the end of training
            self._train_active_only()

    def _train_active_only(self) -> None:
        for weight in self.execution.masked_weights():
            weight.train_beyond(None)
            weight.set_mask(weight.mask)

    @torch.no_grad()
    def _take_out(self, step: int | None) -> None:
        """Show what the forward pass uses; `step` is the one that is over, None if none is."""
        with name_nonfinite_layer(self.layers, step or 0):
            for weight in self.weights:
                if (dense := self.dense.get(weight.name)) is None:
                    continue
                mask, values, active = self.shown(weight, dense)
                if step == 0:
                    self.exploration.begin(weight.name, mask)
                elif step is not None and mask is not weight.mask:
                    self.exploration.add(weight.name, mask)
                weight.show(mask, values, active)
        self._note_versions()

    def _note_versions(self) -> None:
        self._versions = {weight.name: weight.parameter._version for weight in self.weights}

    @torch.no_grad()
    def _check_unwritten(self) -> None:
        """Check that the parameters hold what this method has put there; see `read_gradients`."""
        for weight in self.weights:
            dense = self.dense.get(weight.name)
            if dense is None or weight.parameter._version == self._versions.get(weight.name):
                continue
            if not torch.equal(self.shown(weight, dense).values, weight.values):
                raise InvalidInput(
                    f"layer '{weight.name}': weights were written that {type(self).__name__} does "
                    "not know, and which its own dense weights would replace: load the method's "
                    "state too (handle.load_state_dict), or call sparsify again"
                )
        self._note_versions()
