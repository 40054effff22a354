"""The periodic threshold: T(φ) = A · (1 − m + 2m · sin²(π (2^b − 1) φ)).

The periodic function is that of quantisation-friendly regularisation (WaveQ, arXiv:2003.00146;
US patent 11,468,313), where sin²(π (2^b − 1) w) pulls a weight w onto 2^b − 1 levels. Here it
moves a threshold instead of the weights.
"""

import math
from dataclasses import dataclass

import numpy as np
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

    def factor(self, phase: float, shallow: float = 1.0) -> float:
        """Return T / A at one phase φ, the same for all connections.

        If it is below 1, its distance from 1 is multiplied by `shallow`, from 0 to 1.
        """
        return self._factor(self._swing(phase), shallow)

    def _swing(self, phase: float) -> float:
        return 2 * math.sin(math.pi * self.periods * phase) ** 2 - 1

    def _factor(self, swing: float, shallow: float) -> float:
        return 1 + self.modulation * swing * (shallow if swing < 0 else 1)

    def factors(self, phase: Tensor) -> Tensor:
        """Return T / A where each connection has its own phase; the shape of `phase`."""
        wave = torch.sin(math.pi * self.periods * phase).square()
        return 1 - self.modulation + 2 * self.modulation * wave

    def level(self, amplitude: float, phase: float, shallow: float = 1.0) -> float:
        """Return T in [0, 1] at one phase."""
        return self._level(amplitude, self._swing(phase), shallow)

    def _level(self, amplitude: float, swing: float, shallow: float) -> float:
        return min(1.0, max(0.0, amplitude * self._factor(swing, shallow)))

    def shallowest_needed(
        self, score: Tensor, amplitude: float, *, ceiling: float, mean: float
    ) -> float:
        """Return the factor (0 to 1) on the lower half of a swing: 1 if it can stay as it is.

        At no phase may more than the fraction `ceiling` lie below the threshold. If that clips the
        upper half of a swing, the lower half is made shallower, so that the average over a
        period is still `mean`.

        Args:
            score: [n], what the threshold is compared with.
            amplitude: A.
            ceiling: fraction of `score` that may be at or below T.
            mean: fraction of `score` that is to be at or below T on average; at most `ceiling`.
        """
        ordered = torch.from_numpy(np.sort(score.cpu().numpy()))  # three times as fast as torch's
        swings = [self._swing((n + 0.5) / (PHASES * self.periods)) for n in range(PHASES)]

        def shares(shallow: float) -> Tensor:
            levels = torch.tensor(
                [self._level(amplitude, swing, shallow) for swing in swings], dtype=torch.float32
            )
            below = torch.searchsorted(ordered, levels.to(ordered.dtype), right=True)
            return below.double() / len(ordered)

        if float(shares(1).max()) <= ceiling:
            return 1.0
        low, high = 0.0, 1.0
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            if float(shares(middle).clamp_max(ceiling).mean()) < mean:
                high = middle
            else:
                low = middle
        return low


PHASES, BISECTIONS = 16, 8
"""Phases at which a period is sampled, and steps of the bisection: to 1/256 of a swing."""


def largest_usable_bits(steps_per_period: float, available: float) -> int:
    """Return the largest b whose 2^b − 1 periods each get `steps_per_period` of `available`."""
    return math.floor(math.log2(max(available, 0) / steps_per_period + 1) + 1e-9)
