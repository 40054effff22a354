"""The interface between a method and a model: one prunable weight.

A sparsifier never touches a module's parameter. It reads values and gradients through
`PrunableWeight` and hands back masks; what a mask means for the storage of the weight (zeros in
place, or a vector of non-zero values) is decided in `suite.sparsity.storage`.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from suite.core.errors import InvalidInput

PRUNABLE = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


class PrunableWeight(Protocol):
    """One weight tensor whose connectivity can change. All tensors have the weight's shape.

    Attributes:
        name: of the layer.
        path: full name of the parameter in the model.
        shape: of the weight.
        input_dim: the dimension along which the inputs of an output lie; None where there is no
            such dimension, or it is not known.
    """

    name: str
    path: str
    shape: torch.Size
    input_dim: int | None

    @property
    def parameter(self) -> nn.Parameter:
        """What the optimizer trains: the weight, or its non-zero values [n] in CSR."""

    @property
    def active(self) -> int:
        """Number of active weights."""

    @property
    def gradients(self) -> int:
        """Number of weights whose gradients are computed at every step: the active ones, or more.

        A method may train weights that its forward pass does not use.
        """

    @property
    def size(self) -> int:
        """Number of weights, active or not."""

    @property
    def mask(self) -> Tensor:
        """The connectivity, boolean; read only."""

    @property
    def device(self) -> torch.device:
        """Where the weight lives."""

    @property
    def values(self) -> Tensor:
        """Dense values, zero where inactive; read only."""

    @property
    def places(self) -> Tensor:
        """Flat indices of the active weights, int64 [active], ascending; read only."""

    @property
    def active_values(self) -> Tensor:
        """Values of the active weights [active], in the order of their `places`; read only."""

    @property
    def trained(self) -> bool:
        """Whether the weight is being trained; a layer that was frozen midway is left alone."""

    @property
    def has_gradient(self) -> bool:
        """Whether the loss of this step depends on the weight; at no cost.

        Raises:
            InvalidInput: `wants_dense_gradient` returned False for this step.
        """

    @property
    def dense_gradient(self) -> Tensor | None:
        """Gradient of every weight, inactive ones included, before clipping.

        None if the loss does not depend on the weight.

        Raises:
            InvalidInput: `wants_dense_gradient` returned False for this step.
        """

    def gradient_at(self, places: Tensor) -> Tensor | None:
        """Return the gradient of the weights at `places` alone, active or not: [m].

        Where a storage can, it computes no other ones. None if the loss does not depend on the
        weight.

        Args:
            places: flat indices, int64 [m], ascending, no two equal.

        Raises:
            InvalidInput: `wants_dense_gradient` returned False for this step.
        """

    @property
    def active_gradient(self) -> Tensor | None:
        """Gradient of the active weights, 0 elsewhere; at no cost, in every step.

        None if the loss does not depend on the weight. In `update` it is the gradient that the
        optimizer will read: after clipping.
        """

    def keep_dense_gradient(self) -> None:
        """Keep the dense gradient of this step, so that it can be read after clipping."""

    def set_mask(self, mask: Tensor) -> None:
        """Zero dropped weights, start grown ones at 0, clear the optimizer state of both.

        A grown weight is trained from the next step on: its gradient of this step is zeroed.
        """

    def replace_values(self, values: Tensor) -> None:
        """Give the active weights new values, those of dense ones; the optimizer state stays."""

    def freeze_weights(self, frozen: Tensor) -> None:
        """Keep the weights where `frozen` is True as they are, in the network but untrained.

        This lasts until the next `set_mask` or `freeze_weights`.
        """

    def bind(self, optimizers: Sequence[torch.optim.Optimizer]) -> None:
        """Use the one that trains this weight from now on; mask the weight and its state."""


def gradient_not_requested(name: str) -> InvalidInput:
    """Return the error for a dense gradient that is read where none was asked for."""
    return InvalidInput(
        f"layer '{name}': dense_gradient is read in a step for which wants_dense_gradient returned "
        "False: return True there, or read active_gradient, which costs nothing"
    )


def by_output(module: nn.Module, tensor: Tensor) -> Tensor:
    """Return a view of a layer's weight, or of its mask: [groups, outputs of a group, ...].

    Weights are [out, in, ...], one group; those of transposed convolutions [in, out / groups, ...].
    """
    if isinstance(module, nn.modules.conv._ConvTransposeNd):
        return tensor.unflatten(0, (module.groups, -1)).transpose(1, 2)
    return tensor.unsqueeze(0)


def check_mask(weight: PrunableWeight, mask: Tensor) -> None:
    """Check that `mask` fits this weight.

    Raises:
        InvalidInput: it is no tensor, is not boolean, or has another shape.
    """
    if not isinstance(mask, Tensor):
        raise InvalidInput(
            f"layer '{weight.name}': the mask is {type(mask).__name__}: give a boolean tensor of "
            f"shape {tuple(weight.shape)}"
        )
    if mask.shape != weight.shape:
        raise InvalidInput(
            f"layer '{weight.name}': the mask has shape {tuple(mask.shape)}: give the weight's, "
            f"{tuple(weight.shape)}"
        )
    if mask.dtype != torch.bool:
        raise InvalidInput(
            f"layer '{weight.name}': the mask is {mask.dtype}: give a boolean one, True where a "
            "weight is active"
        )


def _nonzero_outside(layer: PrunableWeight) -> Tensor:
    """Return the values outside the layer's mask that are not 0, NaN included."""
    outside = layer.values[~layer.mask]
    return outside[outside != 0]


@torch.no_grad()
def count_zeros(layer: PrunableWeight) -> int:
    """Return how many weights of a layer are outside its mask and 0."""
    return layer.size - layer.active - len(_nonzero_outside(layer))


@torch.no_grad()
def nonzero_outside_mask(layers: Sequence[PrunableWeight]) -> list[str]:
    """Return a message for each layer with weights outside its mask that are not 0."""
    messages = []
    for layer in layers:
        if number := len(values := _nonzero_outside(layer)):
            kind = "NaN" if bool(values.isnan().any()) else "not 0"
            messages.append(f"{layer.name}: {number} weights outside its mask are {kind}")
    return messages
