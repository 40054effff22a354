"""What a training costs: bounds on its FLOPs, from what its method declares.

Nothing is trained. Of a finished training they say whether its record can be right; of one that
has not begun, what it will cost.
"""

import itertools
from typing import TYPE_CHECKING

from suite.sparsity.cost_bounds import FlopsBounds, TrainingSetup
from suite.sparsity.sparsifier import Sparsifier

if TYPE_CHECKING:
    from suite.sparsity.cost_bounds import Zeros

MOST_STEPS, MOST_CHANGES = 10**6, 10_000
"""Steps, and changes of the numbers of zeros, that are followed one by one; there are only bounds
on more, because a record could name any number."""

_RENAMED = {
    "Cost": "FlopsBounds",
    "Course": "Course",
    "Finished": "TrainingSetup (its zeros are setup.final)",
    "Zeros": "Zeros",
    "unchanging": "unchanging",
}
"""What methods imported from here, and what to import from `suite.sparsity.cost_bounds` instead."""


def __getattr__(name: str) -> object:
    """Say where a former name is; an own method that imports it must not fail without a reason."""
    if name in _RENAMED:
        raise ImportError(
            f"suite.sparsity.training_cost has no '{name}' any more: import {_RENAMED[name]} from "
            "suite.sparsity.cost_bounds"
        )
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def training_cost(method: Sparsifier, setup: TrainingSetup) -> FlopsBounds:
    """Return the FLOPs that a training can cost.

    They are those of its steps, of scoring connections and of the method's own arithmetic. Of a
    method that declares nothing (`declares_cost`): of its steps alone, between masks without any
    connection and none. Its steps count as that where zeros change too often; where there are too
    many steps, dense gradients may be read at none of them or all.
    """
    if not method.declares_cost:
        return setup.any_steps(method.total_steps)
    return steps_of_rounds(method, setup) + beside_steps(method, setup)


def is_followed(method: Sparsifier, setup: TrainingSetup) -> bool:
    """Return whether `training_cost` follows every step and every change of the zeros."""
    if not method.declares_cost:
        return True
    if method.total_steps > MOST_STEPS:
        return False
    if method.total_steps < MOST_CHANGES:  # quick: there are no more changes than steps
        return True
    left = MOST_CHANGES
    for number in range(method.rounds):
        course = _course(method, number, setup, left)
        if not course:
            return False
        left -= len(course)
    return True


def steps_of_rounds(method: Sparsifier, setup: TrainingSetup) -> FlopsBounds:
    """Return what the steps of all rounds can cost, of a method that declares it."""
    total, changes = FlopsBounds(0.0, 0.0), 0
    for number in range(method.rounds):
        course = _course(method, number, setup, MOST_CHANGES - changes)
        if not course:
            return setup.any_steps(method.total_steps)
        changes += len(course)
        begin = method.rewind_step if number else 0
        total += _of_course(method, setup, course, begin, method.plan.steps)
    return total


def beside_steps(method: Sparsifier, setup: TrainingSetup) -> FlopsBounds:
    """Return what a method charges beside its steps: for scoring, and its own arithmetic."""
    return method.scoring_cost(setup) + method.method_cost(setup)


def steps_cost(
    method: Sparsifier,
    setup: TrainingSetup,
    after: int,
    last: int,
    *,
    zeros: "Zeros | None" = None,
    reads: bool = True,
) -> FlopsBounds:
    """Return what the steps from the one after `after` up to `last` can cost, in the first round.

    Scoring and the method's own arithmetic are not in it.

    Args:
        method: that says which steps read dense gradients.
        setup: what costs depend on beside it.
        after: the step before the first.
        last: the last step.
        zeros: of masks that do not change any more; without them, they follow the method's course,
            or may be any where it declares none or changes them too often.
        reads: whether dense gradients are still read.
    """
    course = [(0, zeros)] if zeros is not None else []
    if zeros is None and method.declares_cost:
        course = _course(method, 0, setup, MOST_CHANGES)
    if not course:
        return setup.any_steps(last - after)
    return _of_course(method, setup, course, after, last, reads=reads)


def any_course_cost(method: Sparsifier, setup: TrainingSetup) -> FlopsBounds:
    """Return what the steps of one round can cost if the plan was changed on the way.

    Each is one that some step of the course can be, with dense gradients or without. Scoring and
    the method's own arithmetic are not in it.
    """
    course = _course(method, 0, setup, MOST_CHANGES) if method.declares_cost else []
    if not course:
        return setup.any_steps(method.total_steps)
    steps = [_either(method, setup, zeros) for _, zeros in course]
    one = FlopsBounds(min(step.least for step in steps), max(step.most for step in steps))
    return one.times(method.total_steps * setup.batch_size)


def _course(
    method: Sparsifier, number: int, setup: TrainingSetup, most: int
) -> list[tuple[int, "Zeros"]]:
    """Return the course of a round; empty if it has more than `most` changes."""
    course = list(itertools.islice(method.zeros_in_training(number, setup), most + 1))
    return course if len(course) <= most else []


def _of_course(
    method: Sparsifier,
    setup: TrainingSetup,
    course: list[tuple[int, "Zeros"]],
    after: int,
    last: int,
    *,
    reads: bool = True,
) -> FlopsBounds:
    """Return what the steps of a round from the one after `after` up to `last` cost."""
    total = FlopsBounds(0.0, 0.0)
    ends = [step for step, _ in course[1:]] + [last]
    for (start, zeros), end in zip(course, ends, strict=True):
        first, end = max(start, after), min(end, last)
        if end <= first:
            continue
        if not reads:
            total += setup.step(zeros, dense_gradient=False).times(end - first)
            continue
        if method.total_steps > MOST_STEPS:
            total += _either(method, setup, zeros).times(end - first)
            continue
        sparse = setup.step(zeros, dense_gradient=False)
        dense = setup.step(zeros, dense_gradient=True, candidates=method.growth_candidates)
        read = sum(map(method.wants_dense_gradient, range(first + 1, end + 1)))
        total += sparse.times(end - first - read) + dense.times(read)
    return total.times(setup.batch_size)


def _either(method: Sparsifier, setup: TrainingSetup, zeros: "Zeros") -> FlopsBounds:
    """Return what a step of one example costs that reads dense gradients or does not."""
    sparse = setup.step(zeros, dense_gradient=False)
    dense = setup.step(zeros, dense_gradient=True, candidates=method.growth_candidates)
    return FlopsBounds(min(sparse.least, dense.least), max(sparse.most, dense.most))
