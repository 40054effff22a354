"""Optimizer state under a mask."""

from typing import Any

import torch
from torch import Tensor, nn

from suite.core.errors import InvalidInput

KEEPS_ZEROS = (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW)
"""Optimizers for which a zero weight with zero state and zero gradient stays zero.

Tested one by one, with momentum, Nesterov and weight decay. Under any other optimizer, weights
are masked again after each step.
"""


def keeps_zeros(optimizer: torch.optim.Optimizer) -> bool:
    """Return whether masking the gradient is enough to keep pruned weights at zero."""
    return type(optimizer) in KEEPS_ZEROS


def mask_state(
    optimizer: torch.optim.Optimizer, name: str, parameter: nn.Parameter, multiplier: Tensor
) -> None:
    """Multiply the optimizer state of `parameter` by its mask (0 or 1, in its dtype).

    Every state tensor of the parameter's shape is masked (momentum, first and second moments);
    scalars such as the step count are left alone.

    Raises:
        InvalidInput: a state tensor has another shape (factored moments, for instance): it mixes
            weights, so what belongs to the inactive ones cannot be cleared.
    """
    state: dict[str, Any] = optimizer.state.get(parameter, {})
    for key, value in state.items():
        if not isinstance(value, Tensor) or value.ndim == 0:
            continue
        if value.shape != parameter.shape:
            raise InvalidInput(
                f"{type(optimizer).__name__} keeps state '{key}' of shape {tuple(value.shape)} "
                f"for layer '{name}' of shape {tuple(parameter.shape)}, which a mask cannot be "
                "applied to; use SGD, Adam or AdamW"
            )
        value.mul_(multiplier)
