"""The gradient signal of each connection: what is recorded, apart from what is decided by it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor


@dataclass(frozen=True)
class Reading:
    """What is read from the signals of n connections at a decision; both are [n], float32.

    Attributes:
        frequency: resonance frequency ν in [0, 1], normalised to the Nyquist frequency; 0 where
            the signal is silent.
        strength: ρ, the fraction of spectral power in the dominant bin; 0 where silent.
    """

    frequency: Tensor
    strength: Tensor

    def taken_from(self, source: Tensor) -> "Reading":
        """Return the reading in which each connection has that of `source` (indices [n])."""
        return Reading(
            self.frequency.index_select(0, source), self.strength.index_select(0, source)
        )

    @staticmethod
    def joined(parts: Sequence["Reading"]) -> "Reading":
        """Return the readings of several layers as one."""
        if len(parts) == 1:
            return parts[0]
        return Reading(
            torch.cat([part.frequency for part in parts]),
            torch.cat([part.strength for part in parts]),
        )


class Signal(Protocol):
    """What is kept of the gradients of several layers, by layer name, and read at decisions."""

    @property
    def flops(self) -> float:
        """FLOPs of the products that reading one connection takes; 0 if it is element-wise."""
        return 0.0

    def record(self, gradients: Mapping[str, Tensor | None]) -> None:
        """Take one gradient of each layer given, of any shape; None stands for zeros."""

    def is_full(self, layer: str) -> bool:
        """Return whether enough gradients of a layer are recorded to read it."""

    def read(self, layer: str) -> Reading:
        """Return the reading of a layer.

        Raises:
            ValueError: too few gradients are recorded, or one holds a NaN or an infinity.
        """

    def series(self, layer: str, places: Tensor) -> Iterator[tuple[str, list[float]]]:
        """Yield name and values of what there is to report of the connections at `places`."""

    def release(self) -> None:
        """Free the memory: there is nothing more to record or to read."""

    def state(self) -> dict[str, Any]:
        """Return what `load` needs; tensors are the live ones."""

    def load(self, state: Mapping[str, Any]) -> None:
        """Restore, as a copy, what `state` returned for the same layers."""
