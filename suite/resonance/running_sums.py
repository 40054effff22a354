"""The first two moments of each connection's gradients, from running sums."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Moments:
    """The moments of the recorded gradients of one weight; both have its shape, or are of places.

    Attributes:
        mean: mean g.
        mean_square: mean g².
    """

    mean: Tensor
    mean_square: Tensor

    @property
    def power(self) -> Tensor:
        """The root mean square of the gradients."""
        return self.mean_square.sqrt()

    @property
    def coherence(self) -> Tensor:
        """(mean g)² / mean g² in [0, 1], the fraction of power on the zero-frequency line."""
        # In place: on a CPU, memory that is new to the process takes longer than the arithmetic.
        tiny = torch.finfo(self.mean_square.dtype).tiny
        return self.mean.square().div_(self.mean_square.clamp_min(tiny)).clamp_max_(1)

    def agreement(self, power: float) -> Tensor:
        """Return |mean g|·c^power, c being the coherence."""
        sizes = self.mean.abs()
        return sizes if power == 0 else sizes.mul_(self.coherence.pow_(power))

    def taken_from(self, source: Tensor) -> "Moments":
        """Return the moments in which each connection has those of `source` (flat indices [n])."""
        mean, square = (
            part.flatten().index_select(0, source).view(part.shape)
            for part in (self.mean, self.mean_square)
        )
        return Moments(mean, square)


class RunningSums:
    """Σg and Σg² of the gradients recorded since the last `clear`: two values per weight.

    They are in single precision at least: in bfloat16 a sum of more than 256 like terms no longer
    grows, and in float16 the square of a gradient of 1e-4 is 0.

    Args:
        weights: by layer name, or a value for each place that is looked at; the sums have their
            shapes and devices.
    """

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self.total, self.total_square = (
            {
                name: torch.zeros_like(weight, dtype=precise(weight.dtype))
                for name, weight in weights.items()
            }
            for _ in range(2)
        )
        self.recorded = 0

    def record(self, gradients: Mapping[str, Tensor | None]) -> None:
        """Add one gradient of every layer, of the sums' shape; None stands for zeros."""
        read = {name: gradient for name, gradient in gradients.items() if gradient is not None}
        if read:
            values = [gradient.to(self.total[name].dtype) for name, gradient in read.items()]
            torch._foreach_add_([self.total[name] for name in read], values)
            squares = [self.total_square[name] for name in read]
            torch._foreach_addcmul_(squares, values, values)
        self.recorded += 1

    def moments(self, layer: str) -> Moments:
        """Return the moments of a layer's gradients; at least one must be recorded."""
        return Moments(self.total[layer] / self.recorded, self.total_square[layer] / self.recorded)

    def power_at(self, layer: str, places: Tensor) -> Tensor:
        """Return `Moments.power` at flat `places` [m] alone."""
        squares = self.total_square[layer].flatten().index_select(0, places)
        return squares.div_(self.recorded).sqrt_()

    def clear(self) -> None:
        """Set the sums to zero."""
        self.recorded = 0
        for sums in (self.total, self.total_square):
            torch._foreach_zero_(list(sums.values()))

    def state(self) -> dict[str, Any]:
        """Return the sums; tensors are the live ones."""
        return {
            "total": self.total,
            "total_square": self.total_square,
            "recorded": self.recorded,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Restore, as a copy, what `state` returned."""
        self.total, self.total_square = (
            {name: value.to(precise(value.dtype), copy=True) for name, value in state[kept].items()}
            for kept in ("total", "total_square")
        )
        self.recorded = state["recorded"]


def precise(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype in which numbers of a floating dtype are added up."""
    return torch.promote_types(dtype, torch.float32)
