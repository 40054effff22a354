"""When resonance records gradients, decides and freezes: pure functions of the step."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DecisionSchedule:
    """Which steps record gradients, decide and freeze.

    A decision reads the last N recorded gradients, so only the N·r steps before one are recorded:
    what a later decision never reads costs nothing.
    """

    every: int
    first: int
    freeze: int
    window: int
    record_every: int

    def is_decision(self, step: int) -> bool:
        """Return whether a threshold decision falls on `step`."""
        return self.first <= step < self.freeze and step % self.every == 0

    def next_decision(self, step: int) -> int:
        """Return the first decision (or the projection) at or after `step`."""
        following = -(-step // self.every) * self.every
        return min(max(following, self.first), self.freeze)

    def is_recorded(self, step: int) -> bool:
        """Return whether the gradients of `step` are kept."""
        if step > self.freeze or step % self.record_every != 0:
            return False
        return self.next_decision(step) - step < self.window * self.record_every

    def progress(self, step: int) -> float:
        """Return φ: 0 at the first decision, 1 at the freeze."""
        return (step - self.first) / (self.freeze - self.first)

    def peak(self, step: int, periods: int) -> int:
        """Return the step at which the period that `step` lies in is half over."""
        period = int(self.progress(step) * periods)
        return self.first + round((period + 0.5) / periods * (self.freeze - self.first))
