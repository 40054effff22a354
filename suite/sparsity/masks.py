"""Pure functions from scores to masks: exact counts, ties broken by index.

Masks are boolean, True where a weight is active. `keep_top` and what is built on it work
over the last dimension; leading ones are batch dimensions.
"""

import math

import numpy as np
import torch
from torch import Tensor

from suite.sparsity import numpy_selection

SPARE = 16
"""Places that `random_empty` draws beyond the number that is expected to be needed."""


class NonFiniteScores(ValueError):
    """There is a NaN among the scores."""


def keep_top(
    scores: Tensor, keep: int, among: Tensor | None = None, then: Tensor | None = None
) -> Tensor:
    """Return the mask of the `keep` highest scores, exact on ties (lower index first).

    ``torch.topk`` breaks ties arbitrarily, and a threshold comparison keeps too many or too few.

    Args:
        scores: [..., n], without NaN.
        keep: from 0 to n.
        among: boolean [..., n], the candidates; all if left out.
        then: [n], breaks ties of the scores, highest first, before the index does.

    Returns:
        boolean [..., n] with exactly `keep` True along the last dimension.

    Raises:
        NonFiniteScores: a NaN among the scores.
        ValueError: `keep` is more than there is to choose from.
    """
    count = scores.shape[-1]
    if not 0 <= keep <= count:
        raise ValueError(f"keep={keep} of {count} scores")
    check_ranked(scores)
    if among is not None:
        eligible = count_true(among) if among.ndim == 1 else int(among.sum(-1).min())
        if keep > eligible:
            raise ValueError(f"keep={keep} of {eligible} scores")
    if scores.device.type == "cpu":  # the same masks, an order of magnitude faster
        return numpy_selection.keep_top(scores, keep, among, then)
    return rank_and_keep(scores, keep, among, then)


def check_ranked(scores: Tensor) -> None:
    """Check that there is an order of the scores.

    Raises:
        NonFiniteScores: a NaN among them.
    """
    # The maximum is NaN if any score is.
    if scores.numel() and bool((highest := scores.amax()) != highest):
        raise NonFiniteScores("scores hold NaN, which cannot be ranked")


def rank_and_keep(
    scores: Tensor, keep: int, among: Tensor | None = None, then: Tensor | None = None
) -> Tensor:
    """Return the mask of the first `keep` in the order of `among`, score, `then` and index.

    The definition of `keep_top`, in terms of stable sorts; arguments as there.
    """
    first = ordered(scores, among, then)[..., :keep]
    return torch.zeros_like(scores, dtype=torch.bool).scatter(-1, first, True)


def ordered(scores: Tensor, among: Tensor | None = None, then: Tensor | None = None) -> Tensor:
    """Return the indices of scores [..., n] in the order of `among`, score, `then` and index."""
    order = torch.arange(scores.shape[-1], device=scores.device).expand(scores.shape)
    for key in (then, scores, among):  # the last sort decides first
        if key is not None:
            ranks = (
                key.to(scores.dtype).gather(-1, order).argsort(dim=-1, descending=True, stable=True)
            )
            order = order.gather(-1, ranks)
    return order


def count_true(mask: Tensor) -> int:
    """Return how many elements of a boolean mask of any shape are True."""
    if mask.device.type != "cpu":
        return int(mask.sum())
    return int(np.count_nonzero(mask.numpy()))  # forty times faster than torch's sum of booleans


def places_of(mask: Tensor) -> Tensor:
    """Return the flat indices, ascending, where a boolean mask of any shape is True."""
    if mask.device.type != "cpu":
        return mask.flatten().nonzero().flatten()
    return torch.from_numpy(np.flatnonzero(mask.numpy()))  # three times faster than torch's


def where_true(values: Tensor, mask: Tensor) -> Tensor:
    """Return the values [n] where a mask [n] is True; on a CPU faster than ``values[mask]``."""
    return values.index_select(0, places_of(mask))


def above(values: Tensor, level: int) -> Tensor:
    """Return where integers are greater than `level`, boolean of their shape."""
    if values.device.type != "cpu":
        return values > level
    return torch.from_numpy(values.numpy() > level)  # six times faster than torch's


def distinct(places: Tensor) -> Tensor:
    """Return the numbers that occur among `places` [n], ascending, each once."""
    if places.device.type != "cpu":
        return places.unique()
    native = np.sort(places.numpy())  # ten times faster than torch's
    is_first = np.ones(len(native), dtype=np.bool_)
    np.not_equal(native[1:], native[:-1], out=is_first[1:])
    return torch.from_numpy(native[is_first])


def kth_smallest(scores: Tensor, k: int, among: Tensor) -> float:
    """Return the `k`-th smallest (from 1) of the scores [n] where `among` is True."""
    if scores.device.type != "cpu":
        return float(scores[among].kthvalue(k).values)
    return numpy_selection.kth_smallest(scores, k, among)


def count_at_most(scores: Tensor, level: float, among: Tensor) -> int:
    """Return how many of the scores [n] where `among` is True are at most `level`."""
    if scores.device.type != "cpu":
        return count_true((scores <= level) & among)
    native = numpy_selection.to_numpy(scores)
    return int(np.count_nonzero((native <= level) & among.numpy()))


def random_mask(shape: torch.Size, keep: int, generator: torch.Generator) -> Tensor:
    """Return a boolean mask of `shape` with exactly `keep` True, uniformly at random."""
    return keep_top(uniform(shape, generator).flatten(), keep).view(shape)


def uniform(shape: torch.Size, generator: torch.Generator) -> Tensor:
    """Return random numbers in [0, 1), single precision whatever the default dtype is.

    In half precision most of them would be equal, and ties are broken by index: not at random.
    """
    device = generator.device
    return torch.rand(shape, generator=generator, device=device, dtype=torch.float32)


def random_empty(mask: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Return a mask of exactly `count` places where `mask` is False, uniformly at random.

    Places are drawn with repetition from the whole tensor and those that are taken are rejected,
    until there are enough; a random part of those that are too many is removed. Every set of
    `count` empty places is equally likely, since nothing here depends on which places are drawn,
    only on how many. It draws about count · size / empty numbers, not one for every place; if that
    is more than half of the empty places, those that are left out are drawn.

    Args:
        mask: boolean, of any shape.
        count: from 0 to the number of empty places.
        generator: on the device of `mask`.

    Raises:
        ValueError: there are fewer empty places.
    """
    size, active = mask.numel(), count_true(mask)
    empty = size - active
    if not 0 <= count <= empty:
        raise ValueError(f"count={count} of {empty} empty places")
    if 2 * count > empty:
        return ~mask if count == empty else ~(mask | random_empty(mask, empty - count, generator))
    taken = mask.flatten().clone()
    found = 0
    while found < count:
        share = (empty - found) / size
        tries = math.ceil(1.02 * (count - found) / share) + SPARE
        taken[torch.randint(size, (tries,), generator=generator, device=mask.device)] = True
        found = count_true(taken) - active
    drawn = taken ^ mask.flatten()
    if found > count:
        places = places_of(drawn)
        order = torch.randperm(found, generator=generator, device=mask.device)
        drawn[places[order[count:]]] = False
    return drawn.view(mask.shape)


def keep_active(mask: Tensor, scores: Tensor, keep: int) -> Tensor:
    """Return the `keep` highest-scored weights among the active ones of `mask` [..., n]."""
    return keep_top(scores, keep, among=mask)


def grow(kept: Tensor, scores: Tensor, number: int, among: Tensor | None = None) -> Tensor:
    """Add to `kept` [..., n] the `number` highest-scored weights outside it.

    Args:
        kept: boolean, the mask before.
        scores: of the same shape, without NaN.
        number: of weights to grow in each row.
        among: boolean, the places that may be grown; all if left out.

    Raises:
        NonFiniteScores: a NaN among the scores.
        ValueError: there are fewer such places outside `kept`.
    """
    return kept | keep_top(scores, number, among=~kept if among is None else among & ~kept)


def grow_at(kept: Tensor, scores: Tensor, number: int, places: Tensor) -> Tensor:
    """Add to `kept` [n] the `number` highest-scored weights outside it among some places alone.

    The same mask as `grow` gives, at a cost that is linear in m.

    Args:
        kept: boolean, the mask before.
        scores: [m], without NaN.
        number: of weights to grow.
        places: flat indices [m], ascending, of the scores.

    Raises:
        NonFiniteScores: a NaN among the scores.
        ValueError: there are fewer such places outside `kept`.
    """
    chosen = keep_top(scores, number, among=~kept.index_select(0, places))
    return kept.index_fill(0, where_true(places, chosen), True)
