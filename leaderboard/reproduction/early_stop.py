"""Early stopping: the first minimum of the validation loss, and relations of two trainings there.

Some papers publish these relations in place of an accuracy. They are computed from trials' curves.
"""

from collections.abc import Callable
from dataclasses import dataclass

from suite.core.errors import InvalidInput
from suite.results.stored_curves import read_curves


@dataclass(frozen=True)
class EarlyStop:
    """The first minimum of the validation loss in the last round of a training.

    Attributes:
        step: number of optimizer steps before it.
        accuracy: validation accuracy at that step, a fraction.
    """

    step: int
    accuracy: float


def early_stop(curves: bytes) -> EarlyStop:
    """Return the early stop of a trial from its ``curves.parquet``.

    Raises:
        InvalidInput: the trial had no validation split.
    """
    import polars as pl

    frame = read_curves(curves).filter(pl.col("round") == pl.col("round").max())
    found = {
        name: dict(frame.filter(pl.col("series") == name).select("step", "value").iter_rows())
        for name in ("validation_nll", "validation_accuracy")
    }
    losses = found["validation_nll"]
    if not losses:
        raise InvalidInput("early stop: the trial had no validation split (validation=0)")
    step = min(losses, key=lambda at: (losses[at], at))
    return EarlyStop(step, found["validation_accuracy"][step])


Relation = Callable[[EarlyStop, EarlyStop], float]

RELATIONS: dict[str, Relation] = {
    "early_stop_change_pct": lambda one, other: 100 * (one.step / other.step - 1),
    "early_stop_speedup_x": lambda one, other: other.step / one.step,
    "early_stop_gain_pp": lambda one, other: 100 * (one.accuracy - other.accuracy),
}
"""Measure → function of a training's early stop and that of the training it is compared with."""
