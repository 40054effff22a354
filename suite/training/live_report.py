"""What a trial reports to those who watch it while it trains."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from suite.experiments.trial_config import Trial
from suite.results.running_file import RunningFile
from suite.results.store import Store
from suite.sparsity.rounds import TrainingProgress
from suite.training.loop import Training

PROGRESS_SECONDS = 1.0
"""Seconds between two reports within an epoch."""
EPOCH_SECONDS = 0.2
"""Seconds between two reports at the end of epochs, where epochs are shorter."""


class LiveReport:
    """Reports a trial's progress and curves to its `RunningFile`.

    Only values that the host has already are reported: no step waits for the device.
    """

    def __init__(self, file: RunningFile) -> None:
        """Report to `file`, which `begin` creates."""
        self._file = file
        self._began = self._last = time.monotonic()
        self._rows = 0
        self._loss: float | None = None
        self._steps = 0

    def begin(self, trial: Trial, steps: int) -> None:
        """Say what is being trained, and for how many steps in all."""
        self._file.begin(
            key=trial.key,
            task=trial.task,
            method=trial.method,
            sparsity=trial.sparsity,
            seed=trial.seed,
            title=trial.describe(),
            steps=steps,
            started=time.time(),
            configuration=trial.resolved(),
        )

    def resumed(self, training: Training, progress: TrainingProgress, elapsed: float) -> None:
        """Report what the trial starts from; `elapsed` seconds were taken by earlier attempts."""
        self._began -= elapsed
        self._report(training, progress)

    def after_step(self, training: Training, progress: TrainingProgress) -> None:
        """Report if it is time: at the end of an epoch, or within a long one."""
        interval = PROGRESS_SECONDS
        if len(training.losses) == 0:  # an epoch has ended
            interval = EPOCH_SECONDS if progress.step < training.steps else 0.0
        if time.monotonic() - self._last >= interval:
            self._report(training, progress)

    def count(self, steps: int) -> None:
        """Report `steps` more, of a trainer that has no `Training`."""
        self._steps += steps
        if time.monotonic() >= self._last + EPOCH_SECONDS:
            self._last = time.monotonic()
            self._file.add(self._steps, self._last - self._began, None)

    def _report(self, training: Training, progress: TrainingProgress) -> None:
        t = training
        self._last = time.monotonic()
        rows = t.curves.rows[self._rows :]
        self._rows = len(t.curves.rows)
        for _, _, series, layer, _, value in rows:
            if series == "train_loss" and not layer:
                self._loss = value
        if t.device.type == "cpu" and len(t.losses):
            self._loss = float(t.losses[-1])
        step = progress.steps_done(t.sparsifier)
        planned = t.sparsifier.total_steps if t.budget else 0
        self._file.add(step, self._last - self._began, self._loss, rows, planned)


@contextmanager
def reporting(store: Store, trial: Trial) -> Iterator[LiveReport | None]:
    """Yield the report of a trial that this process trains; its file is removed at the end.

    None under a URL, where a file cannot be appended to.
    """
    if not store.local:
        yield None
        return
    file = RunningFile(store.root, trial.key)
    try:
        yield LiveReport(file)
    finally:
        file.remove()
