"""The parts of a trial's training FLOPs, as its record has them."""

import math
from collections.abc import Mapping
from typing import NamedTuple

from suite.core.declarations import Method

PARTS = ("scoring", "method")
"""Entries of a record's FLOPs that count in its ``training``; older records lack them."""
TOLERANCE = 0.01
"""A training whose FLOPs are further than this from its budget is not one at equal FLOPs."""


class TrainingFlops(NamedTuple):
    """Training FLOPs in their parts.

    Attributes:
        steps: forward and backward passes of all steps, dense gradients included.
        scoring: passes that score connections beside the steps.
        method: the method's own arithmetic beside any pass.
    """

    steps: float
    scoring: float
    method: float

    @property
    def total(self) -> float:
        """All of training."""
        return self.steps + self.scoring + self.method

    @property
    def words(self) -> str:
        """The sum in words; the total alone where all of it is steps."""
        named = [
            ("steps", self.steps),
            ("scoring", self.scoring),
            ("the method's own arithmetic", self.method),
        ]
        found = [f"{value:.4g} for {name}" for name, value in named if value]
        total = f"{self.total:.4g}"
        return total if len(found) < 2 else f"{total} = {' + '.join(found)}"


def lacks_own_arithmetic(flops: Mapping[str, float], method: Method) -> bool:
    """Return whether a record's training FLOPs leave out what its method computes of its own.

    So do records from before it was charged; `resonance store migrate` adds it.
    """
    return method.own_arithmetic and "training" in flops and "method" not in flops


def parts_of(flops: Mapping[str, float]) -> TrainingFlops | None:
    """Return the parts of a record's ``training`` FLOPs; None where it does not say them all."""
    if not {"training", *PARTS} <= flops.keys():
        return None
    scoring, method = (flops[name] for name in PARTS)
    return TrainingFlops(max(0.0, flops["training"] - scoring - method), scoring, method)


def parts_problem(flops: Mapping[str, float]) -> str:
    """Return what is wrong with the parts of a record's training FLOPs; empty if nothing is."""
    given = {name: flops[name] for name in PARTS if name in flops}
    total, training = sum(given.values()), flops.get("training", math.inf)
    if total <= training * (1 + 1e-9):
        return ""
    words = " and ".join(f"{name} {value:g}" for name, value in given.items())
    return f"of {training:g} training FLOPs, {words} are too many"


def off_budget(training: float, dense: float, budget: float) -> str:
    """Return why a training is not one at equal FLOPs; empty if it is within 1 % of its budget.

    Args:
        training: its FLOPs.
        dense: those of the task's dense training; 0 where they are not known.
        budget: its `flops_budget`, a multiple of them.
    """
    if dense <= 0:
        return "it does not say what dense training costs, of which its flops_budget is a multiple"
    ratio = training / dense
    off = ratio / budget - 1
    if abs(off) <= TOLERANCE:
        return ""
    where = f"{100 * abs(off):.1f} % {'above' if off > 0 else 'below'}"
    return (
        f"training took {ratio:.4g} times the FLOPs of dense training, {where} its "
        f"flops_budget of {budget:g}: it is not compared at equal training FLOPs"
    )
