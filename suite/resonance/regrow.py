"""Gradual pruning with growth where the gradients of a period agree."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from suite.resonance.sampling import auto_record_every, check_sampling
from suite.resonance.tracked_gradients import TrackedGradients
from suite.sparsity.cost_bounds import Course, TrainingSetup
from suite.sparsity.layers import PrunableWeight
from suite.sparsity.plan import Plan
from suite.sparsity.prune_regrow import PruneRegrow


class Regrow(PruneRegrow):
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
        self.tracked = TrackedGradients(
            self.growth_candidates, o.draw, o.shuffle, self.generator, self.module_of
        )

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

    def start(self) -> None:
        """Draw the first masks and begin the first period."""
        super().start()
        self._begin(0)

    def start_from(self, masks: Mapping[str, Tensor]) -> None:
        """Start from given masks and begin the first period."""
        super().start_from(masks)
        self._begin(0)

    def raise_sparsity(self, step: int) -> None:
        """Prune to the new target now if no later update does; draw candidates for the masks."""
        super().raise_sparsity(step)
        self._begin(step)

    def _begin(self, step: int) -> None:
        if not self._is_resuming:
            self.tracked.begin(self.layers, step)

    def wants_dense_gradient(self, step: int) -> bool:
        """Return whether the gradients of `step` are recorded."""
        return step <= self.last and step % self.record_every(step) == 0

    def observe(self, step: int) -> None:
        """Add the gradients to the sums."""
        if self.wants_dense_gradient(step):
            self.tracked.record(self.layers)

    def update(self, step: int) -> None:
        """Prune to the ramp's sparsity, regenerate, and begin the next period."""
        super().update(step)
        self._begin(step)

    def can_grow(self, layer: PrunableWeight) -> bool:
        """Return whether any gradient was recorded: without one nothing can grow."""
        return self.tracked.has_any(layer)

    def grow_scores(self, layer: PrunableWeight, step: int) -> Tensor:
        """Return |mean g|·c^q."""
        moments = self.tracked.moments(layer, step)
        return self.tracked.spread(layer, moments.agreement(self.options.coherence_power))

    def grow_among(self, layer: PrunableWeight, step: int) -> Tensor | None:
        """Return the weights whose gradients were read; None for all."""
        return self.tracked.known(layer)

    def zeros_in_training(self, number: int, setup: TrainingSetup) -> Course:
        """Return the zeros along the ramp; regenerating weights does not change their number."""
        return self.zeros_along_ramp(setup)

    def method_state(self) -> dict[str, Any]:
        """Return the sums, and the places that they are of."""
        return self.tracked.state()

    def load_method_state(self, state: Mapping[str, Any]) -> None:
        """Restore what `method_state` returned."""
        self.tracked.load(state)
