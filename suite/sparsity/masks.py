"""Pure functions from scores to masks: exact counts, ties broken by index.

All work over the last dimension, so leading dimensions (several seeds decided at once) are free.
Masks are boolean, True where a weight is active. On a CPU the work is NumPy's: selection there is
ten times faster than torch's, and comparisons of 235,000 numbers eight times (measured with 2.15).
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

LARGE, SAMPLE = 2**16, 2**13
"""From LARGE scores on, a sample of about SAMPLE tells first which are worth ranking."""


class NonFiniteScores(ValueError):
    """There is a NaN among the scores."""


def _native(tensor: Tensor) -> Any:
    """Return the NumPy view of a CPU tensor (float32 for half types), or the tensor itself."""
    if tensor.device.type != "cpu":
        return tensor
    return (tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor).numpy()


def _tensor(native: Any) -> Tensor:
    return torch.from_numpy(native) if isinstance(native, np.ndarray) else native


def _among(scores: Any, among: Any) -> Any:
    """Return the scores where `among` is True; with leading dimensions, -inf elsewhere."""
    if scores.ndim > 1:
        where: Any = np.where if isinstance(scores, np.ndarray) else torch.where
        return where(among, scores, -np.inf)
    # Taken out rather than covered up: NumPy's selection is slow where many values are equal.
    return scores[among]


def _highest(scores: Any, k: int) -> tuple[Any, int]:
    """Return fewer scores with the `k`-th smallest among them, and which it is of those.

    Where few are above it (growth picks some thousand of a million), a level that a sample gives
    leaves little to select from. The result is exact: a level too high is noticed.
    """
    above = len(scores) - k + 1
    level = _level(scores[:: len(scores) // SAMPLE], above / len(scores))
    if level is not None:
        top = scores[scores >= level]
        if len(top) >= above:
            return top, len(top) - above + 1
    return scores, k


def _level(sample: Any, fraction: float) -> Any | None:
    """Return a level with about twice the `fraction` of all scores above it; None: too many."""
    rank = int(fraction * len(sample)) * 2 + 8
    if 4 * rank >= len(sample):
        return None
    return np.partition(sample, len(sample) - rank)[len(sample) - rank]


def _worth_ranking(scores: Any, keep: int, among: Any | None) -> Any | None:
    """Return the places, ascending, of fewer scores with the `keep` highest among them, or None."""
    if scores.ndim > 1 or scores.size < LARGE:
        return None
    chosen = scores.size if among is None else np.count_nonzero(among)
    if chosen < keep:
        return None
    if among is not None and 4 * chosen < scores.size:
        return np.flatnonzero(among)
    some = slice(None, None, scores.size // SAMPLE)
    sample = scores[some] if among is None else scores[some][among[some]]
    level = _level(sample, keep / chosen)
    if level is None:
        return None
    high = scores >= level
    if among is not None:
        high &= among
    enough = keep <= np.count_nonzero(high) < scores.size // 2  # many: most have one score
    return np.flatnonzero(high) if enough else None


def _kth_smallest(scores: Any, k: int) -> Any:
    if isinstance(scores, np.ndarray):
        if scores.ndim == 1 and scores.size >= LARGE:
            scores, k = _highest(scores, k)
        return np.partition(scores, k - 1, axis=-1)[..., k - 1 : k]
    return scores.kthvalue(k, dim=-1, keepdim=True).values


def count_true(mask: Tensor) -> int:
    """Return how many of a boolean mask of any shape are True."""
    native = _native(mask)  # NumPy counts bytes forty times faster than torch adds them
    return int(np.count_nonzero(native)) if isinstance(native, np.ndarray) else int(mask.sum())


def kth_smallest(scores: Tensor, k: int, among: Tensor) -> float:
    """Return the `k`-th smallest (from 1) of the scores [n] where `among` is True."""
    return float(_kth_smallest(_among(_native(scores), _native(among)), k)[0])


def count_at_most(scores: Tensor, level: float, among: Tensor) -> int:
    """Return how many of the scores [n] where `among` is True are at most `level`."""
    return count_true(_tensor((_native(scores) <= level) & _native(among)))


def keep_top(
    scores: Tensor, keep: int, among: Tensor | None = None, then: Tensor | None = None
) -> Tensor:
    """Return the mask of the `keep` highest scores, exact on ties (lower index first).

    ``torch.topk`` breaks ties arbitrarily and a threshold comparison keeps too many or too few.
    Here the `keep`-th highest value is found, everything above it is taken, and the places left
    are filled with scores equal to it in index order.

    Args:
        scores: [..., n], without NaN.
        keep: from 0 to n.
        among: boolean [..., n], where to choose: everywhere if left out.
        then: [n], orders what has the same score, before the index does.

    Returns:
        boolean [..., n] with exactly `keep` True along the last dimension.

    Raises:
        NonFiniteScores: a NaN among the scores.
        ValueError: an impossible `keep`.
    """
    n = scores.shape[-1]
    if not 0 <= keep <= n:
        raise ValueError(f"keep={keep} of {n} scores")
    native, chosen = _native(scores), None if among is None else _native(among)
    if n and bool((top := native.max()) != top):  # a maximum shows a NaN
        raise NonFiniteScores("scores hold NaN, which cannot be ranked")
    if keep == 0 or (keep == n and among is None):
        return torch.full_like(scores, keep == n, dtype=torch.bool)
    if isinstance(native, np.ndarray):
        places = _worth_ranking(native, keep, chosen)
        if places is not None:
            among_them = None if then is None else then[places]
            kept = keep_top(_tensor(native[places]), keep, then=among_them)
            mask = np.zeros(n, dtype=np.bool_)
            mask[places[kept.numpy()]] = True
            return _tensor(mask)
    ranked = native if chosen is None else _among(native, chosen)
    there = ranked.shape[-1]
    if chosen is not None and chosen.ndim > 1:
        there = int(chosen.sum(-1).min())
    if keep > there:
        raise ValueError(f"keep={keep} of {there} scores")
    cut = _kth_smallest(ranked, ranked.shape[-1] - keep + 1)
    mask = native >= cut
    if chosen is not None:
        mask &= chosen
    single = mask.ndim == 1 and count_true(_tensor(mask)) == keep
    if single or bool((mask.sum(-1) == keep).all()):  # no ties at the cut: the usual case
        return _tensor(mask)
    above = mask & (native > cut)
    tied = mask & ~above
    if then is not None:
        return _tensor(above) | keep_top(
            then, keep - count_true(_tensor(above)), among=_tensor(tied)
        )
    room = keep - above.sum(-1, keepdims=True)
    return _tensor(above | (tied & (tied.cumsum(-1) <= room)))


def random_mask(shape: torch.Size, keep: int, generator: torch.Generator) -> Tensor:
    """Return a boolean mask of `shape` with exactly `keep` True, uniformly at random."""
    scores = torch.rand(shape.numel(), generator=generator, device=generator.device)
    return keep_top(scores, keep).view(shape)


def keep_active(mask: Tensor, scores: Tensor, keep: int) -> Tensor:
    """Return the `keep` highest-scored weights among the active ones of `mask` [..., n]."""
    return keep_top(scores, keep, among=mask)


def grow(kept: Tensor, scores: Tensor, number: int) -> Tensor:
    """Add to `kept` [..., n] the `number` highest-scored weights outside it."""
    return kept | keep_top(scores, number, among=~kept)
