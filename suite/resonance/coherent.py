"""Sparse-to-sparse relatives of resonance: growth where the gradients of a period agree."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from suite.resonance.sampling import affordable, auto_record_every, check_sampling
from suite.resonance.tracked_gradients import TrackedGradients
from suite.sparsity.candidates import Candidates
from suite.sparsity.cost_bounds import Course, TrainingSetup, unchanging
from suite.sparsity.drop_grow import DropGrow
from suite.sparsity.layers import PrunableWeight
from suite.sparsity.masks import grow_at
from suite.sparsity.plan import Plan


class Coherent(DropGrow):
    """On RigL's schedule, drop the smallest |w|·power^p and grow the largest |mean g|·c^q.

    Over the gradients recorded since the last update: power is their root mean square, coherence
    c = (mean g)²/mean(g²) in [0, 1] the fraction of power on the zero-frequency line. With
    p = q = 0 this is growth by the mean gradient alone (``rigl_mean_gradient``). With
    ``candidate_ratio`` only the gradients of active weights and of candidates, drawn at the
    beginning of a period, are read, and only candidates and weights just dropped may grow
    (``resonance_sampled``).

    Attributes:
        record_every: steps between two gradients that are recorded.
        tracked: what is recorded in a period.
    """

    def __init__(self, plan: Plan, options: Mapping[str, Any]) -> None:
        super().__init__(plan, options)
        o, every = self.options, self.schedule.every
        check_sampling(o, every)
        self._candidates = Candidates(o.candidate_ratio)
        self.record_every = o.record_every
        if o.record_every == "auto":
            self.record_every = auto_record_every(o.candidate_ratio, every, plan.sparsity)
            self._candidates = affordable(o.candidate_ratio, every, plan.sparsity)
        self.tracked = TrackedGradients(
            self._candidates, o.draw, o.shuffle, self.generator, self.module_of
        )

    @property
    def growth_candidates(self) -> Candidates:
        """Whose gradients growth looks at; fewer than asked for where the cost is that of RigL."""
        return self._candidates

    def start(self) -> None:
        """Draw the first masks and begin the first period."""
        super().start()
        self._begin(0)

    def start_from(self, masks: Mapping[str, Tensor]) -> None:
        """Start from given masks and begin the first period."""
        super().start_from(masks)
        self._begin(0)

    def raise_sparsity(self, step: int) -> None:
        """Prune the smallest weights to the new counts, once; draw candidates for them."""
        super().raise_sparsity(step)
        if self._candidates.ratio:
            self._begin(step)

    def _begin(self, step: int) -> None:
        if not self._is_resuming:
            self.tracked.begin(self.layers, step)

    def effective_options(self) -> dict[str, Any]:
        """Return the options of the schedule in steps, and what ``record_every=auto`` has given."""
        sampling = {
            "record_every": self.record_every,
            "candidate_ratio": self._candidates.ratio,
        }
        return super().effective_options() | sampling

    def wants_dense_gradient(self, step: int) -> bool:
        """Return whether the gradients of `step` are recorded."""
        return step <= self.schedule.last and step % self.record_every == 0

    def observe(self, step: int) -> None:
        """Add the gradients to the sums."""
        if self.wants_dense_gradient(step):
            self.tracked.record(self.layers)

    def update(self, step: int) -> None:
        """Replace a fraction of every layer's active weights and begin the next period."""
        super().update(step)
        self._begin(step)

    def can_update(self, layer: PrunableWeight) -> bool:
        """Return whether any gradient was recorded: without one nothing can grow."""
        return super().can_update(layer) and self.tracked.has_any(layer)

    def active_drop_scores(self, layer: PrunableWeight, step: int) -> Tensor:
        """Return |w|·power^p of the active weights."""
        sizes, p = layer.active_values.abs(), self.options.drop_power
        if p == 0:
            return sizes
        return sizes * self.tracked.of_active(layer, self.tracked.moments(layer, step).power) ** p

    def grow_scores(self, layer: PrunableWeight, step: int) -> Tensor:
        """Return |mean g|·c^q; 0 where no gradient is read."""
        return self.tracked.spread(layer, self._scores_of_places(layer, step))

    def _scores_of_places(self, layer: PrunableWeight, step: int) -> Tensor:
        return self.tracked.moments(layer, step).agreement(self.options.coherence_power)

    def grown_mask(self, layer: PrunableWeight, kept: Tensor, number: int, step: int) -> Tensor:
        """Return the mask after growing; of candidates, only they are ranked."""
        if not self._candidates.ratio or self.pattern is not None:
            return super().grown_mask(layer, kept, number, step)
        scores, places = self._scores_of_places(layer, step), self.tracked.places[layer.name]
        return grow_at(kept.flatten(), scores, number, places).view(layer.shape)

    def grow_among(self, layer: PrunableWeight, step: int) -> Tensor | None:
        """Return the weights whose gradients were read; None for all."""
        return self.tracked.known(layer)

    def zeros_in_training(self, number: int, setup: TrainingSetup) -> Course:
        """Return that as many weights are grown as were dropped."""
        return unchanging(setup)

    def method_state(self) -> dict[str, Any]:
        """Return the sums, and the places that they are of."""
        return self.tracked.state()

    def load_method_state(self, state: Mapping[str, Any]) -> None:
        """Restore what `method_state` returned."""
        self.tracked.load(state)
