"""Gradual pruning with growth where the gradients of a period agree."""

from collections.abc import Mapping
from typing import Any

from suite.resonance.period_growth import PeriodGrowth
from suite.resonance.sampling import auto_record_every, check_sampling
from suite.sparsity.cost_bounds import Course, TrainingSetup
from suite.sparsity.layers import PrunableWeight
from suite.sparsity.plan import Plan
from suite.sparsity.prune_regrow import PruneRegrow


class Regrow(PeriodGrowth, PruneRegrow):
    """GraNet's ramp; grows the largest |mean g|·c^q, c = (mean g)²/mean(g²), among candidates.

    Means are over the gradients recorded since the last update, of active weights and candidates,
    drawn at the beginning of a period, as in `Coherent`. Under ``record_every=auto`` they are
    recorded more often as the network becomes sparser, so that a period costs no more than one of
    GraNet's: where the candidates are all empty places, once, at the update. An update before which
    nothing was recorded, or the first one of a layer that was dense, only prunes.
    """

    def __init__(self, plan: Plan, options: Mapping[str, Any]) -> None:
        super().__init__(plan, options)
        o = self.options
        check_sampling(o, o.update_every)
        self.last = max(self.pruning.end, (plan.steps - 1) // o.update_every * o.update_every)
        self.tracked = self.tracked_gradients()

    def record_every(self, step: int) -> int:
        """Return how many steps lie between two recorded gradients, in the period of `step`."""
        o = self.options
        if o.record_every != "auto":
            return int(o.record_every)
        begun = (step - 1) // o.update_every * o.update_every
        if begun < self.pruning.end < step:
            begun = self.pruning.end
        return auto_record_every(o.candidate_ratio, o.update_every, self.ramp(begun))

    def effective_options(self) -> dict[str, float | str]:
        """Return the options in effect; of ``record_every=auto`` the first and the last value."""
        found = super().effective_options()
        if self.options.record_every == "auto":
            first, last = self.record_every(1), self.record_every(self.plan.steps)
            found["record_every"] = f"{first} at first, {last} at last"
        return found

    def raise_sparsity(self, step: int) -> None:
        """Prune to the new target now if no later update does; draw candidates for the masks."""
        super().raise_sparsity(step)
        self.begin_period(step)

    def wants_dense_gradient(self, step: int) -> bool:
        """Return whether the gradients of `step` are recorded."""
        return step <= self.last and step % self.record_every(step) == 0

    def can_grow(self, layer: PrunableWeight) -> bool:
        """Return whether any gradient was recorded: without one nothing can grow."""
        return self.tracked.has_any(layer)

    def zeros_in_training(self, number: int, setup: TrainingSetup) -> Course:
        """Return the zeros along the ramp; regenerating weights does not change their number."""
        return self.zeros_along_ramp(setup)
