"""`resonance study`: show the plan of a study, run the remaining trials, report the outcome.

A group of studies is shown as a whole before its studies run one after another.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, redirect_stdout, suppress
from dataclasses import replace
from typing import Annotated, Any

import typer

from suite.cli import completion, run_options
from suite.cli.options import DEFAULT_STORE, JsonOption, StoreOption
from suite.cli.wandb import tracker, tracking, tracking_settings
from suite.core.console import complain, print_json, say
from suite.core.errors import InvalidInput
from suite.execution.engines import EngineName, EngineOptions
from suite.execution.estimate import MAX_TRIALS, estimate_trials, kinds_of
from suite.execution.plan import Overwrite, Schedule
from suite.execution.progress import shown
from suite.execution.run_group import GroupPlan, plan_group, run_group
from suite.execution.run_study import (
    Observer,
    Silent,
    StudyResult,
    failed_before,
    plan_study,
    run_study,
)
from suite.execution.runner import RETRIES
from suite.experiments import registry
from suite.experiments.study import MethodEntry, Study
from suite.experiments.study_group import StudyGroup, load_study_or_group
from suite.experiments.trial_config import Trial
from suite.results.record import Record
from suite.results.store import Store
from suite.tracking.tracker import Tracker
from suite.tracking.wandb import PROJECT, JobType, Mode, WandbConfig

NO_DENSE = (
    "no dense network of the same recipe on {}: shares of dense and training FLOPs (multiples of "
    "dense training) stay empty; add dense to the study (methods: [dense, …]) and run it again"
)
MAX_NOTES = 5
"""Notes shown after a study; the records hold all of them."""


def study(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME|FILE",
            help="A shipped study or group of studies, or a YAML file.",
            autocompletion=completion.studies_and_groups,
        ),
    ],
    task: Annotated[
        list[str] | None,
        typer.Option(
            "--task",
            help="Only the trials on this task (repeatable).",
            autocompletion=completion.tasks,
        ),
    ] = None,
    store: StoreOption = DEFAULT_STORE,
    workers: run_options.WorkersOption = None,
    overwrite: run_options.OverwriteOption = Overwrite.FAILED,
    engine: run_options.EngineOption = EngineName.LOCAL,
    address: run_options.AddressOption = None,
    timeout: run_options.TimeoutOption = None,
    memory: run_options.MemoryOption = None,
    retries: Annotated[
        int, typer.Option(min=0, help="How often to retry a trial whose process died.")
    ] = RETRIES,
    gpus_per_trial: run_options.GpusOption = 1.0,
    checkpoint_every: run_options.CheckpointOption = "60s",
    wandb: run_options.WandbOption = Mode.OFF,
    wandb_project: run_options.ProjectOption = PROJECT,
    max_trials: run_options.MaxTrialsOption = MAX_TRIALS,
    dry_run: run_options.DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Run a study: show the plan, skip what is done, run the rest.

    The studies of a group run one after another; what several of them share is run once.

    With `--dry-run` only the plan is shown, and how long it will take: by the times of trials in
    the store, or by a probe of at most ten seconds, which times one method on each task now.
    """
    options = EngineOptions(
        engine, workers, address, timeout, memory, checkpoint_every, retries, gpus_per_trial
    )
    whole, results = load_study_or_group(name), Store(store)
    if isinstance(whole, StudyGroup):
        group = whole.on_tasks(task) if task else whole
        settings = tracking_settings(results, wandb, wandb_project, None, JobType.STUDY)
        with redirect_stdout(sys.stderr) if json else nullcontext():
            plan, ended = show_and_run_group(
                group, whole, results, overwrite, options, settings, max_trials, dry_run=dry_run
            )
        if json:
            print_json(group_as_data(group, plan, ended, results))
        if any(result.failed for result in ended):
            raise typer.Exit(1)
        return
    chosen = whole.on_tasks(task) if task else whole
    with (
        tracker(results, wandb, wandb_project, chosen.name, JobType.STUDY) as tracked,
        redirect_stdout(sys.stderr) if json else nullcontext(),
    ):
        result = show_and_run(
            chosen,
            results,
            overwrite,
            options,
            max_trials=max_trials,
            dry_run=dry_run,
            estimated=True,
            tracked=tracked,
            part_of=whole if task else None,
        )
        if without := tasks_without_dense(chosen, results):
            say(NO_DENSE.format(", ".join(without)))
    if json:
        print_json(as_data(result, results))
    if result.failed:
        raise typer.Exit(1)


def tasks_without_dense(chosen: Study, store: Store) -> list[str]:
    """Return the tasks on which a study has no dense network, and the store none of its recipe."""
    methods, found = registry.methods(), []
    for task in chosen.tasks:
        if any(methods[one.name].dense and one.runs_on(task.name) for one in chosen.methods):
            continue
        dense = MethodEntry(name="dense")
        with suppress(InvalidInput):  # a protocol that has no dense network
            trials = [chosen.trial(task, dense, None, seed, {}) for seed in chosen.seeds]
            records, _ = store.read_each([trial.key for trial in trials])
            if not any(record.status == "done" for record in records):
                found.append(task.name)
    return list(dict.fromkeys(found))


def show_and_run(
    chosen: Study,
    store: Store,
    overwrite: Overwrite,
    options: EngineOptions,
    *,
    max_trials: int = MAX_TRIALS,
    dry_run: bool = False,
    estimated: bool = False,
    tracked: Tracker | None = None,
    part_of: Study | None = None,
) -> StudyResult:
    """Show the plan of a study, run it with a progress display, and print how it ended.

    With `dry_run` only the plan is shown, if `estimated` with how long it will take. `tracked` is
    told of each trial that starts and ends. `part_of` is as in `run_study`, which this raises as.
    """
    if dry_run:
        plan = plan_study(chosen, store, options, overwrite, max_trials)
        _print_plan(chosen, plan, store)
        if estimated:
            _print_estimate(plan, store, options, partly=False)
        return _as_planned(chosen, plan, store)
    with _StudyDisplay(chosen, store, tracked) as display:
        result = run_study(chosen, store, options, overwrite, display, max_trials, part_of)
    _print_result(result, store)
    return result


def show_and_run_group(
    group: StudyGroup,
    whole: StudyGroup,
    store: Store,
    overwrite: Overwrite,
    options: EngineOptions,
    settings: WandbConfig,
    max_trials: int,
    *,
    dry_run: bool,
) -> tuple[GroupPlan, list[StudyResult]]:
    """Show the plans of a group's studies, run them in turn, and print how each ended.

    With `dry_run` only the plans are shown, and how long all will take. `group` is `whole`, or the
    part of it on some tasks. `settings` say how trials are published, each study as a group of its
    own. Raises as `plan_group` and `run_group`.
    """
    plan = plan_group(group, store, options, overwrite, max_trials)
    _print_group_plan(group, whole, plan, store)
    if dry_run:
        _print_estimate(plan.total, store, options, partly=True)
        return plan, [_as_planned(study, one, store) for study, one in plan.studies]

    @contextmanager
    def observe(study: Study) -> Iterator[_StudyDisplay]:
        place = f"{group.studies.index(study) + 1} of {len(group.studies)}"
        publishing = tracking(store, replace(settings, group=study.name))
        with publishing as tracked, _StudyDisplay(study, store, tracked, place) as display:
            yield display

    ended = []
    for result in run_group(group, plan, store, options, overwrite, observe, part_of=whole):
        _print_result(result, store)
        ended.append(result)
    say(f"Group {group.name}:")
    for result in ended:
        done = len(result.plan.done) + result.done
        say(f"  {result.study.name}: {done} done, {len(result.failed)} failed")
    for study in group.studies:
        if without := tasks_without_dense(study, store):
            say(f"{study.name}: {NO_DENSE.format(', '.join(without))}")
    return plan, ended


def as_data(result: StudyResult, store: Store) -> dict[str, Any]:
    """Return how a study ended, for a program: counts, what failed and why, all keys."""
    plan = result.plan
    return {
        "study": result.study.name,
        "store": store.location,
        "done_before": len(plan.done),
        "to_run": len(plan.to_run),
        "finished": result.done,
        "failed": [
            {"key": trial.key, "trial": trial.describe(), "message": message}
            for trial, message in result.failed
        ],
        "notes": dict(result.notes),
        "keys": list(plan.by_key),
    }


def group_as_data(
    group: StudyGroup, plan: GroupPlan, ended: Sequence[StudyResult], store: Store
) -> dict[str, Any]:
    """Return how the studies of a group ended, for a program; the counts are of all trials."""
    return {
        "group": group.name,
        "store": store.location,
        "done_before": len(plan.total.done),
        "to_run": len(plan.total.to_run),
        "finished": sum(result.done for result in ended),
        "studies": [as_data(result, store) for result in ended],
    }


class _StudyDisplay:
    """Prints the plan, shows what runs, says what has failed and publishes what has ended.

    Of a study of a group, whose plan has been shown, only its `place` is printed and its counts.
    """

    def __init__(
        self, study: Study, store: Store, tracked: Tracker | None, place: str = ""
    ) -> None:
        self._study, self._store, self._tracked, self._place = study, store, tracked, place
        self._open = ExitStack()
        self._display: Observer = Silent()

    def __enter__(self) -> "_StudyDisplay":
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def planned(self, plan: Schedule) -> None:
        """Print the plan, and show progress if anything will run."""
        if self._place:
            say(f"Study {self._study.name} ({self._place}): {plan}")
        else:
            _print_plan(self._study, plan, self._store)
        if plan.to_run:
            self._display = self._open.enter_context(shown(self._study.name, self._store))
            self._display.planned(plan)

    def started(self, trial: Trial) -> None:
        """Show the trial, and publish it while it is trained."""
        self._display.started(trial)
        if self._tracked is not None:
            self._tracked.started(trial.key)

    def dropped(self, trial: Trial) -> None:
        """Show the trial no longer."""
        self._display.dropped(trial)

    def finished(self, trial: Trial, record: Record) -> None:
        """Show the result, publish the trial, and say why it failed."""
        self._display.finished(trial, record)
        if self._tracked is not None:
            self._tracked.finished(trial.key)
        if record.error is not None:
            complain(f"failed: {trial.describe()}: {record.error['message']}")


def _as_planned(study: Study, plan: Schedule, store: Store) -> StudyResult:
    """Return the result of a study of which nothing is run."""
    return StudyResult(study, plan, failed=[] if plan.to_run else failed_before(plan, store))


def _print_estimate(plan: Schedule, store: Store, options: EngineOptions, *, partly: bool) -> None:
    if plan.to_run:
        kinds = kinds_of(plan.to_run)
        takes = estimate_trials(kinds, plan.done, store, options, partly=partly)
        say(f"  {len(plan.to_run):,} to run: {takes}")


def _print_result(result: StudyResult, store: Store) -> None:
    for one in result.damaged:
        complain(f"left out: {one.reason}")
    if not result.plan.to_run:
        return
    ran = {trial.key for trial in result.plan.to_run}
    failed = sum(trial.key in ran for trial, _ in result.failed)
    say(f"{result.done} finished, {failed} failed; results in {store.location}")
    for note, trials in list(result.notes.items())[:MAX_NOTES]:
        say(f"  {trials} of them: {note}")
    if len(result.notes) > MAX_NOTES:
        others = len(result.notes) - MAX_NOTES
        say(f"  and {others} other notes: `resonance inspect KEY` shows a trial's")
    if failed:
        say("What failed and why: `resonance status`")


def run_remaining(
    chosen: Study,
    store: Store,
    options: EngineOptions,
    *,
    dry_run: bool,
    json: bool,
    max_trials: int = MAX_TRIALS,
    tracked: Tracker | None = None,
) -> StudyResult:
    """Run the trials of a study that the store lacks, for a verb that then prints a result.

    With `json`, messages go to standard error.
    """
    with redirect_stdout(sys.stderr) if json else nullcontext():
        return show_and_run(
            chosen,
            store,
            Overwrite.FAILED,
            options,
            max_trials=max_trials,
            dry_run=dry_run,
            tracked=tracked,
        )


def _print_plan(chosen: Study, plan: Schedule, store: Store) -> None:
    say(f"Study {chosen.name}: {chosen.question}")
    say(f"  {plan} · store {store.location}")
    for trial, reason in plan.damaged:
        complain(f"left out: {trial.key}: {reason}")
    missing = chosen.missing_controls()
    if missing:
        reason = f": {chosen.controls_left_out}" if chosen.controls_left_out else ""
        say(f"  controls left out: {', '.join(missing)}{reason}")


def _print_group_plan(group: StudyGroup, whole: StudyGroup, plan: GroupPlan, store: Store) -> None:
    say(f"Group {group.name}: {group.question}")
    for study, one in plan.studies:
        _print_plan(study, one, store)
    names = {study.name for study in group.studies}
    if others := [study.name for study in whole.studies if study.name not in names]:
        say(f"Left out, without these tasks: {', '.join(others)}")
    several = f"{len(names)} studies" if len(names) > 1 else "1 study"
    shared = f" ({plan.shared} in several, run once)" if plan.shared else ""
    say(f"Total of {several}: {len(plan.total.by_key)} trials{shared} · {plan.total}")
