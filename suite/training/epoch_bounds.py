"""Ends a trial whose validation score after some epoch is below a bound.

Tuning sets the bounds from earlier results, before the trial starts. So where a trial ends depends
on them and on its own scores only, not on what runs beside it.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from suite.core.errors import TrialPruned
from suite.sparsity.rounds import TrainingProgress
from suite.training.loop import Training

SCORES = ("validation_accuracy", "validation_r2")
"""The score that a training measures after every epoch: of class labels, of real targets."""


@dataclass(frozen=True)
class EpochBounds:
    """The lowest validation scores with which a trial goes on.

    Attributes:
        lowest: after each epoch, over all rounds; None, or the end of the list: no bound.
        best: whether the best score so far must reach the bound, or the latest one.
    """

    lowest: tuple[float | None, ...]
    best: bool

    def ends_after(self, scores: Sequence[float]) -> int | None:
        """Return the number of epochs after which a trial with these scores ends; None if not."""
        for epochs, (score, lowest) in enumerate(zip(scores, self.lowest, strict=False), 1):
            reached = max(scores[:epochs]) if self.best else score
            if lowest is not None and reached < lowest:
                return epochs
        return None

    def watch(self, training: Training) -> Callable[[TrainingProgress], None]:
        """Return what to call after every step, once the step's epoch has been validated.

        It raises `TrialPruned` if the trial ends; after its last epoch it has finished instead.
        """
        return functools.partial(self._check, training)

    def _check(self, training: Training, progress: TrainingProgress) -> None:
        ended = progress.step == training.steps
        if progress.step % training.context.plan.steps_per_epoch and not ended:
            return
        if ended and progress.round + 1 == training.sparsifier.rounds:
            return
        scores = [
            value
            for _, _, series, layer, _, value in training.curves.rows
            if series in SCORES and not layer
        ]
        if (epochs := self.ends_after(scores)) is not None:
            raise TrialPruned(scores[:epochs])
