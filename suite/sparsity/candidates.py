"""Growth among random candidates: which gradients it looks at, and how many those are."""

import math
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from suite.sparsity.layers import PrunableWeight
from suite.sparsity.masks import count_true, places_of, random_empty


@dataclass(frozen=True)
class Candidates:
    """Whose gradients growth looks at: those of all weights, or of active ones and candidates.

    Candidates are places without a weight, drawn at random for every update, in each layer
    ⌈ratio · active weights⌉ of them (all, if there are not so many). Weights that are active when
    gradients are computed have theirs at no cost, so one that an update drops can be grown again.
    Hence an update that grows no more weights than it drops always finds enough places, whatever
    the ratio.

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
            generator: draws the candidates.
        """
        if self.ratio == 0:
            return None
        active = count_true(mask)
        candidates = self.gradients(active, mask.numel()) - active
        return mask | random_empty(mask, candidates, generator)


ALL = Candidates()
"""Growth looks at the gradients of all weights."""


def gradient_sizes(layer: PrunableWeight, known: Tensor | None) -> Tensor | None:
    """Return |∇| of a layer, of its shape; None if the loss does not depend on it.

    Args:
        layer: whose gradient may be read in this step.
        known: what `Candidates.known` returned. Elsewhere |∇| is 0, and is not computed where the
            storage need not; None is everywhere.
    """
    if known is None:
        gradient = layer.dense_gradient
        return None if gradient is None else gradient.abs()
    places = places_of(known)
    gradient = layer.gradient_at(places)
    if gradient is None:
        return None
    sizes = gradient.new_zeros(layer.size).index_copy_(0, places, gradient.abs())
    return sizes.view(layer.shape)
