"""When connectivity is updated and how much: frozen, pure functions of the step.

Steps are counted from 1: step t is the t-th optimizer step.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class UpdateSchedule:
    """Updates at every `every`-th step after `start`, up to and including `end`.

    `close` adds a last update at `end` if it is not one anyway.
    """

    every: int
    start: int
    end: int
    close: bool = False

    @property
    def last(self) -> int:
        """The step of the last update."""
        if self.close:
            return self.end
        return self.start + (self.end - self.start) // self.every * self.every

    def updates(self) -> Iterator[int]:
        """Yield the steps of all updates in ascending order."""
        steps = range(self.start, self.end + 1, self.every)
        yield from (step for step in steps if step >= 1)
        if self.close and self.end not in steps:
            yield self.end

    @property
    def count(self) -> int:
        """How many updates there are."""
        before = max(0, -(-(1 - self.start) // self.every))  # of them at steps below 1
        steps = range(self.start, self.end + 1, self.every)
        return max(0, len(steps) - before) + (self.close and self.end not in steps)

    def is_update(self, step: int) -> bool:
        """Return whether connectivity is updated at `step`."""
        if self.close and step == self.end:
            return True
        return self.start <= step <= self.end and (step - self.start) % self.every == 0


@dataclass(frozen=True)
class CubicRamp:
    """From `initial` to `final` sparsity: s_t = s_f + (s_i − s_f)(1 − (t − t0)/(t1 − t0))³.

    Source: Zhu & Gupta 2017, arXiv:1710.01878, eq. 1.
    """

    initial: float
    final: float
    start: int
    end: int

    def __call__(self, step: int) -> float:
        """Return the sparsity at `step`: `initial` before the start, `final` from the end on."""
        if step >= self.end:
            return self.final
        progress = max(0, step - self.start) / (self.end - self.start)
        return self.final + (self.initial - self.final) * (1 - progress) ** 3


@dataclass(frozen=True)
class CosineDecay:
    """f(t) = f_end + (α − f_end)/2 · (1 + cos(π t / T_end)), `least` (f_end) from T_end on.

    If α is less than f_end, it stays as it is. Source: Evci et al. 2020, arXiv:1911.11134, §3(2),
    with f_end = 0.
    """

    initial: float
    end: int
    least: float = 0.0

    def __call__(self, step: int) -> float:
        """Return the fraction at `step`."""
        least = min(self.initial, self.least)
        if step >= self.end:
            return least
        return least + (self.initial - least) / 2 * (1 + math.cos(math.pi * step / self.end))
