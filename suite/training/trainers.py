"""Which function trains a trial: the suite's loop, or the trainer of a published protocol."""

from collections.abc import Callable

from suite.core.discovery import load
from suite.experiments import registry
from suite.experiments.trial_config import Trial
from suite.training import trial as loop
from suite.training.checkpoint import Checkpointer
from suite.training.trial import Outcome
from tasks.loading import load_arrays

Train = Callable[[Trial, Callable[[int], None], Checkpointer | None], Outcome]


def trainer_of(trial: Trial) -> Train:
    """Return what trains the trial: (trial, progress, checkpointer) → outcome.

    Raises:
        InvalidInput: the trainer's implementation cannot be imported.
    """
    if not trial.trainer:
        return loop.run_trial
    trainer = registry.trainers()[trial.trainer]
    train: Train = load(trainer.implementation, trainer.origin)
    return train


def check(trial: Trial) -> None:
    """Set a trial up without training it.

    Raises:
        InvalidInput: something given cannot be used: options, data, model, targets.
    """
    if trial.trainer:
        trainer_of(trial)
        load_arrays(trial.dataset_declaration)
    else:
        loop.prepare(trial)


def total_steps(trial: Trial) -> int | None:
    """Return the optimizer steps of a trial; None where the method cannot be constructed."""
    return loop.make_plan(trial).steps if trial.trainer else loop.total_steps(trial)
