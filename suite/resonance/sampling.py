"""How many gradients growth looks at between two updates: which steps, and how many places.

Pure functions of the options and of the sparsity.
"""

import math
from types import SimpleNamespace

from suite.core.errors import InvalidInput
from suite.sparsity.candidates import Candidates

LEAST_INTERVAL = 10
"""Under ``record_every=auto`` at most one gradient in this many steps is recorded."""

ROUNDING = 1e-9
"""Relative error of a quotient that should be whole."""


def check_sampling(o: SimpleNamespace, update_every: int) -> None:
    """Check the options `record_every`, `candidate_ratio` and `draw` against each other.

    Raises:
        InvalidInput: no gradient is recorded between two updates, or an option that is about
            candidates is given where gradients of all weights are read.
    """
    if o.record_every != "auto" and o.record_every > update_every:
        raise InvalidInput(
            f"record_every={o.record_every} records nothing between two updates: "
            f"give at most update_every={update_every}"
        )
    if o.candidate_ratio > 0:
        return
    if o.record_every == "auto":
        raise InvalidInput(
            "record_every=auto follows from candidate_ratio, and candidate_ratio=0 reads the "
            "gradients of all weights: give a number of steps, or a candidate_ratio above 0"
        )
    if o.draw != "uniform":
        raise InvalidInput(
            f"draw={o.draw} says how candidates are drawn, and candidate_ratio=0 reads the "
            "gradients of all weights: give draw=uniform, or a candidate_ratio above 0"
        )


def empty_per_active(sparsity: float) -> float:
    """Return how many weights are inactive for each active one: f_D / f_S − 1."""
    return sparsity / (1 - sparsity)


def auto_record_every(ratio: float, update_every: int, sparsity: float) -> int:
    """Return how many steps lie between two recorded gradients, for the cost of RigL.

    It is the least r from `LEAST_INTERVAL` on with γ/r ≤ (f_D/f_S − 1)/(ΔT + 1), and at most ΔT:
    the gradients of candidates then cost no more than a dense one at every update, in layers whose
    cost is in proportion to their weights.

    Args:
        ratio: γ, candidates per active weight; no more are looked at than there are empty places.
        update_every: ΔT.
        sparsity: of the network.
    """
    if sparsity == 0:
        return update_every
    empty = empty_per_active(sparsity)
    least = min(ratio, empty) * (update_every + 1) / empty
    return min(update_every, max(LEAST_INTERVAL, math.ceil(least * (1 - ROUNDING))))


def affordable(ratio: float, update_every: int, sparsity: float) -> Candidates:
    """Return the candidates that ``record_every=auto`` allows: fewer where even ΔT is too dear."""
    most = update_every * empty_per_active(sparsity) / (update_every + 1)
    return Candidates(min(ratio, most) if most > 0 else ratio)
