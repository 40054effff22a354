"""Which trials end early: a function of earlier batches and of the trial's own scores."""

import binascii
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.trial import TrialState

from suite.training.epoch_bounds import EpochBounds
from suite.tuning.sampling import BATCH, FinishedTrial

REDUCTION = 3
"""Hyperband keeps one in this many at each rung; Optuna's default."""


@dataclass(frozen=True)
class PastCurve:
    """The validation scores of an earlier trial's training, after each epoch.

    Attributes:
        number: of the trial.
        complete: whether the whole trial was completed.
    """

    number: int
    complete: bool
    scores: Sequence[float]


def should_stop(
    pruner: str, past: Sequence[FinishedTrial], curve: Sequence[float], rungs: int
) -> bool:
    """Return whether to prune a trial after the last value in `curve` (higher is better).

    It is compared with earlier batches only, so the order in which the trials of a batch finish
    does not matter. The default is never pruned: no batch precedes its own.
    """
    if pruner == "none" or len(curve) >= rungs:
        return False
    decides: Any = optuna.pruners.HyperbandPruner(min_resource=1, max_resource=rungs)
    if pruner == "median":
        decides = optuna.pruners.MedianPruner(n_startup_trials=BATCH)
    study = optuna.create_study(direction="maximize", study_name=pruner, pruner=decides)
    for trial in past:
        replayed = study.ask()
        _report(replayed, trial.curve)
        state = TrialState.PRUNED if trial.state == TrialState.FAIL else trial.state
        study.tell(replayed, trial.values or None, state=state)
    return _report(study.ask(), curve)


def _report(trial: Any, curve: Sequence[float]) -> bool:
    """Report a trial's values one by one; return the pruner's decision after the last."""
    answer = False
    for rung, value in enumerate(curve, 1):
        trial.report(value, rung)
        answer = bool(trial.should_prune())
    return answer


def epoch_bounds(pruner: str, number: int, past: Sequence[PastCurve], epochs: int) -> EpochBounds:
    """Return the bounds under which a training of trial `number` ends as Optuna's pruner decides.

    A bound can be sent to where the trial trains before it starts; a pruner that is asked after
    each epoch cannot. `past` are the trainings of earlier batches on the same task, sparsity and
    seed, and `epochs` is the length of a whole one, whose last epoch has no bound.
    """
    if pruner == "median":
        return EpochBounds(_medians(past, epochs), best=True)
    return EpochBounds(_hyperband(number, past, epochs), best=False)


def _medians(past: Sequence[PastCurve], epochs: int) -> tuple[float | None, ...]:
    """Return the medians of the completed trainings; `optuna.pruners.MedianPruner`."""
    complete = [curve.scores for curve in past if curve.complete]
    if len(complete) < BATCH:
        return ()
    reached = [
        [scores[epoch] for scores in complete if len(scores) > epoch] for epoch in range(epochs - 1)
    ]
    return tuple(float(np.percentile(scores, 50)) if scores else None for scores in reached)


def _hyperband(number: int, past: Sequence[PastCurve], epochs: int) -> tuple[float | None, ...]:
    """Return bounds at the rungs of a trial's bracket; `optuna.pruners.HyperbandPruner`.

    A trial goes on from a rung if it is among the best third of those that have reached it; among
    fewer than three, if it is the best.
    """
    bracket = _bracket(number, epochs)
    rivals = [curve.scores for curve in past if _bracket(curve.number, epochs) == bracket]
    bounds: list[float | None] = [None] * (epochs - 1)
    rung = REDUCTION**bracket
    while rung < epochs:
        reached = sorted((s[rung - 1] for s in rivals if len(s) >= rung), reverse=True)
        promoted = max((len(reached) + 1) // REDUCTION, 1)
        if len(reached) >= promoted:
            bounds[rung - 1] = reached[promoted - 1]
        rung *= REDUCTION
    return tuple(bounds)


def _bracket(number: int, epochs: int) -> int:
    """Return a trial's bracket: drawn by its number, in the brackets' proportions."""
    brackets = math.floor(math.log(epochs, REDUCTION)) + 1
    sizes = [math.ceil(brackets * REDUCTION**s / (s + 1)) for s in reversed(range(brackets))]
    place = binascii.crc32(f"hyperband_{number}".encode()) % sum(sizes)
    return int(np.searchsorted(np.cumsum(sizes), place, side="right"))
