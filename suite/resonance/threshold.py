"""The periodic threshold: T(φ) = A · (1 − m + 2m · sin²(π (2^b − 1) φ)).

The periodic function is that of quantisation-friendly regularisation (WaveQ, arXiv:2003.00146;
US patent 11,468,313), where sin²(π (2^b − 1) w) pulls a weight w onto 2^b − 1 levels. Here it
moves a threshold instead of the weights.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class PeriodicThreshold:
    """Frequency mapping by `bits` b (2^b − 1 periods) and relative depth `modulation` m.

    The mean over φ is the amplitude A; m = 0 is a constant threshold, m = 1 swings from 0 to 2A.
    """

    bits: int
    modulation: float

    @property
    def periods(self) -> int:
        """Number of periods while φ runs from 0 to 1."""
        return 2**self.bits - 1

    def factor(self, phase: float) -> float:
        """Return T / A at one phase φ, the same for all connections."""
        wave = math.sin(math.pi * self.periods * phase) ** 2
        return 1 - self.modulation + 2 * self.modulation * wave

    def factors(self, phase: Tensor) -> Tensor:
        """Return T / A where each connection has its own phase; the shape of `phase`."""
        wave = torch.sin(math.pi * self.periods * phase).square()
        return 1 - self.modulation + 2 * self.modulation * wave

    def level(self, amplitude: float, phase: float) -> float:
        """Return T in [0, 1] at one phase."""
        return min(1.0, max(0.0, amplitude * self.factor(phase)))


def largest_usable_bits(steps_per_period: float, available: float) -> int:
    """Return the largest b whose 2^b − 1 periods each get `steps_per_period` of `available`."""
    return math.floor(math.log2(max(available, 0) / steps_per_period + 1) + 1e-9)
