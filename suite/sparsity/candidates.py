"""Growth among random candidates: which gradients it looks at, and how many those are."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from suite.sparsity.activity_draw import Activity, active_places
from suite.sparsity.layers import PrunableWeight
from suite.sparsity.masks import count_true, distinct, places_of, random_empty


@dataclass(frozen=True)
class Candidates:
    """Whose gradients growth looks at: those of all weights, or of active ones and candidates.

    Candidates are places without a weight, drawn at random for every update, in each layer ⌈ratio ·
    active weights⌉ of them (all, if there are not so many), uniformly or by activity. Weights that
    are active when gradients are computed have theirs at no cost, so one that an update drops can
    be grown again. Hence an update that grows no more weights than it drops always finds enough
    places, whatever the ratio.

    Source: Heddes et al. 2024, arXiv:2401.06898: the cost of an update is linear in the number of
    active weights.

    Attributes:
        ratio: candidates per active weight; 0 looks at all weights.
    """

    ratio: float = 0.0

    def gradients(self, active: int, size: int) -> int:
        """Return how many gradients of a layer are looked at; it never falls as `active` rises.

        Free of binary rounding: 0.07 candidates for each of 100 active weights are 7, not 8.
        """
        if self.ratio == 0:
            return size
        return min(size, active + math.ceil(Fraction(str(self.ratio)) * active))

    def known(self, mask: Tensor, generator: torch.Generator) -> Tensor | None:
        """Return where gradients are looked at, active weights and candidates; None: everywhere.

        Args:
            mask: boolean, the weights that are active when gradients are computed.
            generator: draws the candidates, uniformly.
        """
        if self.ratio == 0:
            return None
        active = count_true(mask)
        candidates = self.gradients(active, mask.numel()) - active
        return mask | random_empty(mask, candidates, generator)

    def places(
        self, layer: PrunableWeight, generator: torch.Generator, activity: Activity | None = None
    ) -> Tensor:
        """Return where gradients of a layer are looked at: flat, ascending, int64.

        They are those of `known`; with `activity`, candidates are drawn by that instead.
        """
        if activity is None or self.ratio == 0:
            known = self.known(layer.mask, generator)
            return (
                torch.arange(layer.size, device=layer.device) if known is None else places_of(known)
            )
        count = self.gradients(layer.active, layer.size) - layer.active
        drawn = active_places(layer.mask, count, activity, generator)
        return distinct(torch.cat([layer.places, drawn]))


ALL = Candidates()
"""Growth looks at the gradients of all weights."""


class CandidateGradients:
    """The sizes of the gradients that growth looks at, in the step of an update.

    Args:
        candidates: whose gradients those are.
        generators: returns a new random generator for (layer, purpose, step), always the same.
    """

    def __init__(
        self,
        candidates: Candidates,
        generators: Callable[[PrunableWeight, str, int], torch.Generator],
    ) -> None:
        self._candidates, self._generators = candidates, generators
        self._last: tuple[str, int, Tensor | None] | None = None

    def known(self, layer: PrunableWeight, step: int) -> Tensor | None:
        """Return where gradients of a layer are looked at in the update of `step`; None: all.

        Ask before the update has changed the layer's mask: candidates are drawn beside it.
        """
        if self._last is None or self._last[:2] != (layer.name, step):
            generator = self._generators(layer, "candidates", step)
            self._last = layer.name, step, self._candidates.known(layer.mask, generator)
        return self._last[2]

    def sizes(self, layer: PrunableWeight, step: int) -> Tensor:
        """Return |∇| of a layer that has a gradient, of its shape.

        It is 0 where growth does not look, and not computed there if the storage need not.
        """
        known = self.known(layer, step)
        if known is None:
            dense = layer.dense_gradient
            assert dense is not None
            return dense.abs()
        places = places_of(known)
        gradient = layer.gradient_at(places)
        assert gradient is not None
        sizes = gradient.new_zeros(layer.size).index_copy_(0, places, gradient.abs())
        return sizes.view(layer.shape)

    def forget(self) -> None:
        """Forget what was drawn: the update is over."""
        self._last = None
