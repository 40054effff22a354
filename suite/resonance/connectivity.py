"""Connectivity control: frequencies and a cut → which connections are on, cooling or off.

Pure functions on flat tensors [n] of one group of connections (a layer, or the whole network).
"""

import torch
from torch import Tensor

from suite.sparsity.masks import keep_top

NEVER = torch.iinfo(torch.int32).min


def lowest(score: Tensor, strength: Tensor, count: int, among: Tensor) -> Tensor:
    """Return the mask of the `count` lowest connections in `among`.

    Order is by score, then by strength, then by index, so that the count is met exactly whatever
    the ties. All tensors are [n]; `among` is boolean and holds at least `count` True.
    """
    if count == 0:
        return torch.zeros_like(among)
    masked = score.masked_fill(~among, torch.inf)
    cut = masked.kthvalue(count).values
    below = masked < cut
    tied = masked == cut
    room = count - int(below.sum())
    if room == int(tied.sum()):
        return below | tied
    return below | keep_top((-strength).masked_fill(~tied, -torch.inf), room)


def disable(
    active: Tensor, off_until: Tensor, off: Tensor, step: int, cooldown: int
) -> tuple[Tensor, Tensor]:
    """Apply ``cooling="disable"``: what falls to the threshold is off for `cooldown` steps.

    Args:
        active: boolean, what is connected now.
        off_until: int32, the first step at which a connection may come back.
        off: boolean, what lies at or below the threshold, cooling connections left aside.
        step: the step of this decision.
        cooldown: C, in steps.

    Returns:
        the new `active` and `off_until`.
    """
    cooling = is_cooling(active, off_until, step)
    connected = ~(cooling | off)
    newly_off = active & ~connected
    return connected, off_until.masked_fill(newly_off, step + cooldown)


def is_cooling(active: Tensor, off_until: Tensor, step: int) -> Tensor:
    """Return which connections are off and may not come back at `step` yet."""
    return ~active & (off_until > step)


def project(
    active: Tensor,
    cooling: Tensor,
    rank: Tensor,
    score: Tensor,
    strength: Tensor,
    keep: int,
    spared: Tensor,
) -> Tensor:
    """Return the mask of exactly `keep` connections: the final projection.

    Active connections come first, then inactive ones, cooling ones last; within a state the
    largest `rank` first, then score, strength and index. What is `spared` comes before all.
    """
    state = active.to(torch.int8) * 2 + (~active & ~cooling).to(torch.int8)
    state = state.masked_fill(spared, 3)
    order = torch.arange(len(active), device=active.device)
    for key in (strength, score, rank, state):
        order = order[key[order].argsort(descending=True, stable=True)]
    mask = torch.zeros_like(active)
    mask[order[:keep]] = True
    return mask
