"""Runs a study: plans it, runs what the store lacks, tells an observer, and prints nothing."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from suite.core.errors import InvalidInput
from suite.execution.checkpoints import Checkpoints
from suite.execution.engines import EngineOptions
from suite.execution.estimate import MAX_TRIALS, check_size
from suite.execution.plan import Overwrite, Schedule, schedule_by_key
from suite.execution.runner import Summary, run
from suite.experiments.study import Study
from suite.experiments.trial_config import Trial
from suite.results.metadata_store import DamagedDocument
from suite.results.record import Record
from suite.results.record_index import extend_index
from suite.results.store import Store, StoreUnusable
from suite.results.stored_studies import remember

INDEX_EVERY = 5000
"""Trials after which their records are indexed, in a second or two, while the study runs."""
LEAST_INDEXED = 1000
"""At the end of a study so many are; fewer are read fast without an index."""


@runtime_checkable
class Observer(Protocol):
    """Is told what happens while trials run; `Silent` is one that does nothing."""

    def planned(self, plan: Schedule) -> None:
        """Take note of what is done and what will run; nothing has run yet."""

    def started(self, trial: Trial) -> None:
        """Take note of a trial that is given to the engine, also when it is retried."""

    def dropped(self, trial: Trial) -> None:
        """Take note of a trial that ended without a record: stopped, pruned, or to be retried."""

    def finished(self, trial: Trial, record: Record) -> None:
        """Take note of a trial that is in the store, done or failed."""


class Silent:
    """An observer that does nothing; others override what they need."""

    def planned(self, plan: Schedule) -> None:
        """Do nothing."""

    def started(self, trial: Trial) -> None:
        """Do nothing."""

    def dropped(self, trial: Trial) -> None:
        """Do nothing."""

    def finished(self, trial: Trial, record: Record) -> None:
        """Do nothing."""


@dataclass(frozen=True)
class StudyResult:
    """How a study ended.

    Attributes:
        study: the study.
        plan: what was done before, and what was to run.
        done: number of trials that finished in this run.
        failed: the study's trials that have failed, now or before and not run again, or whose
            record is damaged, with the one-line message of each.
        notes: note → number of trials of this run whose record holds it.
        damaged: documents of the store that could not be read to remember the study.
    """

    study: Study
    plan: Schedule
    done: int = 0
    failed: Sequence[tuple[Trial, str]] = ()
    notes: Mapping[str, int] = field(default_factory=dict)
    damaged: Sequence[DamagedDocument] = ()


def plan_study(
    study: Study,
    store: Store,
    options: EngineOptions | None = None,
    overwrite: Overwrite = Overwrite.FAILED,
    max_trials: int = MAX_TRIALS,
) -> Schedule:
    """Return what `run_study` would run with these arguments; nothing is written.

    Raises:
        InvalidInput: the study is empty or has too many trials, or one of them or an option of the
            engine is invalid.
    """
    options = options if options is not None else EngineOptions()
    options.check()
    check_size(study, store, options, max_trials)
    return schedule_by_key(study.trials_by_key(), store, overwrite)


def run_study(
    study: Study,
    store: Store,
    options: EngineOptions | None = None,
    overwrite: Overwrite = Overwrite.FAILED,
    observer: Observer | None = None,
    max_trials: int = MAX_TRIALS,
    part_of: Study | None = None,
) -> StudyResult:
    """Run the trials of a study that the store lacks; each ends as a record, done or failed.

    Args:
        study: what to run.
        store: where results are, and are written.
        options: of the engine; by default worker processes on this machine.
        overwrite: which trials that have a record are run again.
        observer: is told the plan, and each trial that starts and ends.
        max_trials: a study of more trials is refused.
        part_of: the study that it is a part of (`Study.on_tasks`), which the store remembers.

    Raises:
        InvalidInput: the study, or an option of the engine, cannot be used; nothing was run.
        StoreUnusable: results cannot be written.
        KeyboardInterrupt: it was stopped; what had finished is in the store.
    """
    options = options if options is not None else EngineOptions()
    observer = observer if observer is not None else Silent()
    plan = plan_study(study, store, options, overwrite, max_trials)
    observer.planned(plan)
    if plan.to_run:
        options.preflight(plan.to_run)
    return run_planned(study, plan, store, options, observer, part_of)


def run_planned(
    study: Study,
    plan: Schedule,
    store: Store,
    options: EngineOptions,
    observer: Observer,
    part_of: Study | None = None,
) -> StudyResult:
    """Run what is planned of a study, as `run_study` does once the trials have been checked.

    Raises:
        InvalidInput: the engine is not installed, or cannot be reached.
        StoreUnusable: results cannot be written.
        KeyboardInterrupt: it was stopped; what had finished is in the store.
    """
    whole = study if part_of is None else part_of
    trials = plan.by_key if part_of is None else part_of.trials_by_key()
    if not plan.to_run:
        damaged: Sequence[DamagedDocument] = ()
        with suppress(StoreUnusable):  # a finished study may be in a store that is only read
            damaged = remember(store, whole, trials)
            store.prepare()
            Checkpoints(store).sweep()  # the last process may have been killed at the very end
        return StudyResult(study, plan, failed=failed_before(plan, store), damaged=damaged)
    store.prepare()
    damaged = remember(store, whole, trials)
    notes = _Bookkeeper(observer, store)
    summary = run_trials(plan.to_run, store, options, notes)
    notes.index(LEAST_INDEXED)
    failed = [*failed_before(plan, store), *summary.failed]
    return StudyResult(study, plan, summary.done, failed, dict(notes.count.most_common()), damaged)


def run_trials(
    trials: Sequence[Trial], store: Store, options: EngineOptions, observer: Observer
) -> Summary:
    """Run trials in a prepared store, those of the same device and thread count together.

    Raises:
        InvalidInput: the engine is not installed, or cannot be reached.
        StoreUnusable: results cannot be written.
        KeyboardInterrupt: it was stopped; what had finished is in the store.
    """
    groups: dict[tuple[str, int], list[Trial]] = {}
    for trial in trials:
        groups.setdefault((trial.device, trial.threads), []).append(trial)
    done, failed = 0, list[tuple[Trial, str]]()
    for (device, threads), group in groups.items():
        engine = options.make(store, device, threads)
        summary = run(
            group,
            store,
            engine,
            observer.finished,
            options.retries,
            started=observer.started,
            dropped=observer.dropped,
        )
        done += summary.done
        failed += summary.failed
    return Summary(done, failed)


def failed_before(plan: Schedule, store: Store) -> list[tuple[Trial, str]]:
    """Return the trials that failed in an earlier run, or are damaged, and are not run again.

    Each comes with its message.
    """
    again = {trial.key for trial in plan.to_run}
    failed = list(plan.damaged)
    for trial in plan.failed:
        record = store.read(trial.key) if trial.key not in again else None
        if record is not None and record.error is not None:
            failed.append((trial, record.error["message"]))
    return failed


class _Bookkeeper:
    """Counts the notes of the trials that finish, and passes everything on to an observer.

    It also adds records to the store's index from time to time, so that whoever comes back to the
    results of many trials reads them fast.
    """

    def __init__(self, observer: Observer, store: Store) -> None:
        self.count: Counter[str] = Counter()
        self.planned, self.started = observer.planned, observer.started
        self.dropped, self._finished = observer.dropped, observer.finished
        self._store, self._since_indexed = store, 0

    def finished(self, trial: Trial, record: Record) -> None:
        self.count.update(set(record.notes))
        self._finished(trial, record)
        self._since_indexed += 1
        if self._since_indexed >= INDEX_EVERY:
            self.index(INDEX_EVERY)

    def index(self, least: int) -> None:
        """Index the records that are not yet, if there are so many; without the index all works."""
        self._since_indexed = 0
        if self._store.local:  # under a URL, every record would be fetched for it
            with suppress(InvalidInput):
                extend_index(self._store.backend, least)
