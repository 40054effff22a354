"""What a configuration's trainings have come to so far, and what they cost."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from suite.core.errors import InvalidInput
from suite.experiments.trial_config import Trial
from suite.results.record import Record
from suite.results.store import Store
from suite.results.stored_curves import CURVES_FILE, read_curves
from suite.training.context import TrialContext
from suite.training.epoch_bounds import SCORES, EpochBounds


@dataclass
class Trained:
    """The trainings of one configuration, seed by seed.

    Attributes:
        rungs: the trainings by seed.
        means: mean validation score of the final weights after each seed.
        curves: validation scores after each epoch, by cell (`cell_of`); only if trials are pruned
            after epochs.
        keys: of the trainings that have a record.
        repeated: whether an earlier trial had the same configuration. It costs as a whole one:
            in a small space the budget would otherwise pay for ever more repetitions.
    """

    rungs: list[list[Trial]]
    means: list[float] = field(default_factory=list)
    curves: dict[str, Sequence[float]] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)
    repeated: bool = False

    def mean_curve(self) -> list[float]:
        """Return the mean score after each epoch, over the trainings that have reached it."""
        longest = max(map(len, self.curves.values()), default=0)
        return [
            fmean(scores[epoch] for scores in self.curves.values() if len(scores) > epoch)
            for epoch in range(longest)
        ]

    def share(self, rung: int) -> float:
        """Return the fraction of the configuration's epochs that were trained up to a rung."""
        if self.repeated:
            return 1.0
        whole = sum(count_epochs(trial) for trials in self.rungs for trial in trials)
        trained = 0
        for trial in (trial for trials in self.rungs[: rung + 1] for trial in trials):
            scores = self.curves.get(cell_of(trial))
            trained += count_epochs(trial) if scores is None else len(scores)
        return trained / whole


def cell_of(trial: Trial) -> str:
    """Return what trainings are compared within: the task, the sparsity and the seed."""
    return f"{trial.task} {trial.sparsity:g} {trial.seed}"


def count_epochs(trial: Trial) -> int:
    """Return how often a training is validated: after each epoch of each round."""
    context = TrialContext.of(trial)
    sparsifier, length = context.make_sparsifier(), context.plan.steps_per_epoch
    epochs = math.ceil(context.plan.steps / length)  # the last one may be cut short
    return epochs + (sparsifier.rounds - 1) * (epochs - sparsifier.rewind_step // length)


def agreed_bounds(given: Iterable[Mapping[str, EpochBounds]]) -> dict[str, EpochBounds]:
    """Merge the bounds of several configurations, by key of the training.

    A training that two of them share, under other bounds, has none: it is trained to its end, and
    each configuration's bounds are applied to its curve.
    """
    merged: dict[str, EpochBounds | None] = {}
    for bounds in given:
        for key, one in bounds.items():
            merged[key] = one if merged.get(key, one) == one else None
    return {key: one for key, one in merged.items() if one is not None}


def epoch_scores(store: Store, record: Record) -> list[float]:
    """Return a finished training's validation scores after each epoch, from its curves.

    Raises:
        InvalidInput: its curves cannot be read.
    """
    import polars as pl

    try:
        curves = read_curves(store.load(record.key, CURVES_FILE))
        rows = curves.filter(pl.col("series").is_in(SCORES) & (pl.col("layer") == ""))
        scores: list[float] = rows.sort("round", "step")["value"].to_list()
    except InvalidInput:  # of the store, which names the file
        raise
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        where = f"{store.where(record.key)}/{CURVES_FILE}"
        raise InvalidInput(
            f"{where} cannot be read ({error}): delete the trial's folder, then run the same "
            "command"
        ) from error
    return scores
