"""The signal as running sums, read by the rate of change of the gradient: no window, no FFT."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from suite.resonance.detector import SILENT
from suite.resonance.schedule import SHORTEST
from suite.resonance.signal import Reading, Signal


class RateSums:
    """Sums over the gradients of one layer, from which their rate of change is read.

    Tensors are flat [n], float32.

    Attributes:
        total: Σ g_t.
        square: Σ g_t².
        change: Σ (g_t − g_{t−1})² over successive gradients between the same two decisions.
        last: the gradient recorded last.
        recorded: how many gradients were recorded since the last decision.
    """

    def __init__(self, size: int, device: torch.device | None, average: float) -> None:
        self._average = average
        self.total, self.square, self.change, self.last = (
            torch.zeros(size, dtype=torch.float32, device=device) for _ in range(4)
        )
        # What `change` was at the last decision, to tell who has been silent since.
        self._before = torch.zeros_like(self.total) if average > 0 else None
        self.recorded = 0
        # Numbers of gradients and of differences; former ones count as much as their sums.
        self._count = self._pairs = 0.0
        self._is_read = False  # the next gradient begins new sums

    def count_next(self) -> bool:
        """Count a gradient that will be added; return whether it has one before it.

        The first after a decision has none, and clears the former sums or reduces them.
        """
        if self._is_read:
            self._begin()
        has_former = self.recorded > 0
        self.recorded += 1
        self._count += 1
        self._pairs += has_former
        return has_former

    def _begin(self) -> None:
        for sums in (self.total, self.square, self.change):
            if self._average > 0:
                sums.mul_(self._average)
            else:
                sums.zero_()
        if self._before is not None:
            self._before.copy_(self.change)
        self._count *= self._average
        self._pairs *= self._average
        self.recorded, self._is_read = 0, False

    def read(self) -> Reading:
        """Return rate and strength (`RateSignal`); the next gradient begins new sums."""
        self._is_read = True
        raw = self.square / self._count
        variance = raw - (self.total / self._count).square_()
        silent = variance <= SILENT * raw
        if self._before is not None:
            silent |= self.change <= self._before
        tiny = torch.finfo(raw.dtype).tiny
        strength = (variance / raw.clamp_min_(tiny)).masked_fill_(silent, 0)
        # (1 − ρ₁)/2 = sin²(arccos(ρ₁)/2)
        half = (self.change / (4 * self._pairs)).div_(variance.clamp_min_(tiny)).clamp_(0, 1)
        frequency = half.sqrt_().asin_().mul_(2 / math.pi).masked_fill_(silent, 0)
        return Reading(frequency, strength)

    def state(self) -> dict[str, Any]:
        """Return everything; tensors are the live ones."""
        state = {name.lstrip("_"): value for name, value in vars(self).items()}
        del state["average"]
        return state

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore, as a copy, what `state` returned."""
        self.total, self.square, self.change, self.last = (
            state[name].clone() for name in ("total", "square", "change", "last")
        )
        self._before = None if state["before"] is None else state["before"].clone()
        self.recorded, self._is_read = state["recorded"], state["is_read"]
        self._count, self._pairs = state["count"], state["pairs"]


class RateSignal(Signal):
    """Keeps sums of the gradients of each connection and reads how fast the gradient changes.

    ν = arccos(ρ₁)/π, where ρ₁ is the autocorrelation at lag one about the mean. It is estimated
    from the n gradients since the last decision by the ratio of the mean square successive
    difference to the variance (von Neumann 1941, Ann. Math. Statist. 12(4)):

        ρ₁ = 1 − D/(2V),  D = Σ_{t≥2} (g_t − g_{t−1})² / (n − 1),  V = Σ_t g_t²/n − (Σ_t g_t/n)²

    clamped to [−1, 1]. Expanded, D holds Σ g_t·g_{t−1}; as a difference, the mean cancels before
    anything is squared, the same one from g_t and g_{t−1}. What is computed is
    2/π·arcsin √(D/(4V)), the same number, which is precise near 0 too. White noise has ν near 1/2,
    and a sine of f cycles per gradient 2f, so that 1 is the Nyquist frequency. The strength is
    the fraction of power about the mean, V·n/Σ g_t². Where it is at most `SILENT` both are 0.

    With `average` a the sums are multiplied by a after a decision in place of being cleared, and
    n and n − 1 with them. A connection whose gradient has not changed since the last decision
    reads 0, whatever the former sums say. No difference is taken across a decision.

    This takes four numbers per connection, and a fifth if sums are kept.

    Args:
        layers: number of connections and device of each layer.
        average: a in [0, 1), the fraction of the former sums that is kept at a decision.
    """

    def __init__(
        self, layers: Mapping[str, tuple[int, torch.device | None]], average: float = 0.0
    ) -> None:
        self.sums = {
            name: RateSums(size, device, average) for name, (size, device) in layers.items()
        }

    @property
    def flops(self) -> float:
        """0: its sums are element-wise, which is not charged."""
        return 0.0

    def record(self, gradients: Mapping[str, Tensor | None]) -> None:
        """Add one gradient of each layer given to its sums; None stands for zeros."""
        recorded, values, later = [], [], []
        for name, gradient in gradients.items():
            sums = self.sums[name]
            value = torch.zeros_like(sums.last) if gradient is None else gradient.flatten().float()
            recorded.append(sums)
            values.append(value)
            if sums.count_next():
                later.append((sums, value))
        if later:
            changes = [sums.last for sums, _ in later]  # overwritten below
            torch._foreach_sub_(changes, [value for _, value in later])
            torch._foreach_addcmul_([sums.change for sums, _ in later], changes, changes)
        if recorded:
            torch._foreach_add_([sums.total for sums in recorded], values)
            torch._foreach_addcmul_([sums.square for sums in recorded], values, values)
            torch._foreach_copy_([sums.last for sums in recorded], values)

    def is_full(self, layer: str) -> bool:
        """Return whether there are enough gradients since the last decision on a layer."""
        return self.sums[layer].recorded >= SHORTEST

    def read(self, layer: str) -> Reading:
        """Return rate and strength of each connection of a layer, once at each decision.

        Raises:
            ValueError: there are too few gradients, or one is a NaN or an infinity.
        """
        if not self.is_full(layer):
            raise ValueError(f"{self.sums[layer].recorded} of {SHORTEST} gradients recorded")
        reading = self.sums[layer].read()
        if not bool(reading.strength.sum().isfinite()):  # the sum is finite only if all are
            raise ValueError("a recorded gradient is not finite")
        return reading

    def series(self, layer: str, places: Tensor) -> Iterator[tuple[str, list[float]]]:
        """Yield nothing: sums have no spectrum."""
        return iter(())

    def release(self) -> None:
        """Free the sums."""
        self.sums.clear()

    def state(self) -> dict[str, Any]:
        """Return the sums by layer; none after `release`."""
        return {name: sums.state() for name, sums in self.sums.items()}

    def load(self, state: Mapping[str, Any]) -> None:
        """Restore the sums; those of an empty state have been released."""
        if not state:
            self.release()
        for name, sums in self.sums.items():
            sums.restore(state[name])
