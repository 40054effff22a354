"""The best trial, the Pareto front and the importance of each dimension, from finished trials."""

import math
from collections.abc import Sequence
from typing import Any

from suite.tuning.schema import MAXIMISED, Candidate, Dimension

MIN_TRIALS = 4
"""With fewer completed trials no importance is computed."""


def select_winner(trials: Sequence[Candidate], objectives: Sequence[str]) -> int | None:
    """Return the number of the best completed trial by the first objective; ties go to the first.

    So the default (number 0) wins unless something is strictly better.
    """
    complete = [trial for trial in trials if trial.state == "complete"]
    if not complete:
        return None
    sign = 1 if MAXIMISED[objectives[0]] else -1
    return max(complete, key=lambda trial: (sign * trial.values[0], -trial.number)).number


def pareto_front(trials: Sequence[Candidate], objectives: Sequence[str]) -> list[int]:
    """Return the numbers of the non-dominated completed trials, sorted by the first objective."""
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


def importance(space: Sequence[Dimension], trials: Sequence[Candidate]) -> dict[str, float]:
    """Return each dimension's share of the first objective's variance (fANOVA), largest first.

    In a trial that did not use a dimension (a number, where ``auto`` was chosen), its value counts
    as the middle of the range. Empty with fewer than 4 completed trials, or if all values are
    equal.

    Source: Hutter et al. 2014, ICML, as implemented by Optuna.
    """
    import optuna

    from suite.tuning.sampling import frozen_trial

    complete = [trial for trial in trials if trial.state == "complete"]
    if len(complete) < MIN_TRIALS or len({trial.values[0] for trial in complete}) == 1:
        return {}
    study = optuna.create_study(direction="maximize")
    for trial in complete:
        point = {d.name: trial.parameters.get(d.name, _midpoint(d)) for d in space}
        study.add_trial(frozen_trial(space, point, value=trial.values[0]))
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: float(value) for name, value in shares.items() if math.isfinite(value)}


def _midpoint(dimension: Dimension) -> Any:
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
