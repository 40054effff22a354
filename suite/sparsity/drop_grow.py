"""Sparse-to-sparse training at constant density: score, exact top-k, apply.

SET, RigL and their variants share `DropGrow` and differ in what they drop and what they grow;
those that grow by the gradient of the update's own step share `GradientGrowth`.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from suite.core.errors import InvalidInput
from suite.sparsity.candidates import CandidateGradients
from suite.sparsity.layers import PrunableWeight
from suite.sparsity.masks import count_true, grow, keep_top, where_true
from suite.sparsity.plan import Plan
from suite.sparsity.schedule import CosineDecay, UpdateSchedule
from suite.sparsity.sparsifier import NO_UPDATE, Sparsifier

OPTIONS = ("update_every", "drop_fraction", "update_end")
"""The options that a method of this kind must declare.

`update_every` may be "auto", which divides training into as many intervals as the option
`intervals` says. `least_drop_fraction` is optional.
"""


class DropGrow(Sparsifier, ABC):
    """Starts from a random mask; at each update drops some active weights and grows as many.

    A subclass defines `grow_scores`. Unless overridden, `drop_scores` is |w| and `fraction`, the
    drop fraction, follows RigL's cosine.

    Attributes:
        regrown_keeps_value: whether a weight that is dropped and grown in one update stays as it
            is (RigL) or restarts at 0 (SET).
    """

    regrown_keeps_value = True

    def __init__(self, plan: Plan, options: Mapping[str, Any]) -> None:
        super().__init__(plan, options)
        if missing := [name for name in OPTIONS if name not in options]:
            raise InvalidInput(
                f"{type(self).__name__} has no option {', '.join(missing)}: declare UPDATE_EVERY, "
                "DROP_FRACTION and UPDATE_END among its hyperparameters"
            )
        every = self.options.update_every
        if every == "epoch":
            every = plan.steps_per_epoch
            if every == 0:
                raise InvalidInput(
                    "connectivity is updated once an epoch: give steps_per_epoch, or update_every"
                )
        elif every == "auto":
            every = max(1, plan.steps // self.options.intervals)
        # Nothing is dropped at T_end itself (RigL's fraction is zero there; SET skips the
        # last epoch), so the last update lies before it.
        end = self.step_at(self.options.update_end) - 1
        self.schedule = UpdateSchedule(every=every, start=every, end=end)
        least = getattr(self.options, "least_drop_fraction", 0.0)
        self._decay = CosineDecay(self.options.drop_fraction, max(1, end + 1), least)

    def start(self) -> None:
        """Draw the first masks at random."""
        self.draw_masks()

    def start_from(self, masks: Mapping[str, Tensor]) -> None:
        """Start from given masks."""
        self.keep_counts_of(masks)

    def raise_sparsity(self, step: int) -> None:
        """Prune the smallest weights to the new counts, once."""
        self.prune_on(step, last=0)

    def is_update(self, step: int) -> bool:
        """Return whether an update is due at `step`."""
        return self.schedule.is_update(step)

    def effective_options(self) -> dict[str, float]:
        """Return the options of the schedule in steps."""
        return {"update_every": self.schedule.every, "update_end": self.schedule.end + 1}

    def notes(self) -> list[str]:
        """Return a note if the training is too short for an update."""
        if self.schedule.start <= self.schedule.end:
            return []
        first, end = self.schedule.start, max(1, self.schedule.end + 1)
        when = f"the first would come at step {first}"
        if first <= self.plan.steps:
            option = f"update_end={self.options.update_end:g}"
            when += f", and {option} ends them before step {end}"
        way = "give a smaller update_every"
        if self.plan.steps == 1:
            way = "train for more steps"
        elif end == 1:  # not even an update at every step would come in time
            way = "raise update_end" if first == 1 else f"raise update_end and {way}"
        elif first < self.plan.steps:
            way += " or a larger update_end"
        return [f"{NO_UPDATE} {self.plan.steps} steps ({when}): the first masks stay; {way}"]

    def update(self, step: int) -> None:
        """Replace a fraction of every layer's active weights."""
        for layer in self.layers:
            if layer.active in (0, layer.size) or not self.can_update(layer):
                continue
            kept = self.drop_mask(layer, step)
            dropped = layer.active - count_true(kept)
            if dropped == 0:
                continue
            kept = kept.view(layer.shape)
            mask = self.grown_mask(layer, kept, dropped, step)
            through = None if self.regrown_keeps_value else kept
            self.set_mask(layer, mask, step, through=through)

    def can_update(self, layer: PrunableWeight) -> bool:
        """Return whether there is what a layer's scores need: it is not frozen, for instance."""
        return layer.trained

    def grow_among(self, layer: PrunableWeight, step: int) -> Tensor | None:
        """Return where weights may grow, of the weight's shape: everywhere if None.

        The layer's mask must be in it: what was just dropped is then enough to grow as many.
        """
        return None

    def grown_mask(self, layer: PrunableWeight, kept: Tensor, number: int, step: int) -> Tensor:
        """Return the mask after growing `number` weights to `kept`, of the weight's shape."""
        scores, among = self.grow_scores(layer, step), self.grow_among(layer, step)
        return self.grow_mask(layer, kept, scores, number, among)

    def grow_mask(
        self,
        layer: PrunableWeight,
        kept: Tensor,
        scores: Tensor,
        number: int,
        among: Tensor | None = None,
    ) -> Tensor:
        """Return the mask after growing: `kept` and the `number` highest scores outside it.

        All tensors have the weight's shape; nothing grows outside `among`.

        Raises:
            ValueError: there are not so many places.
        """
        if self.pattern is not None:
            return self.pattern.grow(kept, scores, among)
        places = None if among is None else among.flatten()
        return grow(kept.flatten(), scores.flatten(), number, places).view(layer.shape)

    def drop_mask(self, layer: PrunableWeight, step: int) -> Tensor:
        """Return the flat mask after dropping: True where an active weight stays."""
        keep = layer.active - math.floor(self.fraction(step) * layer.active)
        kept = where_true(layer.places, keep_top(self.active_drop_scores(layer, step), keep))
        mask = torch.zeros(layer.size, dtype=torch.bool, device=layer.device)
        return mask.index_fill_(0, kept, True)

    def active_drop_scores(self, layer: PrunableWeight, step: int) -> Tensor:
        """Return the drop scores of active weights alone [active], in the order of their places."""
        if type(self).drop_scores is DropGrow.drop_scores:
            return layer.active_values.abs()
        return self.drop_scores(layer, step).flatten().index_select(0, layer.places)

    def fraction(self, step: int) -> float:
        """Return the drop fraction at `step`, RigL's cosine (`CosineDecay`)."""
        return self._decay(step)

    def drop_scores(self, layer: PrunableWeight, step: int) -> Tensor:
        """Return scores of the weight's shape; the lowest active ones are dropped."""
        return layer.values.abs()

    @abstractmethod
    def grow_scores(self, layer: PrunableWeight, step: int) -> Tensor:
        """Return scores of the weight's shape; the highest outside the kept weights are grown."""


class GradientGrowth(DropGrow):
    """Grows where the gradient of the update's own step is largest, |∇|, as RigL does.

    Scores for dropping may read the layer's `dense_gradient` too. A layer without a gradient, which
    the loss of this step does not depend on, is left alone. Under the option `candidate_ratio`, if
    the method declares it, only random candidates among the places that were empty before the
    update, and the weights just dropped, may grow (`Candidates`); no other gradients are read.
    """

    def __init__(self, plan: Plan, options: Mapping[str, Any]) -> None:
        super().__init__(plan, options)
        self._gradients = CandidateGradients(self.growth_candidates, self.generator)

    def wants_dense_gradient(self, step: int) -> bool:
        """Return whether `step` is an update."""
        return self.is_update(step)

    def update(self, step: int) -> None:
        """Replace a fraction of every layer's active weights."""
        super().update(step)
        self._gradients.forget()

    def can_update(self, layer: PrunableWeight) -> bool:
        """Return whether the loss depends on the layer: without a gradient nothing can grow."""
        return super().can_update(layer) and layer.has_gradient

    def grow_scores(self, layer: PrunableWeight, step: int) -> Tensor:
        """Return |∇|; 0 where growth does not look at it (`grow_among`)."""
        return self._gradients.sizes(layer, step)

    def grow_among(self, layer: PrunableWeight, step: int) -> Tensor | None:
        """Return the weights whose gradients are looked at; None for all."""
        return self._gradients.known(layer, step)
