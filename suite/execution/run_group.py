"""Runs a group of studies: all are planned and checked before the first runs; prints nothing."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from suite.core.errors import InvalidInput
from suite.execution.engines import EngineOptions
from suite.execution.estimate import MAX_TRIALS, estimate_trials, kinds_of
from suite.execution.plan import Overwrite, Schedule, schedule_by_key
from suite.execution.run_study import Observer, StudyResult, run_planned
from suite.experiments.study import Study
from suite.experiments.study_group import StudyGroup
from suite.results.store import Store


@dataclass(frozen=True)
class GroupPlan:
    """What is done of the studies of a group, and what will run.

    Attributes:
        studies: each study with its own plan, in order; a trial may be in several.
        total: of all trials, each once.
    """

    studies: Sequence[tuple[Study, Schedule]]
    total: Schedule

    @property
    def shared(self) -> int:
        """The number of trials that several studies have."""
        times = Counter(key for _, plan in self.studies for key in plan.by_key)
        return sum(count > 1 for count in times.values())


def plan_group(
    group: StudyGroup,
    store: Store,
    options: EngineOptions,
    overwrite: Overwrite = Overwrite.FAILED,
    max_trials: int = MAX_TRIALS,
) -> GroupPlan:
    """Return what `run_group` would run; nothing is written.

    Raises:
        InvalidInput: a study is empty, there are too many trials, more than `max_trials` would
            run, or one of them or an option of the engine is invalid.
    """
    options.check()
    total = schedule_by_key(group.trials_by_key(), store, overwrite)
    if len(total.to_run) > max_trials:
        raise _too_many(group, total, store, options, max_trials)
    return GroupPlan([(one, total.part(one.trials_by_key())) for one in group.studies], total)


def _too_many(
    group: StudyGroup, total: Schedule, store: Store, options: EngineOptions, max_trials: int
) -> InvalidInput:
    try:
        kinds = kinds_of(total.to_run)
        takes = str(estimate_trials(kinds, total.done, store, options, partly=True))
    except InvalidInput as error:
        takes = f"how long they take is not known: {error}"
    return InvalidInput(
        f"group {group.name} has {len(total.to_run):,} trials to run, more than --max-trials "
        f"{max_trials:,} ({takes}): run fewer tasks (--task) or single studies, or raise "
        "--max-trials"
    )


def run_group(
    group: StudyGroup,
    plan: GroupPlan,
    store: Store,
    options: EngineOptions,
    overwrite: Overwrite,
    observe: Callable[[Study], AbstractContextManager[Observer]],
    *,
    part_of: StudyGroup | None = None,
) -> Iterator[StudyResult]:
    """Run the studies of a group one after another; yield how each ended, before the next.

    What the store has meanwhile, from other machines for instance, is not run. A trial that
    several studies have is run for the first of them only, also if it fails there.

    Args:
        group: what to run.
        plan: of the group; its trials are checked before the first study runs.
        store: where results are, and are written.
        options: of the engine.
        overwrite: which trials that have a record are run again.
        observe: returns what is told of the trials of a study, while it runs.
        part_of: the group that it is a part of (`StudyGroup.on_tasks`); the store remembers the
            studies of this one.

    Raises:
        InvalidInput: a trial, or an option of the engine, cannot be used.
        StoreUnusable: results cannot be written.
        KeyboardInterrupt: it was stopped; what had finished is in the store.
    """
    if plan.total.to_run:
        options.preflight(plan.total.to_run)
    wholes = {} if part_of is None else {study.name: study for study in part_of.studies}
    ran: set[str] = set()
    for study in group.studies:
        now = schedule_by_key(study.trials_by_key(), store, overwrite, ran)
        with observe(study) as observer:
            observer.planned(now)
            result = run_planned(study, now, store, options, observer, wholes.get(study.name))
        ran |= {trial.key for trial in now.to_run}
        yield result
