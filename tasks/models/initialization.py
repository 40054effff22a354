"""Initial weights as published, in place of PyTorch's own."""

from collections.abc import Callable
from typing import TypeVar

from torch import Tensor, nn

Model = TypeVar("Model", bound=nn.Module)


def initialized(
    model: Model,
    convolutions: Callable[[Tensor], object],
    linear: Callable[[Tensor], object] | None = None,
) -> Model:
    """Return the model with new weights in its convolutions and linear layers, and biases of 0.

    `convolutions` and `linear` fill a weight in place; without `linear`, `convolutions` fills both.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            convolutions(module.weight)
        elif isinstance(module, nn.Linear):
            (linear or convolutions)(module.weight)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    return model
