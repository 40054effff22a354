"""Gradual pruning with regrowth: prune along a cubic ramp, and replace weights at each update.

GraNet and its relatives share `PruneRegrow` and differ in the scores that weights are grown by.
"""

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from suite.core.errors import InvalidInput
from suite.sparsity.cost_bounds import Course, TrainingSetup, Zeros
from suite.sparsity.distribution import Shapes, layer_zeros
from suite.sparsity.layers import PrunableWeight
from suite.sparsity.masks import count_true, grow, keep_active
from suite.sparsity.plan import Plan
from suite.sparsity.pruning import prune_layers
from suite.sparsity.schedule import CosineDecay, CubicRamp, UpdateSchedule
from suite.sparsity.sparsifier import Sparsifier


class PruneRegrow(Sparsifier, ABC):
    """At every ΔT: prune the smallest |w| to s_t, then replace a fraction r(t) of the weights.

    s_t = s_f + (s_i − s_f)(1 − t/t1)³, ranked over the whole network; r(t) = r/2·(1 + cos(πt/T)).
    Regeneration, per layer: drop the smallest |w|, grow as many of the highest scores. It continues
    after the ramp, to the end of training. The options are those of `PRUNE_REGROW`. A subclass
    defines `can_grow` and `grow_scores`.

    Source: Liu et al. 2021, arXiv:2106.10404.
    """

    def __init__(self, plan: Plan, options: Mapping[str, Any]) -> None:
        super().__init__(plan, options)
        end = self.step_at(self.options.prune_end)
        if end < 1:
            raise InvalidInput(
                f"prune_end={self.options.prune_end:g} leaves no step to prune in: give at least "
                f"{1 / plan.steps:.2g}"
            )
        self.initial = min(self.options.initial_sparsity, plan.sparsity)
        self.pruning = UpdateSchedule(self.options.update_every, 0, end, close=True)
        self.ramp = CubicRamp(self.initial, plan.sparsity, 0, end)
        self.decay = CosineDecay(self.options.drop_fraction, plan.steps)

    def start(self) -> None:
        """Draw a random mask at the initial sparsity."""
        if self.initial > 0:
            self.draw_masks(self._initial_zeros(self.shapes))

    def start_from(self, masks: Mapping[str, Tensor]) -> None:
        """Start from given masks."""
        self.prune_on_from(masks)

    def raise_sparsity(self, step: int) -> None:
        """Prune to the new target now if no later update does."""
        self.prune_on(step, self.pruning.last)

    def _initial_zeros(self, shapes: Shapes) -> Mapping[str, int]:
        if self.initial == 0:
            return dict.fromkeys(shapes, 0)
        if not self.is_global:
            return self.zeros_at(self.initial, shapes)
        dense = self.dense_names(shapes)
        return layer_zeros(shapes, self.initial, "erk", dense=dense, compensate=self.compensates)

    def zeros_along_ramp(self, setup: TrainingSetup) -> Course:
        """Return the zeros along the ramp: what `zeros_in_training` declares."""
        first = have = self._initial_zeros(setup.shapes)
        yield 0, Zeros.exactly(first)
        for step in itertools.takewhile(lambda s: s < self.pruning.last, self.pruning.updates()):
            sparsity = self.ramp(step)
            if self.is_global:
                # Pruned over the whole network; no layer gets fewer zeros than it had.
                fraction = sparsity / self.plan.sparsity if self.plan.sparsity else 0.0
                low, high = (
                    max(int(fraction * total), sum(first.values()))
                    for total in setup.final.in_network
                )
                yield step, Zeros(first, setup.final.most, (low, high))
            else:
                zeros = self.zeros_at(sparsity, setup.shapes)
                have = {name: max(zeros[name], count) for name, count in have.items()}
                yield step, Zeros.exactly(have)
        yield self.pruning.last, setup.final

    def is_update(self, step: int) -> bool:
        """Return whether weights are pruned or regenerated at `step`."""
        regenerates = step % self.options.update_every == 0 and step < self.plan.steps
        return regenerates or self.pruning.is_update(step)

    def effective_options(self) -> dict[str, float | str]:
        """Return the options in effect: fractions of training in steps, ΔT capped at all steps."""
        return {
            "update_every": min(self.options.update_every, self.plan.steps),
            "initial_sparsity": self.initial,
            "prune_end": self.pruning.end,
        }

    def update(self, step: int) -> None:
        """Prune to the ramp's sparsity, then regenerate."""
        active = {layer.name: layer.mask for layer in self.layers}
        scores = {layer.name: layer.values.abs() for layer in self.layers}
        left = self._pruned_to(self.ramp(step), active, scores)
        for layer in self.layers:
            mask = final = left[layer.name]
            count = count_true(mask)
            drop = math.floor(self.decay(step) * count)
            if drop > 0 and count < layer.size and self.can_grow(layer):
                kept = keep_active(mask.flatten(), scores[layer.name].flatten(), count - drop)
                among = self.grow_among(layer, step)
                places = None if among is None else among.flatten()
                grown = grow(kept, self.grow_scores(layer, step).flatten(), drop, places)
                final = grown.view(layer.shape)
            self.set_mask(layer, final, step, through=mask)

    def _pruned_to(
        self, sparsity: float, active: Mapping[str, Tensor], scores: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        if not self.is_global:
            is_last = sparsity == self.plan.sparsity
            zeros = final = self.target_zeros()
            if not is_last:
                zeros = self.zeros_at(sparsity)
            if self.held_zeros is not None:  # of another distribution, perhaps
                zeros = {name: min(count, final[name]) for name, count in zeros.items()}
            # Rounding and capped layers may need fewer zeros than there are: pruning never regrows.
            have = {name: count_true(~mask) for name, mask in active.items()}
            return prune_layers(active, scores, {n: max(zeros[n], have[n]) for n in zeros})
        fraction = sparsity / self.plan.sparsity if self.plan.sparsity else 0.0
        return self.pruned(active, scores, fraction)

    @abstractmethod
    def can_grow(self, layer: PrunableWeight) -> bool:
        """Return whether there is what a layer's scores need."""

    @abstractmethod
    def grow_scores(self, layer: PrunableWeight, step: int) -> Tensor:
        """Return scores of the weight's shape; the highest outside the kept weights are grown."""

    def grow_among(self, layer: PrunableWeight, step: int) -> Tensor | None:
        """Return where weights may grow, of the weight's shape: everywhere if None.

        The layer's mask must be in it: what was just dropped is then enough to grow as many.
        """
        return None
