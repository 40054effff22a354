"""When resonance records gradients, decides and freezes: pure functions of the step."""

import math
from dataclasses import dataclass
from types import SimpleNamespace

from suite.core.errors import InvalidInput

SHORTEST = 8
"""Fewest gradients that a frequency is read from: those of the shortest window."""

NEGLIGIBLE = 0.05
"""A former reading whose weight in an average has fallen to this counts as forgotten."""


def forgotten_after(average: float) -> int:
    """Return after how many further decisions a reading is forgotten.

    Args:
        average: in [0, 1), what a former reading's weight is multiplied by at each decision.
    """
    return math.ceil(math.log(NEGLIGIBLE) / math.log(average)) if average > 0 else 0


@dataclass(frozen=True)
class DecisionSchedule:
    """Which steps record gradients, decide and freeze.

    A decision reads the last N recorded gradients, so only the N·r steps before it are recorded
    (r: `record_every`); other steps cost nothing. The last decision is at least `apart` steps
    before the freeze.
    """

    every: int
    first: int
    freeze: int
    window: int
    record_every: int
    apart: int = 1

    def is_decision(self, step: int) -> bool:
        """Return whether a threshold decision falls on `step`."""
        return self.first <= step <= self.freeze - self.apart and step % self.every == 0

    def is_recorded(self, step: int) -> bool:
        """Return whether the gradients of `step` are kept."""
        if step > self.freeze or step % self.record_every != 0:
            return False
        following = max(-(-step // self.every) * self.every, self.first)
        reader = following if self.is_decision(following) else self.freeze
        return reader - step < self.window * self.record_every

    @property
    def readings(self) -> int:
        """How often the signals are read: at every decision and at the freeze."""
        return len(range(self.first, self.freeze, self.every)) + 1

    def progress(self, step: int) -> float:
        """Return φ: 0 at the first decision, 1 at the freeze."""
        return (step - self.first) / (self.freeze - self.first)

    def peak(self, step: int, periods: int) -> int:
        """Return the step in the middle of the threshold's period that `step` falls into."""
        period = int(self.progress(step) * periods)
        return self.first + round((period + 0.5) / periods * (self.freeze - self.first))


def make_decision_schedule(o: SimpleNamespace, freeze: int) -> DecisionSchedule:
    """Return when gradients are recorded and decisions taken, up to the step `freeze`.

    Raises:
        InvalidInput: the window does not fit before the freeze, no decision falls between, or too
            few gradients fall between two decisions for a rate.
    """
    if o.window % 2:
        raise InvalidInput(f"window={o.window} must be even: give {o.window + 1}")
    if o.window * o.record_every >= freeze:
        most = max(0, freeze - 1) // o.record_every // 2 * 2
        shorter = f"give a window of at most {most}, or " if most >= SHORTEST else ""
        raise InvalidInput(
            f"window={o.window} gradients, one in {o.record_every} steps, need more than the "
            f"{freeze} steps before freeze_at={o.freeze_at:g}: {shorter}train longer"
        )
    # Sums hold the gradients since the last decision, a window also those before it.
    apart = SHORTEST * o.record_every if o.reading == "rate" else 1
    auto = o.update_every == "auto"
    every = max(apart, min(100, freeze // 24)) if auto else o.update_every
    if every < apart:
        raise InvalidInput(
            f"reading=rate needs {SHORTEST} gradients between two decisions, and "
            f"update_every={every} leaves {every // o.record_every}: give update_every of at least "
            f"{apart}, or reading=centroid"
        )
    first = -(-o.window * o.record_every // every) * every
    if first > freeze - apart:
        raise InvalidInput(
            f"update_every={every} leaves no decision between the first full window (step "
            f"{o.window * o.record_every}) and freeze_at={o.freeze_at:g} (step {freeze}): "
            "decide more often"
        )
    return DecisionSchedule(every, first, freeze, o.window, o.record_every, apart)
