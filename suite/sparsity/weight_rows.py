"""Weights as matrices, a row per output, and the inputs that their rows are multiplied by."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

AT_ONCE = 2**24
"""Numbers of a layer's inputs that are unfolded at once, about."""


def to_rows(tensor: Tensor, groups: int) -> Tensor:
    """Return a weight [out, in, *kernel], or its mask, as [groups, out / groups, features].

    The features of an output are its inputs; of a convolution those at each place of the kernel in
    turn, so that consecutive inputs, as in an N:M pattern, stay together.
    """
    return tensor.movedim(1, -1).reshape(groups, len(tensor) // groups, -1)


def from_rows(rows: Tensor, shape: torch.Size) -> Tensor:
    """Return rows [groups, out / groups, features] in the weight's shape; undoes `to_rows`."""
    moved = (shape[0], *shape[2:], shape[1])
    return rows.reshape(moved).movedim(-1, 1).contiguous()


def unfolded(module: nn.Module, inputs: Tensor) -> Iterator[Tensor]:
    """Yield what a layer multiplies its weights by: [groups, positions, features], in parts.

    Features are those of `to_rows`: outputs are ``rows @ features``, without the bias. Positions
    are those of the outputs: all places of all examples; tokens for a Linear layer.
    """
    if not isinstance(module, _ConvNd):
        flat = inputs.reshape(-1, inputs.shape[-1])
        for part in flat.split(max(1, AT_ONCE // flat.shape[-1])):
            yield part.unsqueeze(0)
        return
    dims = len(module.kernel_size)
    x = inputs.unsqueeze(0) if inputs.ndim == dims + 1 else inputs
    mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
    x = nn.functional.pad(x, module._reversed_padding_repeated_twice, mode=mode)
    x = x.unflatten(1, (module.groups, -1))  # [examples, groups, channels of a group, *places]
    sizes = zip(module.kernel_size, module.stride, module.dilation, strict=True)
    for dim, (kernel, stride, dilation) in enumerate(sizes, 3):
        x = x.unfold(dim, dilation * (kernel - 1) + 1, stride)[..., ::dilation]
    # [examples, groups, channels, *positions, *kernel] → [groups, examples, *positions, *kernel,
    # channels]
    x = x.movedim(1, 0).movedim(2, -1)
    per_example = math.prod(x.shape) // max(1, x.shape[1])
    for part in x.split(max(1, AT_ONCE // max(1, per_example)), dim=1):
        yield part.flatten(-1 - dims).flatten(1, -2)
