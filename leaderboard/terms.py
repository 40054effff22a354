"""On which terms the methods of a board are compared: at equal steps, or at equal training FLOPs.

A record of a training with a ``flops_budget`` belongs to a board at equal training FLOPs. Boards on
different terms are never put together: a pooled score of both would be one of neither.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from leaderboard.trial_facts import BUDGET, TrialResult
from suite.core.finite_numbers import finite_number
from suite.results.training_flops import off_budget

INDEX = "index.html"
OFF_BUDGET = "off budget"
"""Of trials that took more than they may at equal training FLOPs, or less."""
NO_UPDATE = "no update"
"""Of trials that never updated connectivity, so that they are no results of the method."""


@dataclass(frozen=True, order=True)
class Terms:
    """What every method of a board is given alike.

    Attributes:
        flops_budget: training FLOPs as a multiple of the task's dense training; 0 where every
            method trains for the same number of steps.
    """

    flops_budget: float = 0.0

    @classmethod
    def of(cls, record: TrialResult) -> "Terms":
        """Return the terms of the board that a record belongs to."""
        recipe = record.configuration.get("recipe")
        if not isinstance(recipe, Mapping):  # a record of others may hold anything
            recipe = record.trial["recipe"]
        return cls(_budget(recipe.get(BUDGET, 0.0)))

    @property
    def words(self) -> str:
        """The terms in a few words."""
        if not self.flops_budget:
            return "at equal steps"
        return f"at equal training FLOPs ({self.flops_budget:g} × dense)"

    @property
    def heading(self) -> str:
        """A heading for what is compared on these terms."""
        return f"A{self.words[1:]}"

    @property
    def claim(self) -> str:
        """What every method is given, in a sentence."""
        if not self.flops_budget:
            return "Every method trains for the same number of steps; what that costs differs."
        return (
            f"Every method may use {self.flops_budget:g} × the FLOPs of dense training; a sparser "
            "method trains longer."
        )

    @property
    def page(self) -> str:
        """The address of the page of all boards on these terms, if another one is the main page."""
        return f"equal-flops-{self.flops_budget:g}.html" if self.flops_budget else INDEX

    def left_out(self, record: TrialResult) -> str:
        """Return why a finished record cannot be compared on these terms; empty if it can."""
        if not self.flops_budget:
            return ""
        flops = record.flops
        return off_budget(flops["training"], flops.get("dense_training", 0.0), self.flops_budget)


EQUAL_STEPS = Terms()


def uncounted(record: TrialResult) -> str:
    """Return why a finished trial is no result, wherever trials are compared; empty if it is one.

    Its method never updated connectivity, or it missed its `flops_budget`.
    """
    return record.never_updated or Terms.of(record).left_out(record)


def _budget(value: Any) -> float:
    return max(finite_number(value) or 0.0, 0.0)
