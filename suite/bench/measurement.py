"""One figure of speed: what was measured, under which conditions, and the bar it is held to."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Bar:
    """The value that a figure must reach: at most `limit`, or at least, if `least`."""

    limit: float
    least: bool = False

    def met_by(self, value: float) -> bool:
        """Say whether a value reaches the bar."""
        return value >= self.limit if self.least else value <= self.limit


@dataclass(frozen=True)
class Measurement:
    """A figure of speed.

    `unit` is "×" (a ratio to what `what` names after the slash), "s", "ms", "%", "GiB" or "ns per
    weight". `spread` is the least and the greatest of the single values, of which `value` is the
    median. `note` states the conditions: threads, with or without numba, the peer's version.
    `trials` is the number of trials in the store, where several sizes are measured.
    """

    what: str
    value: float
    unit: str
    spread: tuple[float, float] | None = None
    bar: Bar | None = None
    note: str = ""
    trials: int | None = None

    @classmethod
    def of(
        cls, what: str, values: Sequence[float], unit: str, bar: Bar | None = None, note: str = ""
    ) -> "Measurement":
        """Return the median of several values, with their range."""
        spread = (min(values), max(values)) if len(values) > 1 else None
        return cls(what, statistics.median(values), unit, spread, bar, note)

    @property
    def met(self) -> bool:
        """Whether the bar is met; True without one."""
        return self.bar is None or self.bar.met_by(self.value)
