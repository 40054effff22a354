"""What trainings of a trial cost by their number of steps, and how many its `flops_budget` buys."""

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from suite.core.declarations import Method, Value
from suite.core.errors import InvalidInput
from suite.experiments.trial_config import Trial
from suite.results.training_flops import TOLERANCE
from suite.sparsity.construct import make_sparsifier
from suite.sparsity.cost_bounds import FlopsBounds, TrainingSetup, Zeros
from suite.sparsity.plan import Plan
from suite.sparsity.sparsifier import Sparsifier
from suite.sparsity.training_cost import (
    MOST_STEPS,
    beside_steps,
    is_followed,
    steps_of_rounds,
    training_cost,
)
from suite.training.cost_setup import cost_setup
from suite.training.flops_budget import (
    FIRST_SHARE,
    expected,
    first_possible,
    nearest_steps,
)
from suite.training.network import count_parameters, network_of
from tasks.recipe import Recipe
from tasks.task import Dataset

LONGER = (1, 10, 100, 1000)
"""Multiples of dense training's steps at which a method is constructed, until one is enough."""
SPARSER = 4
"""No training is expected to cost less, a step, than one in this many of its final masks does."""
PASSES = 3
"""Forward passes that a step of dense training costs as much as."""


def dense_training(recipe: Recipe, dataset: Dataset, forward: float) -> float:
    """Return what a task's dense training costs: the reference of a `flops_budget`.

    Args:
        recipe: of the trial; its `epochs` and `max_steps` say how long dense training is.
        dataset: that is trained on.
        forward: operations per example of the task's own network, dense.
    """
    steps = recipe.steps(dataset.training_examples(recipe.validation))
    return PASSES * forward * recipe.batch_size * steps


@dataclass(frozen=True)
class TrainingCosts:
    """What trainings of one method on one task cost, by their number of steps.

    Attributes:
        method: its declaration.
        options: of the method, resolved.
        plan: of dense training, at the trial's sparsity.
        setup: what costs depend on beside method and plan.
        dense: FLOPs of the task's dense training.
        budget: FLOPs that are to be spent.
    """

    method: Method
    options: Mapping[str, Value]
    plan: Plan
    setup: TrainingSetup
    dense: float
    budget: float

    @classmethod
    def of(
        cls, trial: Trial, plan: Plan, options: Mapping[str, Value] | None = None
    ) -> "TrainingCosts":
        """Return those of a trial with a `flops_budget`; `options` replace its method's.

        Raises:
            InvalidInput: the options fit no training, however long, or the task's network cannot be
                built.
        """
        task, dataset, method = (
            trial.task_declaration,
            trial.dataset_declaration,
            trial.method_declaration,
        )
        recipe = task.resolve_recipe(trial.recipe)
        options = method.resolve(trial.hyperparameters) if options is None else options
        sparsifier = _of_any_length(method, plan, options)
        width = sparsifier.width(functools.partial(count_parameters, task, dataset))
        network = network_of(task.name, width)
        final = Zeros.none(network.shapes)
        if method.zeros and not method.dense:
            final = sparsifier.final_zeros(network.shapes)
        dense = dense_training(recipe, dataset, network_of(task.name).forward.dense)
        setup = cost_setup(network, dataset, recipe, final)
        return cls(method, options, plan, setup, dense, recipe.flops_budget * dense)

    def make(self, steps: int) -> Sparsifier:
        """Return the method for a training of so many steps, not attached.

        Raises:
            InvalidInput: its options do not fit so few.
        """
        return make_sparsifier(self.method, replace(self.plan, steps=steps), self.options)

    def bounds(self, steps: int, final: Zeros | None = None) -> FlopsBounds | None:
        """Return what a whole training costs; None if the steps are too few for the method.

        The steps of a training that is too long to be followed one by one are taken to cost as
        many times more than those of a shorter one as there are more: schedules are shares of
        training, or periodic. `final` are the zeros at the end where they are known.
        """
        setup = self.setup if final is None else replace(self.setup, final=final)
        try:
            method = self.make(steps)
        except InvalidInput:
            return None
        if is_followed(method, setup):
            return training_cost(method, setup)
        shorter = self._longest_followed
        of_steps = steps_of_rounds(shorter, setup).times(method.total_steps / shorter.total_steps)
        return of_steps + beside_steps(method, setup)

    @functools.cached_property
    def _longest_followed(self) -> Sparsifier:
        """The method for about as many steps as can be followed one by one."""
        steps = MOST_STEPS
        while not is_followed(method := self.make(steps), self.setup):
            steps //= 2
        return method

    def steps(self, share: float = FIRST_SHARE, final: Zeros | None = None) -> int:
        """Return the number of steps (of each round) whose cost is nearest to the budget.

        Args:
            share: where between its bounds the cost is expected.
            final: as for `bounds`.

        Raises:
            InvalidInput: the budget buys fewer steps than the method needs.
        """

        def cost(steps: int) -> float | None:
            bounds = self.bounds(steps, final)
            return None if bounds is None else expected(bounds, share)

        guess = math.ceil(self.plan.steps * self.budget / self.dense)
        found = nearest_steps(cost, self.budget, guess, least=1, most=self.most_steps)
        paid = cost(found)
        if paid is None:  # the method needs more steps than any training within the budget has
            enough = first_possible(
                found, LONGER[-1] * self.plan.steps, lambda steps: cost(steps) is not None
            )
            if enough is None:
                self.make(found)  # raises
            else:
                self._refuse(enough, cost(enough) or 0.0)
        elif paid > (1 + TOLERANCE) * self.budget:
            self._refuse(found, paid)
        return found

    @property
    def most_steps(self) -> int:
        """More steps than any training within the budget is expected to have.

        Without a bound, a training whose masks lose all their weights would never end.
        """
        one = self.setup.step(self.setup.final, dense_gradient=False).least * self.setup.batch_size
        if one == 0:
            return LONGER[-1] * self.plan.steps
        return max(1, math.ceil(SPARSER * self.budget / one))

    def _refuse(self, least: int, paid: float) -> None:
        """Refuse the budget if `least` steps, which cost `paid`, are the fewest there can be."""
        what = f"does not pay for a step of {self.method.name}"
        if least > 1:
            try:
                self.make(least - 1)
                return
            except InvalidInput as error:
                what = (
                    f"is too small for {self.method.name}, which can train for {least:,} steps but "
                    f"not for {least - 1:,} ({error})"
                )
        raise InvalidInput(
            f"flops_budget={self.budget / self.dense:g} {what}: give at least "
            f"{_rounded_up(paid / self.dense)}"
        )


def _rounded_up(value: float) -> str:
    """Return a number with three significant digits that is not less than `value`."""
    digits = 2 - math.floor(math.log10(value))
    return f"{math.ceil(value * 10**digits) / 10**digits:g}"


def _of_any_length(method: Method, plan: Plan, options: Mapping[str, Value]) -> Sparsifier:
    first: InvalidInput | None = None
    for factor in LONGER:
        try:
            return make_sparsifier(method, replace(plan, steps=factor * plan.steps), options)
        except InvalidInput as error:
            first = first or error
    assert first is not None
    raise first


def forecast_steps(trial: Trial, plan: Plan) -> int:
    """Return the steps of one round that a trial's `flops_budget` is expected to buy.

    Args:
        trial: with a `flops_budget`.
        plan: of dense training.

    Raises:
        InvalidInput: the options fit no training, or the budget is too small for the method.
    """
    return TrainingCosts.of(trial, plan).steps()
