"""What a record says of its `flops_budget`: training FLOPs as a multiple of dense training's."""

from dataclasses import dataclass

from suite.results.record import Record

TOLERANCE = 0.01
"""A training whose FLOPs are further than this from its budget is not one at equal FLOPs."""


@dataclass(frozen=True)
class SpentBudget:
    """A budget, and what a training took of it.

    Attributes:
        budget: the `flops_budget`, as a multiple of dense training.
        spent: the training's FLOPs, as such a multiple.
        steps: that were taken.
    """

    budget: float
    spent: float
    steps: int

    @classmethod
    def of(cls, record: Record) -> "SpentBudget | None":
        """Return that of a finished record; None if it has no budget, or not what it is of."""
        budget = record.configuration.get("recipe", {}).get("flops_budget", 0.0)
        dense = record.flops.get("dense_training", 0.0)
        if record.status != "done" or not budget or not dense:
            return None
        return cls(budget, record.flops["training"] / dense, record.steps)

    @property
    def off(self) -> float:
        """How far off the budget it was, as a fraction of it; above 0 if it took more."""
        return self.spent / self.budget - 1

    @property
    def is_met(self) -> bool:
        """Whether it is a training at equal FLOPs."""
        return abs(self.off) <= TOLERANCE

    @property
    def words(self) -> str:
        """What was spent, for a person."""
        return (
            f"{self.spent:.4g} × dense training in {self.steps:,} steps, {self.off:+.2%} off the "
            f"flops_budget of {self.budget:g}"
        )
