"""Growth among random candidates: which gradients it looks at, and how many those are."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from suite.sparsity.masks import count_true

UNKNOWN = -1.0
"""Score of a weight whose gradient is not looked at: below any magnitude."""
SPARE = 16
"""Places drawn beyond the number that is expected to be needed."""


@dataclass(frozen=True)
class Candidates:
    """Whose gradients growth looks at: those of all weights, or of active ones and candidates.

    Candidates are places without a weight, drawn at random for every update, in each layer
    ⌈ratio · active weights⌉ of them (all, if there are not so many). Weights that are active when
    gradients are computed have theirs at no cost, so one that an update drops can be grown again.

    Source: Heddes et al. 2024, arXiv:2401.06898: the cost of an update is linear in the number of
    active weights.

    Attributes:
        ratio: candidates per active weight; 0 looks at all weights.
    """

    ratio: float = 0.0

    def gradients(self, active: int, size: int) -> int:
        """Return how many gradients of a layer are looked at; it never falls as `active` rises."""
        if self.ratio == 0:
            return size
        return min(size, active + math.ceil(self.ratio * active))

    def magnitudes(self, gradient: Tensor, mask: Tensor, generator: torch.Generator) -> Tensor:
        """Return |∇| where it is looked at, and elsewhere a score below any.

        Args:
            gradient: of every weight.
            mask: boolean, the gradient's shape: the weights active when it was computed.
            generator: draws the candidates.
        """
        if self.ratio == 0:
            return gradient.abs()
        active = count_true(mask)
        candidates = self.gradients(active, mask.numel()) - active
        known = mask | draw_empty(mask, candidates, generator)
        return torch.where(known, gradient.abs(), UNKNOWN)


ALL = Candidates()
"""Growth looks at the gradients of all weights."""


def draw_empty(mask: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Return a mask of exactly `count` places where `mask` is False, uniformly at random.

    Places are drawn with repetition from the whole tensor and those that are taken are rejected,
    until there are enough; a random part of those that are too many is removed. Every set of
    `count` empty places is equally likely, since nothing here depends on which places are drawn,
    only on how many. It draws about count · size / empty numbers, not one for every place; if that
    is more than half of the empty places, those that are left out are drawn.

    Raises:
        ValueError: there are fewer empty places.
    """
    size, active = mask.numel(), count_true(mask)
    empty = size - active
    if not 0 <= count <= empty:
        raise ValueError(f"count={count} of {empty} empty places")
    if 2 * count > empty:
        return ~mask if count == empty else ~(mask | draw_empty(mask, empty - count, generator))
    taken = mask.flatten().clone()
    found = 0
    while found < count:
        share = (empty - found) / size
        tries = math.ceil(1.02 * (count - found) / share) + SPARE
        taken[torch.randint(size, (tries,), generator=generator, device=mask.device)] = True
        found = count_true(taken) - active
    drawn = taken ^ mask.flatten()
    if found > count:
        places = drawn.nonzero().flatten()
        order = torch.randperm(found, generator=generator, device=mask.device)
        drawn[places[order[count:]]] = False
    return drawn.view(mask.shape)
