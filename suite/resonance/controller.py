"""Global sparsity control: from the target sparsity to the amplitude A of the threshold."""

import math
from dataclasses import dataclass

from torch import Tensor

from suite.core.errors import InvalidInput
from suite.sparsity.masks import count_at_most, count_true, kth_smallest


@dataclass
class AccuracyFeedback:
    """A falling validation score lowers the effective target; recovery restores it.

    d = max(0, best − current − tolerance) in points, r = 1/(1 + γ d), s_eff = s*·(1 − β(1 − r)).
    """

    tolerance: float
    gain: float
    depth: float
    best: float | None = None
    factor: float = 1.0

    def update(self, score: float) -> None:
        """Take a validation score in points; higher is better.

        Raises:
            InvalidInput: it is NaN or infinite, and every later score would be compared with it.
        """
        if not math.isfinite(score):
            raise InvalidInput(
                f"a validation score of {score:g} cannot be compared with others: give a finite "
                "number of points"
            )
        self.best = score if self.best is None else max(self.best, score)
        fall = max(0.0, self.best - score - self.tolerance)
        response = 1 / (1 + self.gain * fall)
        self.factor = 1 - self.depth * (1 - response)


@dataclass
class AmplitudeController:
    """Sets A for one group of connections (a layer, or the whole network).

    `exact`: A is the order statistic that would switch off exactly the target number without
    modulation. `feedback`: to that are added k_p·e + k_i·Σe, e = s_eff − s. The sum is held while
    A is at a bound, or while more connections are cooling than the target allows: A
    cannot switch those on, so the integral would wind up.

    Attributes:
        bound: the largest A: 1, or more if each connection has its own phase (`amplitude_bound`).
        integral: Σe.
        amplitude: A at the last decision.
    """

    solve: str
    proportional: float
    integral_gain: float
    bound: float = 1.0
    integral: float = 0.0
    amplitude: float = 0.0

    def set_amplitude(
        self, score: Tensor, free: Tensor, *, target_off: int, measured_off: int
    ) -> int:
        """Choose A; return how many free connections are to be switched off at it.

        Args:
            score: [n], divided by the factor T / A of each connection (1 for a common phase).
            free: boolean [n], the connections that are not cooling.
            target_off: how many of the n should be off.
            measured_off: how many are off now.
        """
        free_count = count_true(free)
        cooling = len(score) - free_count
        count = min(max(target_off - cooling, 0), free_count)
        feedforward = kth_smallest(score, count, free) if count > 0 else 0.0
        wanted = feedforward
        if self.solve == "feedback":
            error = (target_off - measured_off) / len(score)
            wanted += self.proportional * error + self.integral_gain * (self.integral + error)
            if 0 <= wanted <= self.bound and cooling < target_off:
                self.integral += error
        self.amplitude = min(self.bound, max(0.0, wanted))
        if self.amplitude == feedforward:
            return count
        return count_at_most(score, self.amplitude, free)
