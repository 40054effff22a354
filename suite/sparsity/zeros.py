"""The zeros that are really there: a mask says which weights ought to be 0, not that they are."""

from collections.abc import Sequence

import torch
from torch import Tensor

from suite.sparsity.layers import PrunableWeight


def _strays(layer: PrunableWeight) -> Tensor:
    """Return the values outside the layer's mask that are not 0; a NaN is none."""
    outside = layer.values[~layer.mask]
    return outside[outside != 0]


@torch.no_grad()
def count_zeros(layer: PrunableWeight) -> int:
    """Return how many weights of a layer are outside its mask and 0."""
    return layer.size - layer.active - len(_strays(layer))


@torch.no_grad()
def nonzero_outside_mask(layers: Sequence[PrunableWeight]) -> list[str]:
    """Return in words which layers hold weights outside their masks that are not 0."""
    words = []
    for layer in layers:
        if number := len(strays := _strays(layer)):
            kind = "NaN" if bool(strays.isnan().any()) else "not 0"
            words.append(f"{layer.name}: {number} weights outside its mask are {kind}")
    return words
