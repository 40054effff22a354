"""The shuffled control: within a layer, each connection is judged by the signal of another."""

from collections.abc import Callable

import torch
from torch import Tensor


def signal_sources(
    shuffle: str, step: int, live: Tensor, generator: Callable[[int], torch.Generator]
) -> Tensor | None:
    """Return whose signal each connection is judged by: indices int64 [n], or None for its own.

    Args:
        shuffle: "none", "fixed" (one permutation throughout), or "each" (a new one at each step).
        step: of the decision.
        live: boolean [n], the connections that have a signal; only these are permuted.
        generator: returns a new random generator for a step, always the same.
    """
    if shuffle == "none":
        return None
    random = generator(step if shuffle == "each" else 0)
    order = torch.randperm(len(live), generator=random, device=live.device)
    return permutation_within(order, live)


def permutation_within(order: Tensor, live: Tensor) -> Tensor:
    """Return the permutation that `order` induces on the `live` connections; others stay put.

    Each live connection follows the cycle of `order` until it meets a live one again (the first
    return), so the same `order` gives nearly the same permutation while `live` changes a little.
    Both [n]; the result says where each connection's signal comes from.
    """
    place = torch.arange(len(order), device=order.device)
    hop = torch.where(live, place, order)
    # Dead connections are passed over by doubling: after k rounds each leads to the next live one,
    # or to the 2^k-th after it. Only those that still lead to a dead one are looked at again; on a
    # cycle without a live one they do so forever.
    dead = (~live).nonzero().flatten()
    for _ in range(len(order).bit_length()):
        to = hop.index_select(0, dead)
        waits = ~live.index_select(0, to)
        dead, to = dead[waits], to[waits]
        if len(dead) in (0, len(order)):
            break
        hop.index_copy_(0, dead, hop.index_select(0, to))
    return torch.where(live, hop.index_select(0, order), place)
