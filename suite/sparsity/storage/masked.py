"""Masked storage: every weight is stored, the inactive ones as zeros."""

import weakref
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from suite.core.errors import InvalidInput
from suite.sparsity.layers import check_mask, gradient_not_requested
from suite.sparsity.masks import count_true, places_of
from suite.sparsity.prunable import Prunable

KEEPS_ZEROS = (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW)
"""Optimizers for which a zero weight with zero state and zero gradient stays zero.

Tested one by one, with momentum, Nesterov and weight decay. Under any other optimizer, weights
and state are masked again after each step.
"""


def keeps_zeros(optimizer: torch.optim.Optimizer) -> bool:
    """Return whether masking the gradient is enough to keep pruned weights at zero."""
    return type(optimizer) in KEEPS_ZEROS


def optimizer_of(
    parameter: nn.Parameter, optimizers: Sequence[torch.optim.Optimizer]
) -> torch.optim.Optimizer | None:
    """Return the optimizer that trains a parameter, if one does."""
    for optimizer in optimizers:
        if any(p is parameter for group in optimizer.param_groups for p in group["params"]):
            return optimizer
    return None


def check_not_of_csr(name: str, parameter: Tensor, key: str, value: Tensor) -> None:
    """Check that optimizer state was not saved under ``execution=csr``, by non-zero values.

    Raises:
        InvalidInput: it was, as its shape shows.
    """
    if value.ndim == 1 < parameter.ndim and 1 < len(value) <= parameter.numel():
        raise InvalidInput(
            f"layer '{name}': the optimizer's state '{key}' has {len(value):,} values for a weight "
            f"of shape {tuple(parameter.shape)}, as execution=csr saves it: give the method's "
            "state too, sparsify(…, execution='csr', state=…)"
        )


def replace_state(
    optimizer: torch.optim.Optimizer, parameter: nn.Parameter, state: dict[str, Any] | None
) -> None:
    """Replace an optimizer's state of a parameter; None removes it."""
    optimizer.state.pop(parameter, None)
    if state is not None:
        optimizer.state[parameter] = state


class MaskedWeight:
    """In-place masking of an ``nn.Parameter``: inactive weights are stored, as zeros.

    The invariant, kept by `set_mask` and by masking gradients before each optimizer step: where
    the mask is False, the weight and every optimizer state of its shape are 0. An optimizer with
    state of another shape, which mixes weights, is refused (InvalidInput). Under `train_beyond` the
    weight is 0 outside its mask between steps, and the state is kept for every weight trained.

    Attributes:
        active: number of weights in the mask; under `show` as the method has counted them last.
        gradients: number of weights whose gradients are computed at every step.
    """

    def __init__(self, prunable: Prunable, optimizer: torch.optim.Optimizer) -> None:
        parameter = prunable.parameter
        self.prunable = prunable
        self.name, self.path = prunable.name, prunable.path
        self.input_dim = prunable.input_dim
        self.parameter = parameter
        self.shape = parameter.shape
        self.size = self.active = self.gradients = parameter.numel()
        self.mask = torch.ones_like(parameter, dtype=torch.bool)
        # The mask again in the parameter's dtype: multiplying a gradient by a boolean mask
        # converts it every time, which is seven times slower (measured on 266,000 weights).
        self.multiplier = torch.ones_like(parameter, requires_grad=False)
        self.frozen: Tensor | None = None
        self._trained: Tensor | None = None
        self._untrained: Tensor | None = None
        self._masks_gradient = False
        self.optimizer = optimizer
        self._gradient = MaskedGradient(self.name)

    @property
    def device(self) -> torch.device:
        """Where the weight lives."""
        return self.parameter.device

    @property
    def trained(self) -> bool:
        """Whether the weight is being trained; False once it was frozen."""
        return self.parameter.requires_grad

    @property
    def values(self) -> Tensor:
        """Dense values, zero where inactive; read only."""
        return self.parameter.detach()

    @property
    def places(self) -> Tensor:
        """Flat indices of the active weights, ascending; computed at each access."""
        return places_of(self.mask)

    @property
    def active_values(self) -> Tensor:
        """Values of the active weights, in the order of their `places`."""
        return self.values.flatten().index_select(0, self.places)

    @property
    def has_gradient(self) -> bool:
        """Whether the loss depends on the weight: whether it has a dense gradient."""
        return self.dense_gradient is not None

    @property
    def dense_gradient(self) -> Tensor | None:
        """Gradient of every weight, inactive ones included.

        Autograd computes it in any case, but a method that reads it must be charged its FLOPs.
        """
        return self._gradient.dense(self.parameter.grad)

    def gradient_at(self, places: Tensor) -> Tensor | None:
        """Return the gradient of the weights at flat `places` [m], taken from the dense one."""
        gradient = self.dense_gradient
        return None if gradient is None else gradient.flatten().index_select(0, places)

    @property
    def active_gradient(self) -> Tensor | None:
        """Gradient of the active weights, 0 elsewhere; None if there is none."""
        gradient = self.parameter.grad
        return None if gradient is None else torch.where(self.mask, gradient, 0)

    @property
    def kept(self) -> Tensor:
        """1 where there is a weight, 0 elsewhere, in the weight's dtype."""
        if self.frozen is None and self._trained is None:
            return self.multiplier
        return self.mask.to(self.parameter.dtype)

    @property
    def kept_state(self) -> Tensor:
        """1 where optimizer state is kept, 0 elsewhere: that of weights that are trained."""
        return self.kept if self._trained is None else self._trained

    @torch.no_grad()
    def restore_values(self, values: Tensor) -> None:
        """Replace the weight by dense values; a mask must follow."""
        self.parameter.copy_(values)

    @torch.no_grad()
    def replace_values(self, values: Tensor) -> None:
        """Give the active weights new values, those of dense ones; the optimizer state stays."""
        self.parameter.copy_(torch.where(self.mask, values, 0))

    def restore_state(self, state: dict[str, Any] | None) -> None:
        """Replace the optimizer's state of this weight; a mask must follow."""
        replace_state(self.optimizer, self.parameter, state)

    def request_gradient(self, wanted: bool) -> None:
        """Set whether `dense_gradient` will be read after the next backward pass."""
        self._gradient.request(wanted)

    def add_backward_pass(self) -> None:
        """Keep the dense gradient of a backward pass that has just ended, if it was requested.

        Call it before the gradient is masked, under ``no_grad``. Passes that autograd accumulates
        are added up.
        """
        if (gradient := self.parameter.grad) is not None:
            self._gradient.add_pass(gradient, self.multiplier)

    @torch.no_grad()
    def keep_dense_gradient(self, inverse_scale: Tensor | None = None) -> None:
        """Keep the dense gradient, if it was requested, until the next `request_gradient`.

        It is what `dense_gradient` returns from then on, whatever happens to the gradient itself
        (masking, clipping). What `add_backward_pass` has kept of this gradient stays.

        Args:
            inverse_scale: a scalar that the kept gradient is multiplied by: 1 / the loss scale.
        """
        self._gradient.keep(self.parameter.grad, self.mask, inverse_scale)

    def withhold_dense_gradient(self) -> None:
        """Refuse to return a dense gradient that was not kept, until it is dropped or requested."""
        self._gradient.withhold()

    def drop_dense_gradient(self) -> None:
        """Drop the dense gradient that was kept."""
        self._gradient.drop()

    def note_unused(self) -> None:
        """Note that no backward pass of this step has reached this weight.

        A gradient of 0, left by ``zero_grad(set_to_none=False)``, is then none.
        """
        gradient = self.parameter.grad
        if gradient is not None and not bool(gradient.any()):
            self._gradient.hide()

    def unmasked_gradient(self, *, before_update: bool = False) -> Tensor | None:
        """Return the gradient if there is something in it to mask; see `mask_gradients`."""
        gradient = self.parameter.grad
        if gradient is None:
            return None
        if self._has_all_gradients and (before_update or self.frozen is None):
            return None
        return None if self._gradient.is_masked(gradient) else gradient

    @property
    def _has_all_gradients(self) -> bool:
        """Whether nothing in a gradient is to be masked, unless weights are frozen."""
        return self.gradients == self.size and not self._masks_gradient

    def mask_gradient(self, *, before_update: bool = False) -> None:
        """Zero the gradient of inactive and frozen weights; see `mask_gradients`."""
        gradient = self.unmasked_gradient(before_update=before_update)
        if gradient is not None:
            gradient.mul_(self.multiplier)
            self._gradient.note_masked(gradient)

    def mask_new_gradient(self, *, before_update: bool = False) -> None:
        """Do as `mask_gradient`, for a gradient that a backward pass has just added to."""
        gradient = self.parameter.grad
        if gradient is None or (self._has_all_gradients and (before_update or self.frozen is None)):
            return
        gradient.mul_(self.multiplier)
        self._gradient.note_masked(gradient)

    def note_masked(self, gradient: Tensor) -> None:
        """Note that `gradient`, this weight's as it is now, is masked."""
        self._gradient.note_masked(gradient)

    @torch.no_grad()
    def set_mask(self, mask: Tensor) -> None:
        """Make `mask` (boolean, the weight's shape) the connectivity of this weight."""
        check_mask(self, mask)
        # A grown weight is trained from the next step on: its gradient of this step may not be
        # available if dense gradients were not requested. So the old mask applies once more.
        self.mask_gradient(before_update=True)
        self.mask = mask
        self.active = count_true(mask)
        self.frozen = None
        if self._trained is None or self._masks_gradient:
            self._keep_gradients(mask, self.active)
        self.apply_mask()

    @torch.no_grad()
    def train_beyond(self, trained: Tensor | None, *, gradients: bool = True) -> None:
        """Train more weights than the mask has: their optimizer state is kept.

        The caller puts their values into the parameter before the optimizer steps and takes them
        out after it (`suite.sparsity.dense_weights`).

        Args:
            trained: boolean, the weight's shape, True wherever the mask is; None to train the
                active weights alone again, from the next `set_mask` on.
            gradients: whether all of them have a gradient; if not, only active weights have one,
                and weight decay and momentum move the others.
        """
        self._masks_gradient = trained is not None and not gradients
        self._untrained = None
        if trained is None:
            self._trained = None
            return
        count = count_true(trained)
        if gradients:
            self._keep_gradients(trained, count)
            self._trained = self.multiplier
        else:
            self._keep_gradients(self.mask, self.active)
            self._trained = trained.to(self.multiplier.dtype)
        if count < self.size:
            self._untrained = 1 - self._trained

    def keep_all_state(self) -> None:
        """Keep the optimizer state of every weight until the next `train_beyond`.

        State may be loaded before it is known which weights it was kept for.
        """
        if self._untrained is not None:
            self._trained, self._untrained = torch.ones_like(self.multiplier), None

    def put_in(self, dense: Tensor) -> None:
        """Let the optimizer step from `dense`: those that are trained, 0 for the others.

        So weight decay, and whatever else an optimizer does, leaves the others alone.
        """
        self.parameter.copy_(dense)
        if self._untrained is not None:
            self.parameter.mul_(self.kept_state)

    def take_out(self, dense: Tensor) -> None:
        """Write into `dense` what the optimizer has made of the weights that are trained."""
        if self._untrained is None:
            dense.copy_(self.parameter)
        else:
            dense.mul_(self._untrained).add_(self.parameter.mul_(self.kept_state))

    @torch.no_grad()
    def show(self, mask: Tensor, values: Tensor, active: int) -> None:
        """Make `values`, 0 outside `mask`, what the forward pass uses; for `train_beyond`.

        `active` is the number of weights in the mask, which is not counted here: on a GPU that
        would wait for the device at every step.
        """
        if self._masks_gradient and mask is not self.mask:
            self._keep_gradients(mask, active)
        self.mask, self.active = mask, active
        self.parameter.copy_(values)

    def _keep_gradients(self, of: Tensor, count: int) -> None:
        """Keep the gradients of the `count` weights where `of` (boolean) is True, and no others."""
        self.gradients = count
        # From bytes: from booleans takes seven times as long.
        self.multiplier.copy_(of.view(torch.uint8))
        self._gradient.forget_masked()

    @torch.no_grad()
    def freeze_weights(self, frozen: Tensor) -> None:
        """Keep the weights where `frozen` (boolean, the weight's shape) is True as they are."""
        self.multiplier.copy_((self.mask & ~frozen).view(torch.uint8))
        self.frozen = self.parameter.detach() * frozen if bool(frozen.any()) else None
        self._gradient.forget_masked()

    def bind(self, optimizers: Sequence[torch.optim.Optimizer]) -> None:
        """Use the one that trains this weight from now on; mask the weight and its state."""
        self.optimizer = optimizer_of(self.parameter, optimizers) or self.optimizer
        self.apply_mask()

    def apply_mask(self) -> None:
        """Zero the weights and the optimizer state outside the mask.

        Raises:
            InvalidInput: the optimizer keeps state that a mask cannot be applied to.
        """
        # Checked first, so that an optimizer that is refused leaves the weights as they were.
        # Grown weights need no special treatment: outside the old mask everything was 0.
        tensors, multipliers = self.maskings()
        with torch.no_grad():
            torch._foreach_mul_(tensors, multipliers)

    def maskings(self) -> tuple[list[Tensor], list[Tensor]]:
        """Return the weight and the optimizer state of its shape, and what masks each of them.

        Raises:
            InvalidInput: the optimizer keeps state that a mask cannot be applied to.
        """
        state = self._masked_state()
        return [self.parameter, *state], [self.kept] + [self.kept_state] * len(state)

    @torch.no_grad()
    def mask_state(self) -> None:
        """Zero the optimizer state outside the mask.

        Raises:
            InvalidInput: the optimizer keeps state that a mask cannot be applied to.
        """
        for value in self._masked_state():
            value.mul_(self.kept_state)

    def _masked_state(self) -> list[Tensor]:
        state: dict[str, Any] = self.optimizer.state.get(self.parameter, {})
        found = []
        for key, value in state.items():
            if not isinstance(value, Tensor):
                continue
            if value.shape != self.shape:
                if value.numel() <= 1:  # a step count, or a norm of the layer
                    continue
                check_not_of_csr(self.name, self.parameter, key, value)
                # Factored moments, for instance.
                raise InvalidInput(
                    f"{type(self.optimizer).__name__} keeps state '{key}' of shape "
                    f"{tuple(value.shape)} for layer '{self.name}' of shape {tuple(self.shape)}, "
                    "which a mask cannot be applied to; use SGD, Adam or AdamW"
                )
            found.append(value)
        return found


class MaskedGradient:
    """What happens to the gradient of one masked weight between backward and the optimizer step.

    A dense gradient can be kept before the gradient itself is masked, so that what is clipped and
    stepped with is masked and a method still reads all of it.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._requested = True
        self._hidden = False
        self._withheld = False
        self._kept: Tensor | None = None
        self._kept_of: weakref.ref[Tensor] | None = None
        self._buffer: Tensor | None = None
        self._masked: tuple[weakref.ref[Tensor], int] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Return the state of a copy, without references to the gradient."""
        return vars(self) | dict.fromkeys(("_kept", "_kept_of", "_buffer", "_masked"))

    def request(self, wanted: bool) -> None:
        """Start over; `wanted`: a dense gradient will be read after the next backward pass."""
        self._requested, self._kept, self._hidden = wanted, None, False
        self._withheld = False

    def dense(self, gradient: Tensor | None) -> Tensor | None:
        """Return the dense gradient: the one that was kept, else the gradient as it is.

        Raises:
            InvalidInput: it was not requested, or is withheld and was not kept.
        """
        if not self._requested:
            raise gradient_not_requested(self._name)
        if self._withheld and self._kept is None:
            raise InvalidInput(
                f"layer '{self._name}': dense_gradient is read in update, of a method with "
                "update_reads_dense_gradients = False: set it to True, or read it in observe"
            )
        if self._hidden:
            return None
        return gradient if self._kept is None else self._kept

    def hide(self) -> None:
        """Have no dense gradient in this step."""
        self._hidden = True

    def add_pass(self, gradient: Tensor, mask: Tensor) -> None:
        """Keep `gradient` after a backward pass; `mask` is 0 where earlier passes were masked."""
        if not self._requested:
            return
        writes = self._written_since(gradient)
        if self._kept is not None and writes == 0:
            return  # the pass did not reach this weight
        if self._kept is not None and writes == 1:
            # The one write is this pass. Of active weights, `gradient` holds autograd's own sum;
            # of the others it holds this pass alone.
            self._kept.add_(gradient)
            torch.where(mask != 0, gradient, self._kept, out=self._kept)
        else:
            self._copy(gradient)

    def keep(
        self, gradient: Tensor | None, mask: Tensor, inverse_scale: Tensor | None = None
    ) -> None:
        """Keep `gradient`, if it was requested and is not the one that is kept already.

        A gradient that was put in the place of the one that was kept, and is 0 outside `mask`, was
        computed from it after it was masked (``p.grad = p.grad / 2``): what was kept then stays.
        """
        if not self._requested:
            return
        if gradient is None:
            self._kept = None
        elif self._kept is None or self._kept_of is None:
            self._copy(gradient)
        elif self._kept_of() is not gradient:
            is_new = torch.where(mask, 0, gradient).any()  # not read here: no synchronisation
            self._kept = torch.where(is_new, gradient, self._kept)
            self._kept_of = weakref.ref(gradient)
        if self._kept is not None and inverse_scale is not None:
            self._kept.mul_(inverse_scale)

    def withhold(self) -> None:
        """Refuse `dense` from now on, unless the gradient was kept: it is about to be masked."""
        self._withheld = True

    def drop(self) -> None:
        """Drop what was kept."""
        self._kept, self._withheld = None, False

    def _copy(self, gradient: Tensor) -> None:
        # Memory is used again: allocating it takes as long as the copy.
        if self._buffer is None or not _is_alike(self._buffer, gradient):
            self._buffer = torch.empty_like(gradient)
        self._kept = self._buffer.copy_(gradient)
        self._kept_of = weakref.ref(gradient)

    def note_masked(self, gradient: Tensor) -> None:
        """Note that `gradient`, as it is now, is masked."""
        self._masked = (weakref.ref(gradient), gradient._version)

    def forget_masked(self) -> None:
        """Note that the mask has changed."""
        self._masked = None

    def is_masked(self, gradient: Tensor) -> bool:
        """Return whether `gradient` was masked and has not been written to since."""
        return self._written_since(gradient) == 0

    def _written_since(self, gradient: Tensor) -> int:
        """Return how often the masked gradient was written to; -1 if this is another tensor."""
        if self._masked is None or self._masked[0]() is not gradient:
            return -1
        return gradient._version - self._masked[1]


def _is_alike(one: Tensor, other: Tensor) -> bool:
    same_type = one.dtype == other.dtype and one.device == other.device
    return same_type and one.shape == other.shape


def mask_gradients(weights: Sequence[MaskedWeight], *, before_update: bool = False) -> None:
    """Zero the gradients of inactive and frozen weights, in one fused operation.

    `before_update` leaves out layers that have no zeros yet: a weight of theirs that the update
    unfreezes is trained in this step already.
    """
    unmasked: list[MaskedWeight] = []
    gradients: list[Tensor] = []
    for weight in weights:
        gradient = weight.unmasked_gradient(before_update=before_update)
        if gradient is not None:
            unmasked.append(weight)
            gradients.append(gradient)
    if unmasked:
        with torch.no_grad():
            torch._foreach_mul_(gradients, [weight.multiplier for weight in unmasked])
        for weight, gradient in zip(unmasked, gradients, strict=True):
            weight.note_masked(gradient)


def mask_moved(weights: Sequence[MaskedWeight]) -> None:
    """Mask weights and state again whose optimizer may have moved zeros (not `keeps_zeros`)."""
    tensors: list[Tensor] = []
    multipliers: list[Tensor] = []
    for weight in weights:
        if not keeps_zeros(weight.optimizer):
            moved, masks = weight.maskings()
            tensors += moved
            multipliers += masks
    if tensors:
        with torch.no_grad():
            torch._foreach_mul_(tensors, multipliers)


def hold_frozen(weights: Sequence[MaskedWeight]) -> None:
    """Take frozen weights as they are now, before a step: the model may have been loaded since."""
    for weight in weights:
        if weight.frozen is not None:
            weight.frozen = weight.parameter.detach() * (weight.kept - weight.multiplier)


def restore_frozen(weights: Sequence[MaskedWeight]) -> None:
    """Put frozen weights back to what they were: momentum and weight decay have moved them."""
    holding = [w for w in weights if w.frozen is not None]
    if holding:
        parameters: list[Tensor] = [weight.parameter for weight in holding]
        with torch.no_grad():
            torch._foreach_mul_(parameters, [weight.multiplier for weight in holding])
            torch._foreach_add_(parameters, [w.frozen for w in holding if w.frozen is not None])
