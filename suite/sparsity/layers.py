"""The seam between a method and a model: one prunable weight, seen through a small interface.

A sparsifier never touches a module's parameter. It reads values and gradients here and hands
back masks; what a mask means for the storage of the weight (zeros in place, or a vector of
non-zero values) is decided behind this interface.
"""

import fnmatch
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from suite.core.errors import InvalidInput
from suite.sparsity.masks import count_true
from suite.sparsity.storage.optimizer_state import mask_state

PRUNABLE = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


class PrunableWeight(Protocol):
    """One weight tensor whose connectivity can change. All tensors have the weight's shape."""

    name: str
    shape: torch.Size

    @property
    def active(self) -> int:
        """Number of active weights."""

    @property
    def mask(self) -> Tensor:
        """The connectivity, boolean; read only."""

    @property
    def size(self) -> int:
        """Number of weights, active or not."""

    @property
    def device(self) -> torch.device:
        """Where the weight lives."""

    @property
    def values(self) -> Tensor:
        """Dense values, zero where inactive; read only."""

    @property
    def dense_gradient(self) -> Tensor | None:
        """Gradient of every weight, inactive ones included.

        None if there was no backward pass, or in a step for which `wants_dense_gradient` said no.
        """

    def set_mask(self, mask: Tensor) -> None:
        """Zero what is dropped, start what is grown at 0, clear the optimizer state of both.

        What is grown moves from the next step on: its gradient of the current step is zeroed.
        """

    def freeze_weights(self, frozen: Tensor) -> None:
        """Keep the weights where `frozen` is True as they are, in the network but untrained.

        It lasts until the next `set_mask` or `hold`.
        """

    def bind(self, optimizer: torch.optim.Optimizer) -> None:
        """Use another optimizer from now on, and apply the mask to weights and its state."""


class MaskedWeight:
    """In-place masking of an ``nn.Parameter``: inactive weights are stored, as zeros.

    The invariant, kept by `set_mask` and by masking gradients before each optimizer step: where
    the mask is False, the weight and every optimizer state of its shape are 0.
    """

    def __init__(
        self, name: str, parameter: nn.Parameter, optimizer: torch.optim.Optimizer
    ) -> None:
        self.name = name
        self.parameter = parameter
        self.shape = parameter.shape
        self.active = parameter.numel()
        self.mask = torch.ones_like(parameter, dtype=torch.bool)
        # The mask again in the parameter's dtype: multiplying a gradient by a boolean mask
        # converts it every time, which is seven times slower (measured on 266,000 weights).
        self.multiplier = torch.ones_like(parameter, requires_grad=False)
        self.frozen: Tensor | None = None
        self.records = True
        self._optimizer = optimizer

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """The optimizer whose state is masked with the weight."""
        return self._optimizer

    @property
    def size(self) -> int:
        """Number of weights, active or not."""
        return self.parameter.numel()

    @property
    def device(self) -> torch.device:
        """Where the weight lives."""
        return self.parameter.device

    @property
    def values(self) -> Tensor:
        """Dense values, zero where inactive; read only."""
        return self.parameter.detach()

    @property
    def dense_gradient(self) -> Tensor | None:
        """Gradient of every weight, inactive ones included; None where it was declined.

        It would be there for nothing; but then a method had it without paying its FLOPs.
        """
        return self.parameter.grad if self.records else None

    @torch.no_grad()
    def set_mask(self, mask: Tensor) -> None:
        """Make `mask` (boolean, the weight's shape) the connectivity of this weight."""
        check_mask(self, mask)
        if self.parameter.grad is not None and self.active < self.size:
            # What is grown first moves at the next step: its gradient of this one may not exist
            # where a method did not ask for dense gradients. So the old mask applies once more.
            self.parameter.grad.mul_(self.multiplier)
        self.mask = mask
        self.active = count_true(mask)
        self.frozen = None
        self.multiplier.copy_(
            mask.view(torch.uint8)
        )  # from bytes: from booleans takes seven times as long
        self._apply()

    @torch.no_grad()
    def freeze_weights(self, frozen: Tensor) -> None:
        """Keep the weights where `frozen` (boolean, the weight's shape) is True as they are."""
        self.multiplier.copy_((self.mask & ~frozen).view(torch.uint8))
        self.frozen = self.parameter.detach() * frozen if bool(frozen.any()) else None

    def bind(self, optimizer: torch.optim.Optimizer) -> None:
        """Use another optimizer from now on, and apply the mask to weights and its state."""
        self._optimizer = optimizer
        self._apply()

    @torch.no_grad()
    def _apply(self) -> None:
        # Grown weights need no treatment of their own: outside the old mask everything was 0.
        self.parameter.mul_(self.multiplier)
        mask_state(self._optimizer, self.name, self.parameter, self.multiplier)


def unwrap(model: nn.Module) -> nn.Module:
    """Return the model itself, out of DistributedDataParallel and ``torch.compile``.

    Both put a prefix before its layers' names, which random masks are drawn by.
    """
    while True:
        if isinstance(model, nn.parallel.DistributedDataParallel):
            model = model.module
        elif "_orig_mod" in model._modules:
            model = model._modules["_orig_mod"]  # type: ignore[assignment]
        else:
            return model


def find_prunable(model: nn.Module, optimizer: torch.optim.Optimizer) -> list[MaskedWeight]:
    """Return the prunable weights of a model in the order of its modules.

    Prunable are the weights of Linear and Conv layers that are being trained. A weight shared by
    several modules counts once, under its first name; frozen weights are left alone, and those
    that have no elements.

    Raises:
        InvalidInput: there is none, one is recomputed by a parametrization (weight norm) so that
            there is nothing to mask in place, or one has no shape yet.
    """
    found: list[MaskedWeight] = []
    seen: set[int] = set()
    for name, module in model.named_modules():
        if not isinstance(module, PRUNABLE):
            continue
        if "weight" not in module._parameters:
            raise InvalidInput(
                f"layer '{name}': its weight is recomputed by a parametrization, which masks in "
                "place cannot reach; remove the parametrization before sparsifying"
            )
        weight = module._parameters["weight"]
        assert weight is not None
        if isinstance(weight, UninitializedParameter):
            raise InvalidInput(
                f"layer '{name}' has no weights yet: run one batch through the model first, and "
                "build the optimizer after that"
            )
        if id(weight) in seen or not weight.requires_grad or weight.numel() == 0:
            continue
        seen.add(id(weight))
        found.append(MaskedWeight(name, weight, optimizer))
    if not found:
        raise InvalidInput(
            f"{type(model).__name__} has no prunable layer: there must be a Linear or Conv layer "
            "whose weight is trained"
        )
    return found


def check_mask(weight: PrunableWeight, mask: Tensor) -> None:
    """See to it that `mask` is one of this weight.

    Raises:
        ValueError: it is not boolean, or of another shape.
    """
    if mask.dtype != torch.bool or mask.shape != weight.shape:
        raise ValueError(
            f"{weight.name}: a mask is boolean of shape {tuple(weight.shape)}, "
            f"not {mask.dtype} of {tuple(mask.shape)}"
        )


def match_layers(names: Sequence[str], globs: Sequence[str]) -> set[str]:
    """Return the layer names that match one of `globs`.

    Raises:
        InvalidInput: a glob matches nothing (a typing error would otherwise go unnoticed).
    """
    matched: set[str] = set()
    for glob in globs:
        hits = fnmatch.filter(names, glob)
        if not hits:
            raise InvalidInput(
                f"dense_layers: '{glob}' matches no layer; there are {', '.join(names)}"
            )
        matched.update(hits)
    return matched


def mask_gradients(weights: Sequence[PrunableWeight]) -> None:
    """Zero the gradients of inactive weights, in one fused operation."""
    gradients: list[Tensor] = []
    multipliers: list[Tensor] = []
    for weight in _masked(weights):
        if weight.parameter.grad is not None:  # None: it had no part in this loss
            gradients.append(weight.parameter.grad)
            multipliers.append(weight.multiplier)
    if gradients:
        torch._foreach_mul_(gradients, multipliers)


@torch.no_grad()
def mask_weights(weights: Sequence[PrunableWeight]) -> None:
    """Zero inactive weights again, after an optimizer that may have moved them."""
    masked = _masked(weights)
    if masked:
        parameters: list[Tensor] = [weight.parameter for weight in masked]
        torch._foreach_mul_(parameters, [weight.multiplier for weight in masked])


@torch.no_grad()
def restore_frozen(weights: Sequence[PrunableWeight]) -> None:
    """Put frozen weights back to what they were: momentum and weight decay have moved them."""
    holding = [w for w in weights if isinstance(w, MaskedWeight) and w.frozen is not None]
    if holding:
        parameters: list[Tensor] = [weight.parameter for weight in holding]
        torch._foreach_mul_(parameters, [weight.multiplier for weight in holding])
        torch._foreach_add_(parameters, [w.frozen for w in holding if w.frozen is not None])


def _masked(weights: Sequence[PrunableWeight]) -> list[MaskedWeight]:
    return [
        w
        for w in weights
        if isinstance(w, MaskedWeight) and (w.active < w.size or w.frozen is not None)
    ]
