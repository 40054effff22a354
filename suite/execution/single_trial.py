"""One trial in this process, or in those that torchrun has started."""

from collections.abc import Callable

from suite.execution.distributed import execute_distributed
from suite.execution.plan import preflight
from suite.experiments import registry
from suite.experiments.trial_config import Trial
from suite.results.record import Record
from suite.results.store import Store

DEFAULT_SPARSITY = 0.9


def default_sparsity(method: str) -> float:
    """Return the sparsity of a trial that names none.

    Raises:
        InvalidInput: there is no such method.
    """
    return 0.0 if registry.methods()[method].dense else DEFAULT_SPARSITY


def prepare(trial: Trial, store: Store, every: str) -> None:
    """Check that a trial can run, and make the store ready for it.

    Several processes do so together, in `train`.

    Raises:
        InvalidInput: the trial, or the interval of checkpoints, cannot be used.
        StoreUnusable: the store cannot be written.
    """
    from suite.execution.checkpoints import Checkpoints
    from suite.training.checkpoint_interval import CheckpointInterval

    CheckpointInterval.parse(every)
    if trial.processes == 1:
        preflight([trial])
        store.prepare()
        Checkpoints(store).sweep()


def train(
    trial: Trial, store: Store, every: str, progress: Callable[[int], None] = lambda steps: None
) -> Record:
    """Train a trial that `prepare` has accepted; its record, done or failed, is in the store.

    Raises:
        InvalidInput: the trial cannot be trained by so many processes.
        StoreUnusable: the result or a checkpoint cannot be written.
        Interrupted: Ctrl-C; a checkpoint was saved.
    """
    from suite.core.stopping import cooperating
    from suite.execution.runner import execute

    if trial.processes > 1:
        return execute_distributed(trial, store, progress, every)
    with cooperating() as stopping:
        return execute(trial, store, progress, every, stopping)
