"""What a training costs: bounds on its FLOPs, from what its method declares.

Nothing is trained. Of a finished training they say whether its record can be right; of one that
has not begun, what it will cost.
"""

import itertools

from suite.sparsity.cost_bounds import FlopsBounds, TrainingSetup
from suite.sparsity.sparsifier import Sparsifier

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
    return _steps(method, setup) + method.scoring_cost(setup) + method.method_cost(setup)


def _steps(method: Sparsifier, setup: TrainingSetup) -> FlopsBounds:
    total, changes = FlopsBounds(0.0, 0.0), 0
    for number in range(method.rounds):
        begin = method.rewind_step if number else 0
        left = MOST_CHANGES - changes
        course = list(itertools.islice(method.zeros_in_training(number, setup), left + 1))
        if len(course) > left:
            return setup.any_steps(method.total_steps)
        changes += len(course)
        ends = [step for step, _ in course[1:]] + [method.plan.steps]
        for (start, zeros), end in zip(course, ends, strict=True):
            first = max(start, begin)
            sparse = setup.step(zeros, dense_gradient=False)
            dense = setup.step(zeros, dense_gradient=True, candidates=method.growth_candidates)
            if method.total_steps > MOST_STEPS:
                either = FlopsBounds(min(sparse.least, dense.least), max(sparse.most, dense.most))
                total += either.times(end - first)
                continue
            reads = sum(map(method.wants_dense_gradient, range(first + 1, end + 1)))
            total += sparse.times(end - first - reads) + dense.times(reads)
    return total.times(setup.batch_size)
