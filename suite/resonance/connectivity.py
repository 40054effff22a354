"""Connectivity control: connections below the threshold → active, cooling down or inactive.

Pure functions on flat tensors [n] of one group of connections (a layer, or the whole network).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from suite.sparsity.masks import above, keep_top


def lowest(score: Tensor, strength: Tensor, count: int, among: Tensor) -> Tensor:
    """Return the mask of the `count` lowest connections in `among`.

    Order is by score, then by strength, then by index, so that the count is exact in spite of
    ties. All tensors are [n]; `among` is boolean and holds at least `count` True.
    """
    return keep_top(-score, count, among=among, then=-strength)


@dataclass(frozen=True)
class State:
    """The state of every connection of a group. All tensors are [n].

    Attributes:
        active: boolean, above the threshold: trained and part of the network.
        mask: boolean, has a weight. Under ``disable`` the same as `active`; under ``freeze`` an
            inactive connection keeps its weight, unchanged, until its cooldown has passed.
        since: int32, the step of the last change: switched on, switched off, or set to zero.
    """

    active: Tensor
    mask: Tensor
    since: Tensor

    @staticmethod
    def dense(size: int, device: torch.device) -> "State":
        """Return the state in which training starts: everything connected."""
        on = torch.ones(size, dtype=torch.bool, device=device)
        return State(on, on, torch.zeros(size, dtype=torch.int32, device=device))

    @property
    def frozen(self) -> Tensor:
        """Which connections keep a weight that is not trained."""
        return self.mask & ~self.active

    def in_cooldown(self, step: int, cooldown: int) -> Tensor:
        """Return which connections are off and have been for less than `cooldown` steps."""
        return above(self.since, step - cooldown) & ~self.active

    def since_changed(self, changed: Tensor, step: int) -> Tensor:
        """Return `since` with `step` where `changed` (boolean [n]) is True."""
        # By arithmetic: on a CPU a choice by booleans takes three times as long.
        since = self.since.sub(step)
        return since.mul_((~changed).view(torch.uint8).to(since.dtype)).add_(step)


def disable(state: State, off: Tensor, step: int, cooldown: int) -> State:
    """Apply ``cooling="disable"``: connections at or below the threshold are zeroed.

    A connection cannot return before `cooldown` steps have passed, even if above T; after that it
    returns, at weight 0, as soon as its score is above the threshold.

    Args:
        state: before the decision.
        off: boolean [n], at or below the threshold; read only where no connection is in cooldown.
        step: of the decision.
        cooldown: C, in steps.
    """
    active = ~(state.in_cooldown(step, cooldown) | off)
    changed = active != state.active
    return State(active, active, state.since_changed(changed, step))


def freeze(state: State, off: Tensor, step: int, cooldown: int) -> State:
    """Apply ``cooling="freeze"``: connections at or below the threshold keep their weights.

    A connection that has been inactive for more than `cooldown` steps is set to 0 and its counter
    starts again. Above the threshold a connection is active at once, with the weight it has kept.
    Arguments as for `disable`; `off` is read everywhere.
    """
    active = ~off
    changed = active != state.active
    expired = ~active & ~state.active & ~above(state.since, step - cooldown - 1)
    mask = active | (state.mask & ~expired)
    return State(active, mask, state.since_changed(changed | expired, step))


def project(
    active: Tensor,
    in_cooldown: Tensor,
    rank: Tensor,
    score: Tensor,
    strength: Tensor,
    keep: int,
    spared: Tensor,
) -> Tensor:
    """Return the mask of exactly `keep` connections: the final projection.

    Active connections come first, then inactive ones, those in cooldown last; within a state the
    largest `rank` first, then score, strength and index. `spared` connections come before all.
    """
    state = active.to(torch.int8) * 2 + (~active & ~in_cooldown).to(torch.int8)
    state = state.masked_fill(spared, 3)
    order = torch.arange(len(active), device=active.device)
    for key in (strength, score, rank, state):
        order = order[key[order].argsort(descending=True, stable=True)]
    mask = torch.zeros_like(active)
    mask[order[:keep]] = True
    return mask
