"""Pure functions from scores to masks: exact counts, ties broken by index.

All work over the last dimension, so leading dimensions (several seeds decided at once) are free.
Masks are boolean, True where a weight is active.
"""

import torch
from torch import Tensor


def keep_top(scores: Tensor, keep: int) -> Tensor:
    """Return the mask of the `keep` highest scores, exact on ties (lower index first).

    ``torch.topk`` breaks ties arbitrarily and a threshold comparison keeps too many or too few.
    Here the `keep`-th highest value is found, everything above it is taken, and the places left
    are filled with scores equal to it in index order.

    Args:
        scores: [..., n], without NaN. Use ``-inf`` for what must not be chosen.
        keep: from 0 to n.

    Returns:
        boolean [..., n] with exactly `keep` True along the last dimension.

    Raises:
        ValueError: a NaN among the scores, or an impossible `keep`.
    """
    n = scores.shape[-1]
    if not 0 <= keep <= n:
        raise ValueError(f"keep={keep} of {n} scores")
    if bool(scores.isnan().any()):
        raise ValueError("scores hold NaN, which cannot be ranked")
    if keep == 0 or keep == n:
        return torch.full_like(scores, keep == n, dtype=torch.bool)
    cut = scores.kthvalue(n - keep + 1, dim=-1, keepdim=True).values
    mask = scores >= cut
    if bool((mask.sum(-1) == keep).all()):  # no ties at the cut: the usual case
        return mask
    above = scores > cut
    tied = mask & ~above
    room = keep - above.sum(-1, keepdim=True)
    return above | (tied & (tied.cumsum(-1) <= room))


def random_mask(shape: torch.Size, keep: int, generator: torch.Generator) -> Tensor:
    """Return a boolean mask of `shape` with exactly `keep` True, uniformly at random."""
    scores = torch.rand(shape.numel(), generator=generator, device=generator.device)
    return keep_top(scores, keep).view(shape)


def keep_active(mask: Tensor, scores: Tensor, keep: int) -> Tensor:
    """Return the `keep` highest-scored weights among the active ones of `mask` [..., n]."""
    return keep_top(scores.masked_fill(~mask, -torch.inf), keep)


def grow(kept: Tensor, scores: Tensor, count: int) -> Tensor:
    """Add to `kept` [..., n] the `count` highest-scored weights outside it."""
    return kept | keep_top(scores.masked_fill(kept, -torch.inf), count)


def keep_top_global(scores: list[Tensor], keep: int) -> list[Tensor]:
    """Rank several tensors together: return one mask per tensor, `keep` True in all of them."""
    mask = keep_top(torch.cat([score.flatten() for score in scores]), keep)
    parts = mask.split([score.numel() for score in scores])
    return [part.view(score.shape) for part, score in zip(parts, scores, strict=True)]
