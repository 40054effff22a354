"""Sparse-to-sparse relatives of resonance: growth where the gradients of a period agree."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from suite.resonance.period_growth import PeriodGrowth
from suite.resonance.sampling import affordable, auto_record_every, check_sampling
from suite.sparsity.candidates import Candidates
from suite.sparsity.cost_bounds import Course, TrainingSetup, unchanging
from suite.sparsity.drop_grow import DropGrow
from suite.sparsity.layers import PrunableWeight
from suite.sparsity.masks import grow_at
from suite.sparsity.plan import Plan


class Coherent(PeriodGrowth, DropGrow):
    """On RigL's schedule, drop the smallest |w|·power^p and grow the largest |mean g|·c^q.

    Over the gradients recorded since the last update: power is their root mean square, coherence
    c = (mean g)²/mean(g²) in [0, 1] the fraction of power on the zero-frequency line. With
    p = q = 0 this is growth by the mean gradient alone (``rigl_mean_gradient``). With
    ``candidate_ratio`` only the gradients of active weights and of candidates, drawn at the
    beginning of a period, are read, and only candidates and weights just dropped may grow
    (``resonance_sampled``).

    Attributes:
        record_every: steps between two gradients that are recorded.
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
        self.tracked = self.tracked_gradients()

    @property
    def growth_candidates(self) -> Candidates:
        """Whose gradients growth looks at; fewer than asked for where the cost is that of RigL."""
        return self._candidates

    def raise_sparsity(self, step: int) -> None:
        """Prune the smallest weights to the new counts, once; draw candidates for them."""
        super().raise_sparsity(step)
        if self._candidates.ratio:
            self.begin_period(step)

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

    def can_update(self, layer: PrunableWeight) -> bool:
        """Return whether any gradient was recorded: without one nothing can grow."""
        return super().can_update(layer) and self.tracked.has_any(layer)

    def active_drop_scores(self, layer: PrunableWeight, step: int) -> Tensor:
        """Return |w|·power^p of the active weights."""
        sizes, p = layer.active_values.abs(), self.options.drop_power
        if p == 0:
            return sizes
        return sizes * self.tracked.active_power(layer, step) ** p

    def grown_mask(self, layer: PrunableWeight, kept: Tensor, number: int, step: int) -> Tensor:
        """Return the mask after growing; of candidates, only they are ranked."""
        if not self._candidates.ratio or self.pattern is not None:
            return super().grown_mask(layer, kept, number, step)
        scores, places = self.scores_of_places(layer, step), self.tracked.places[layer.name]
        return grow_at(kept.flatten(), scores, number, places).view(layer.shape)

    def zeros_in_training(self, number: int, setup: TrainingSetup) -> Course:
        """Return that as many weights are grown as were dropped."""
        return unchanging(setup)
