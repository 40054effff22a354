"""Who wins, what is on the front, and which dimensions mattered: from the trials alone."""

import math
from collections.abc import Sequence
from typing import Any

from suite.tuning.document import MAXIMISED, Dimension, Tried

ENOUGH = 4
"""Completed trials below which nothing is said of importance."""


def winner(trials: Sequence[Tried], objectives: Sequence[str]) -> int | None:
    """Return the number of the best completed trial by the first objective; the first of equals.

    So the default, number 0, stays where nothing is better.
    """
    complete = [trial for trial in trials if trial.state == "complete"]
    if not complete:
        return None
    sign = 1 if MAXIMISED[objectives[0]] else -1
    return max(complete, key=lambda trial: (sign * trial.values[0], -trial.number)).number


def front(trials: Sequence[Tried], objectives: Sequence[str]) -> list[int]:
    """Return the numbers of the completed trials that no other dominates, best first one first."""
    signs = [1 if MAXIMISED[name] else -1 for name in objectives]
    points = {
        trial.number: tuple(s * v for s, v in zip(signs, trial.values, strict=True))
        for trial in trials
        if trial.state == "complete"
    }

    def dominated(point: tuple[float, ...]) -> bool:
        return any(
            other != point and all(a >= b for a, b in zip(other, point, strict=True))
            for other in points.values()
        )

    return sorted(
        (n for n, point in points.items() if not dominated(point)),
        key=lambda number: (tuple(-value for value in points[number]), number),
    )


def importance(
    space: Sequence[Dimension], trials: Sequence[Tried], seed: int = 0
) -> dict[str, float]:
    """Return each dimension's fraction of the variance of the first objective (fANOVA), largest first.

    Where a dimension was not searched (a number, while ``auto`` was chosen) it counts as in the
    middle of its range, so that every trial has a place. Empty below 4 completed trials, or where
    all values are equal.

    Source: Hutter et al. 2014, ICML, as implemented by Optuna.
    """
    import optuna

    from suite.tuning.sampling import distributions

    complete = [trial for trial in trials if trial.state == "complete"]
    if len(complete) < ENOUGH or len({trial.values[0] for trial in complete}) == 1:
        return {}
    study = optuna.create_study(direction="maximize")
    known = distributions(space)
    for trial in complete:
        study.add_trial(
            optuna.trial.create_trial(
                value=trial.values[0],
                params={d.name: trial.parameters.get(d.name, _middle(d)) for d in space},
                distributions=known,
            )
        )
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=seed)
    found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: float(value) for name, value in found.items() if math.isfinite(value)}


def _middle(dimension: Dimension) -> Any:
    if dimension.choices:
        return dimension.choices[0]
    assert dimension.low is not None
    assert dimension.high is not None
    middle = (dimension.low + dimension.high) / 2
    if dimension.log:
        middle = math.sqrt(dimension.low * dimension.high)
    if dimension.step:
        steps = round((middle - dimension.low) / dimension.step)
        middle = dimension.low + steps * dimension.step
    return round(middle) if dimension.whole else middle
