"""Whether the steps of a record with a `flops_budget` can be those that its budget paid for."""

from collections.abc import Iterator
from dataclasses import dataclass

from suite.core.errors import InvalidInput
from suite.results.record import Record
from suite.sparsity.cost_bounds import FlopsBounds, TrainingSetup, Zeros
from suite.sparsity.sparsifier import Sparsifier
from suite.sparsity.training_cost import any_course_cost, training_cost
from suite.training.budget_forecast import dense_training
from suite.training.budget_plan import BudgetPlan
from suite.training.context import TrialContext

TOLERANCE = 1e-6
"""Relative difference of FLOPs that another order of summation may make."""


@dataclass(frozen=True)
class StepsTaken:
    """The method of a record as it was trained: for how many steps, and what they can cost.

    Attributes:
        method: for the steps that the record says, or those that it must have had.
        longest: for the longest plan that it may have had during training; None if it had one plan
            alone.
        problem: why the record's steps cannot be right; empty if they can.
    """

    method: Sparsifier
    longest: Sparsifier | None = None
    problem: str = ""

    def cost(self, setup: TrainingSetup) -> FlopsBounds:
        """Return what so long a training can cost."""
        if self.longest is None:
            return training_cost(self.method, setup)
        steps = any_course_cost(self.method, setup)
        return steps + self.method.scoring_cost(setup) + self.own_cost(setup)

    def own_cost(self, setup: TrainingSetup) -> FlopsBounds:
        """Return what the method's own arithmetic can cost."""
        if self.longest is None:
            return self.method.method_cost(setup)
        return FlopsBounds(0.0, self.longest.method_cost(setup).most)


def steps_taken(record: Record, context: TrialContext) -> StepsTaken:
    """Return the method for as many steps as its record was trained, and whether they can be right.

    Where the forecast is exact they must be its steps; where the masks are chosen before training,
    those that the rest of the budget paid for; elsewhere any whose cost can be the record's.
    """
    planned, taken = context.make_sparsifier(), record.steps
    if not context.recipe.flops_budget:
        problem = f"steps: {taken:,}, of a trial without a flops_budget" if taken else ""
        return StepsTaken(planned, problem=problem)
    if not taken:
        return StepsTaken(planned, problem="steps: none, of a trial with a flops_budget")
    budget = BudgetPlan.of(context)
    if budget is None:
        if taken == planned.total_steps:
            return StepsTaken(planned)
        problem = f"steps: {taken:,}, its flops_budget pays for {planned.total_steps:,}"
        return StepsTaken(planned, problem=problem)
    costs = budget.costs
    if taken > costs.most_steps:
        problem = f"steps: {taken:,}, its flops_budget pays for at most {costs.most_steps:,}"
        return StepsTaken(planned, problem=problem)
    try:
        method = costs.make(taken)
    except InvalidInput as error:
        return StepsTaken(planned, problem=f"steps: {taken:,}, too few: {error}")
    if planned.is_dynamic:
        return StepsTaken(method, costs.make(costs.most_steps))
    final = Zeros.exactly({layer.name: layer.zeros for layer in record.layers})
    least, most = costs.steps(1.0, final), costs.steps(0.0, final)
    if least <= taken <= most:
        return StepsTaken(method)
    words = f"{least:,}" if least == most else f"{least:,} to {most:,}"
    return StepsTaken(method, problem=f"steps: {taken:,}, its flops_budget pays for {words}")


def off_reference(record: Record, context: TrialContext, forward: float) -> Iterator[str]:
    """Yield what is wrong with the FLOPs of dense training, the reference of the budget.

    `forward` are the operations per example of the task's own network, dense.
    """
    found = record.flops.get("dense_training")
    if not context.recipe.flops_budget:
        if found is not None:
            yield "dense_training, of a trial without a flops_budget"
        return
    expected = dense_training(context.recipe, context.dataset, forward)
    if found is None or abs(found - expected) > TOLERANCE * expected:
        yield f"dense_training: {found or 0:g} FLOPs, not {expected:g}"
