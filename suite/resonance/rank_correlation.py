"""Spearman's rank correlation, on any device."""

import numpy as np
import torch
from torch import Tensor

MIN_PAIRS = 3
"""Of fewer pairs no correlation is given."""


def ranks(values: Tensor) -> Tensor:
    """Return the ranks [n], float64, from 1; equal values share the mean of their ranks."""
    native = values.cpu().numpy()  # NumPy sorts several times as fast, and the result is read here
    order = native.argsort()
    ascending = native[order]
    is_first = np.ones(len(native), dtype=np.bool_)
    np.not_equal(ascending[1:], ascending[:-1], out=is_first[1:])
    first = np.flatnonzero(is_first)
    counts = np.diff(first, append=len(native))
    rank = np.empty(len(native))
    rank[order] = np.repeat(first + (counts + 1) / 2, counts)
    return torch.from_numpy(rank).to(values.device)


def correlation(first: Tensor, second: Tensor) -> float | None:
    """Return Pearson's correlation of two rows [n]; None if one is constant or n is below 3."""
    if len(first) < MIN_PAIRS:
        return None
    x, y = first.double() - first.double().mean(), second.double() - second.double().mean()
    power = float(x.square().sum() * y.square().sum())
    return max(-1.0, min(1.0, float((x * y).sum()) / power**0.5)) if power > 0 else None


def spearman(first: Tensor, second: Tensor) -> float | None:
    """Return the rank correlation of two rows [n]; None if one is constant or n is below 3."""
    return correlation(ranks(first), ranks(second))


def partial_spearman(first: Tensor, second: Tensor, given: Tensor) -> float | None:
    """Return the rank correlation of two rows at equal values of a third, each [n].

    (r_xy − r_xz·r_yz) / √((1 − r_xz²)(1 − r_yz²)), r being rank correlations: the correlation of
    what is left of the ranks after linear regression on those of `given`. None where that is
    nothing, or one row is constant.
    """
    x, y, z = ranks(first), ranks(second), ranks(given)
    xy, xz, yz = correlation(x, y), correlation(x, z), correlation(y, z)
    if xy is None or xz is None or yz is None:
        return None
    left = (1 - xz**2) * (1 - yz**2)
    return max(-1.0, min(1.0, (xy - xz * yz) / left**0.5)) if left > 1e-12 else None
