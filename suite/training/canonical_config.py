"""What a trial's settings come to: those of two trials may differ and yet do the same."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from suite.experiments.trial_config import Trial
from suite.results.record import to_json
from suite.sparsity.sparsifier import Sparsifier
from suite.training.trial import make_sparsifier


@runtime_checkable
class HasEffectiveOptions(Protocol):
    """A method that says what its options come to in a training."""

    def effective_options(self) -> Mapping[str, object]:
        """Return option → what it comes to; two values that do the same come to the same."""


def effect(trial: Trial, sparsifier: Sparsifier | None = None) -> str:
    """Return a text that is the same for trials that will do the same; loads no data.

    `sparsifier` is the trial's, where it has been made already.

    Trials that do the same may still have different texts: only what a method says of itself is
    known.

    Raises:
        InvalidInput: the options do not fit the training.
    """
    settings = trial.resolved()
    sparsifier = sparsifier or make_sparsifier(trial)
    if isinstance(sparsifier, HasEffectiveOptions):
        settings["hyperparameters"] = settings["hyperparameters"] | dict(
            sparsifier.effective_options()
        )
    return to_json(settings).decode()
