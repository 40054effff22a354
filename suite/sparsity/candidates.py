"""Growth among random candidates: which gradients it looks at, and how many those are."""

import math
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from suite.sparsity.activity_draw import Activity, active_empty
from suite.sparsity.masks import count_true, random_empty


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

    def known(
        self, mask: Tensor, generator: torch.Generator, activity: Activity | None = None
    ) -> Tensor | None:
        """Return where gradients are looked at, active weights and candidates; None: everywhere.

        Args:
            mask: boolean, the weights that are active when gradients are computed.
            generator: draws the candidates.
            activity: that they are drawn by; uniformly if None.
        """
        if self.ratio == 0:
            return None
        active = count_true(mask)
        candidates = self.gradients(active, mask.numel()) - active
        if activity is None:
            return mask | random_empty(mask, candidates, generator)
        return mask | active_empty(mask, candidates, activity, generator)


ALL = Candidates()
"""Growth looks at the gradients of all weights."""
