"""Follows a `flops_budget` while a network trains, where its cost is not known before."""

from dataclasses import dataclass
from typing import Any, Self

from suite.core.errors import InvalidInput
from suite.sparsity.cost_bounds import Zeros
from suite.sparsity.flops import FlopsLedger
from suite.sparsity.sparsifier import Sparsifier
from suite.sparsity.training_cost import steps_cost
from suite.training.budget_forecast import TrainingCosts
from suite.training.context import TrialContext
from suite.training.flops_budget import (
    FIRST_SHARE,
    expected,
    first_possible,
    measured_share,
    nearest_steps,
)

FORECASTS_AHEAD = 4
"""A forecast follows an epoch after at least one part in so many of the steps that were certain."""
STATE = ("share", "step", "charged", "certain")
"""Attributes that a checkpoint holds."""


@dataclass
class BudgetPlan:
    """Forecasts again and again how many steps a training has within its budget.

    It does so once the first masks are chosen, at the end of every epoch (`is_due`), after the last
    update of the masks, and, while they change, halfway through what is left. What is left has an
    exact cost where the masks stay as they are; elsewhere the cost is expected where the
    steps since the last forecast were between the method's bounds.

    Attributes:
        costs: of trainings of this method, by their number of steps.
        share: where between its bounds a cost is expected.
        step: at which the last forecast was made.
        charged: FLOPs that the steps up to it took.
        certain: further steps that the budget pays for even if all of them are dense.
    """

    costs: TrainingCosts
    share: float = FIRST_SHARE
    step: int = 0
    charged: float = 0.0
    certain: int = 0

    @classmethod
    def of(cls, context: TrialContext) -> Self | None:
        """Return what follows a trial's budget; None if it has none, or its steps are known.

        They are known where the forecast is exact, and in trainings of several rounds, whose rounds
        are equally long.
        """
        if not context.recipe.flops_budget:
            return None
        planned = context.make_sparsifier()
        if planned.rounds > 1:
            return None
        options = planned.options_in_steps()
        costs = TrainingCosts.of(context.trial, context.plan, options)
        bounds = costs.bounds(context.plan.steps)
        return None if bounds is None or bounds.is_exact else cls(costs)

    def make_sparsifier(self) -> Sparsifier:
        """Return the method of the first forecast, in the form in which another can follow it."""
        return self.costs.make(self.costs.plan.steps)

    def steps(self, method: Sparsifier, ledger: FlopsLedger, step: int) -> int:
        """Return how many steps the training is to have in all, forecast after `step`.

        No update of the masks is lost or comes before its time: where fewer steps would leave out
        the last pruning, they are as many as it needs.
        """
        charged = _of_steps(ledger)
        passed = steps_cost(method, self.costs.setup, self.step, step)
        self.share = measured_share(charged - self.charged, passed, self.share)
        self.step, self.charged = step, charged
        dense_step = self.costs.dense / self.costs.plan.steps
        self.certain = max(0, int((self.costs.budget - ledger.total) / dense_step))
        zeros, reads = _zeros(method) if method.keeps_masks(step) else None, not method.is_fixed

        def cost(steps: int) -> float | None:
            if steps == step:
                return ledger.total
            try:
                planned = self.costs.make(steps)
            except InvalidInput:
                return None
            rest = steps_cost(planned, self.costs.setup, step, steps, zeros=zeros, reads=reads)
            in_all = ledger.total + expected(rest, self.share)
            if method.is_fixed:
                return in_all
            own = planned.method_cost(self.costs.setup).most - ledger.method  # is still to come
            return in_all + max(0.0, own)

        most = max(step, self.costs.most_steps)
        least, now = max(1, step), method.plan.steps
        best = nearest_steps(cost, self.costs.budget, now, least=least, most=most)
        if best == now:
            return now
        due = method.next_update(step)
        needs_update = due is not None and not method.has_final_zeros

        def is_possible(steps: int) -> bool:
            try:
                following = self.costs.make(steps).next_update(step)
            except InvalidInput:
                return False
            if following is None:
                return not needs_update
            return due is None or following >= due

        return first_possible(best, now if best < now else most, is_possible) or now

    def is_due(self, step: int, steps: int) -> bool:
        """Return whether to forecast at the end of an epoch, of a training planned for `steps`.

        A forecast takes as long as there are steps left. If it were made after every few of many,
        forecasts would take longer than the training itself.
        """
        return (step - self.step) * FORECASTS_AHEAD >= min(self.certain, steps - self.step)

    def next_pause(self, method: Sparsifier) -> int:
        """Return the step after which to forecast again within an epoch, or training is over.

        As long as masks change: that of their last update, halfway to the end, so that what is not
        known of the cost shrinks with what is left, and before more can be spent than there is. All
        are counted from the last forecast, not from where a training was resumed.
        """
        end, last = method.plan.steps, method.last_update()
        if method.keeps_masks(self.step):
            return end
        pauses = [end, self.step + max(1, self.certain)]
        if self.step < last:
            pauses.append(last)
        if (left := end - self.step) > 1:
            pauses.append(self.step + left // 2)
        return min(pauses)

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint holds beside the number of steps."""
        return {name: getattr(self, name) for name in STATE}

    def load(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""
        for name in STATE:
            setattr(self, name, state[name])


def _of_steps(ledger: FlopsLedger) -> float:
    """Return what training steps alone have taken."""
    return ledger.total - ledger.scoring - ledger.method


def _zeros(method: Sparsifier) -> Zeros:
    return Zeros.exactly({layer.name: layer.size - layer.active for layer in method.layers})
