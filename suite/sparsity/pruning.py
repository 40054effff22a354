"""From scores to masks for a whole network: pure functions of tensors by layer name.

`active` and `scores` have the weights' shapes; inactive weights stay inactive.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from suite.sparsity.masks import count_true, keep_top
from suite.sparsity.pattern import Pattern

Tensors = Mapping[str, Tensor]


def prune_layers(
    active: Tensors, scores: Tensors, zeros: Mapping[str, int], pattern: Pattern | None = None
) -> dict[str, Tensor]:
    """Return `active` with the lowest scores removed until each layer has its number of `zeros`.

    Weights that a pattern would keep now are not pruned, so gradual pruning ends at the pattern.
    """
    masks = {}
    for name, mask in active.items():
        score, keep = scores[name], mask.numel() - zeros[name]
        safe = torch.zeros_like(mask)
        if pattern is not None and zeros[name] > 0:
            safe = pattern.keep(score.masked_fill(~mask, -torch.inf))
        rest = keep - count_true(safe)
        more = keep_top(score.flatten(), rest, among=(mask & ~safe).flatten())
        masks[name] = safe | more.view(mask.shape)
    return masks


def prune_together(
    active: Tensors, scores: Tensors, zeros: int, names: Sequence[str]
) -> dict[str, Tensor]:
    """Return `active` with the lowest scores removed, all layers of `names` ranked together.

    They have `zeros` zeros in all afterwards; other layers stay as they are.
    """
    flat = torch.cat([scores[name].flatten() for name in names])
    among = torch.cat([active[name].flatten() for name in names])
    mask = keep_top(flat, len(flat) - zeros, among=among)
    parts = mask.split([active[name].numel() for name in names])
    shaped = {n: part.view(active[n].shape) for n, part in zip(names, parts, strict=True)}
    return {**active, **shaped}
