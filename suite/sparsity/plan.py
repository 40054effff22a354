"""The training as a method sees it, and the types of what it reports to."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

Recorder = Callable[[int, str, float | Sequence[float], str | None], None]
"""Receives (step, series, value or values, layer): what a method reports of a decision."""


class CostAccount(Protocol):
    """Is charged for what a method computes beside the passes of training steps."""

    def charge_scoring(self, forwards: float, densities: Mapping[str, float]) -> None:
        """Charge `forwards` passes of one example at these densities by layer."""

    def charge_method(self, flops: float) -> None:
        """Charge the method's own arithmetic, in FLOPs."""


@dataclass(frozen=True)
class Plan:
    """What a method may know of the training it controls.

    Attributes:
        steps: optimizer steps of one round of training.
        sparsity: target fraction of zeros among the prunable weights, in [0, 1).
        seed: the trial's seed, from which the method derives its own random streams.
        steps_per_epoch: optimizer steps of one pass over the training data; 0 if not known.
        validates: whether `after_validation` will be called.
    """

    steps: int
    sparsity: float
    seed: int
    steps_per_epoch: int
    validates: bool = False
