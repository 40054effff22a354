"""The canonical form of a trial's settings: different settings may train the same network."""

from suite.experiments.trial_config import Trial
from suite.results.record import to_json
from suite.sparsity.sparsifier import Sparsifier
from suite.training.context import TrialContext


def canonical_config(trial: Trial, sparsifier: Sparsifier | None = None) -> str:
    """Return a text; trials with equal texts will train the same network. Loads no data.

    `sparsifier` is the trial's, if it has already been made. Equivalent options are only recognised
    through `effective_options`, so trials with different texts may also train the same network.

    Raises:
        InvalidInput: the options do not fit the training.
    """
    settings = trial.resolved()
    sparsifier = sparsifier or TrialContext.of(trial).make_sparsifier()
    settings["hyperparameters"] |= sparsifier.effective_options()
    return to_json(settings).decode()
