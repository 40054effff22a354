"""Runs trials: each ends as a folder in the store, done or failed, and the study continues."""

import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, nullcontext, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from suite.core import stopping as process
from suite.core.errors import Interrupted, InvalidInput, TrialPruned, message_of, printable
from suite.execution.checkpoints import Checkpoints
from suite.execution.failures import RETRYABLE, TRANSIENT, AttemptResult, Killed, Transient
from suite.experiments.trial_config import Trial
from suite.results.record import Record, failed, to_json
from suite.results.store import Store, StoreUnusable

if TYPE_CHECKING:
    from suite.training.epoch_bounds import EpochBounds

RETRIES = 2
POLL_SECONDS = 0.2
PREVIOUS = "the checkpoint from before is kept"
STOPPED_FROM_OUTSIDE = "the worker process was ended from outside (SIGTERM)"


@dataclass(frozen=True)
class Summary:
    """How a study ended.

    Attributes:
        done: number of trials that finished in this run.
        failed: those that failed, with the reason.
        pruned: validation scores of those that ended below a bound, by key.
    """

    done: int
    failed: list[tuple[Trial, str]]
    pruned: dict[str, tuple[float, ...]] = field(default_factory=dict)


class Engine(Protocol):
    """Runs trials. A finished one is in the store, or its `AttemptResult` says why it is not."""

    def free(self) -> int:
        """Return how many more trials it accepts now."""

    def submit(self, trial: Trial) -> None:
        """Start a trial, or queue it."""

    def wait(self, seconds: float) -> list[AttemptResult]:
        """Return the attempts that have ended, after at most about `seconds`.

        Raises:
            StoreUnusable: results cannot be written.
        """

    def stop(self) -> None:
        """Ask all trials to take a checkpoint and end; `wait` then returns them."""

    def close(self) -> None:
        """End everything at once; nothing is left running."""


def run(
    trials: Sequence[Trial],
    store: Store,
    engine: Engine,
    finished: Callable[[Trial, Record], None],
    retries: int = RETRIES,
    *,
    started: Callable[[Trial], None] = lambda trial: None,
    dropped: Callable[[Trial], None] = lambda trial: None,
) -> Summary:
    """Run the trials on an engine; call `finished` for each as it ends.

    `started` is called with each trial that is given to the engine, also when it is retried, and
    `dropped` with each that has ended without a record: stopped, pruned, or to be retried.

    A trial whose process died is retried from its last checkpoint, up to `retries` times, and then
    recorded as failed. The first Ctrl-C lets trials save and end, for `GRACE_SECONDS`; the second
    ends them at once.

    Raises:
        StoreUnusable: results cannot be written.
        KeyboardInterrupt: it was stopped; what had finished is in the store. The message says
            which trials could not take a checkpoint, if any.
    """
    checkpoints = Checkpoints(store)
    checkpoints.sweep()
    waiting, attempts = deque(trials), Counter[str]()
    failures: list[tuple[Trial, str]] = []
    pruned: dict[str, tuple[float, ...]] = {}
    done = running = 0
    limit: float | None = None
    unsaved: list[str] = []
    with closing(engine), process.cooperating() as asked:
        while running or waiting:
            if asked() and limit is None:
                limit = time.monotonic() + process.GRACE_SECONDS
                waiting.clear()
                engine.stop()
            if limit is not None and time.monotonic() > limit:
                unsaved.append(f"trials that did not answer: {running}; {PREVIOUS}")
                break
            while waiting and engine.free() > 0:
                started(waiting[0])
                engine.submit(waiting.popleft())
                running += 1
            for ended in engine.wait(POLL_SECONDS) if running else ():
                running -= 1
                if ended.stopped and limit is None and not asked():
                    ended = AttemptResult(ended.trial, error=Killed(STOPPED_FROM_OUTSIDE))
                trial, record = ended.trial, ended.record
                if ended.unsaved:
                    unsaved.append(f"{trial.describe()}: {ended.unsaved}; {PREVIOUS}")
                if ended.pruned:
                    pruned[trial.key] = ended.pruned
                if ended.stopped or ended.pruned:
                    dropped(trial)
                    continue
                attempts[trial.key] += 1
                if record is None:
                    if asked():
                        continue
                    if isinstance(ended.error, RETRYABLE) and attempts[trial.key] <= retries:
                        waiting.append(trial)
                        dropped(trial)
                        continue
                    record = write_failure(ended, attempts[trial.key], store)
                if record.error is not None:
                    failures.append((trial, record.error["message"]))
                else:
                    done += 1
                finished(trial, record)
        stopped = limit is not None or asked()
    checkpoints.sweep()
    if max(attempts.values(), default=0) > 1:  # a worker died, perhaps while it wrote
        with suppress(StoreUnusable):
            store.prepare()
    if stopped:
        raise KeyboardInterrupt("; ".join(unsaved))
    return Summary(done, failures, pruned)


def write_failure(ended: AttemptResult, attempts: int, store: Store) -> Record:
    """Write the folder of a trial whose process could not write it."""
    assert ended.error is not None
    record = failed(ended.trial, ended.error)
    times = f" (the last of {attempts} attempts)" if attempts > 1 else ""
    text = f"{type(ended.error).__name__}: {ended.error}{times}\n\n{ended.details}".rstrip()
    store.write(ended.trial.key, _failure_files(ended.trial, record, text))
    return record


def execute(
    trial: Trial,
    store: Store,
    progress: Callable[[int], None] = lambda steps: None,
    every: str = "60s",
    stopping: Callable[[], bool] = lambda: False,
    *,
    writes: bool = True,
    raise_transient: bool = False,
    bounds: "EpochBounds | None" = None,
) -> Record:
    """Run one trial in this process and write its folder; a failure is written as one.

    It resumes from the trial's last checkpoint, takes one at the interval `every`, and drops it
    once there is a record: a trial that failed on its own restarts when it is run again. Of
    several processes that train the trial together, only one has `writes` set.

    Raises:
        StoreUnusable: the result or a checkpoint cannot be written.
        Interrupted: `stopping` returned True; a checkpoint was taken.
        TrialPruned: a validation score is below its bound; neither record nor checkpoint is left.
        Transient: an error unrelated to the trial, if `raise_transient` is set.
    """
    from suite.training.checkpoint import Checkpointer
    from suite.training.checkpoint_interval import CheckpointInterval
    from suite.training.live_report import reporting
    from suite.training.trial import run_trial

    checkpoint = Checkpoints(store).for_trial(trial.key)
    checkpointer = Checkpointer(trial, checkpoint, CheckpointInterval.parse(every), stopping)
    with reporting(store, trial) if writes else nullcontext() as live, checkpoint:
        try:
            outcome = run_trial(trial, progress, checkpointer, live, bounds)
            record, files = outcome.record, outcome.files()
        except StoreUnusable:
            raise
        except TrialPruned:
            checkpoint.drop()
            raise
        except BaseException as error:  # a faulty method ends its own trial only
            if isinstance(error, Interrupted) or stopping() or process.interrupted_by(error):
                raise
            if raise_transient and isinstance(error, TRANSIENT):
                raise Transient(f"{type(error).__name__}: {message_of(error)}") from error
            record = failed(trial, error)
            text = message_of(error) if isinstance(error, InvalidInput) else traceback.format_exc()
            files = _failure_files(trial, record, text)
        if writes:
            store.write(trial.key, files)
            checkpoint.drop()
    return record


def _failure_files(trial: Trial, record: Record, text: str) -> dict[str, bytes]:
    return {
        "trial.json": to_json(trial.resolved()),
        "record.json": record.to_json(),
        "error.txt": f"{printable(text)}\n".encode(),
    }


class Inline:
    """Runs trials in this process, one after another: for debugging and small studies."""

    def __init__(
        self,
        store: Store,
        every: str = "60s",
        bounds: "Mapping[str, EpochBounds] | None" = None,
    ) -> None:
        self.store = store
        self.every = every
        self.bounds = bounds or {}
        self._waiting: deque[Trial] = deque()
        self._stopped = False

    def free(self) -> int:
        """Return 1 if no trial is waiting, else 0."""
        return 1 - len(self._waiting)

    def submit(self, trial: Trial) -> None:
        """Take a trial; `wait` runs it."""
        self._waiting.append(trial)

    def wait(self, seconds: float) -> list[AttemptResult]:
        """Run the waiting trial until it ends or is asked to stop; `seconds` has no effect."""
        trial = self._waiting.popleft()
        if self._stopped:
            return [AttemptResult(trial, stopped=True)]
        bounds = self.bounds.get(trial.key)
        try:
            record = execute(
                trial, self.store, every=self.every, stopping=process.asked, bounds=bounds
            )
        except TrialPruned as end:
            return [AttemptResult(trial, pruned=end.scores)]
        except Interrupted:
            return [AttemptResult(trial, stopped=True)]
        except StoreUnusable as error:
            if not process.asked():
                raise
            return [AttemptResult(trial, stopped=True, unsaved=str(error))]
        return [AttemptResult(trial, record=record)]

    def stop(self) -> None:
        """Start no further trials."""
        self._stopped = True

    def close(self) -> None:
        """Forget the waiting trial; there is no process to end."""
        self._waiting.clear()
