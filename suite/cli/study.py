"""`resonance study`: show the plan of a study, run the remaining trials, report the outcome."""

import sys
from contextlib import ExitStack, nullcontext, redirect_stdout, suppress
from typing import Annotated, Any

import typer

from suite.cli import completion, run_options
from suite.cli.options import DEFAULT_STORE, JsonOption, StoreOption
from suite.cli.wandb import tracker
from suite.core.console import complain, print_json, say
from suite.core.errors import InvalidInput
from suite.execution.engines import EngineName, EngineOptions
from suite.execution.estimate import MAX_TRIALS, estimate_trials, kinds_of
from suite.execution.plan import Overwrite, Schedule
from suite.execution.progress import shown
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
from suite.experiments.study import MethodEntry, Study, load_study
from suite.experiments.trial_config import Trial
from suite.results.record import Record
from suite.results.store import Store
from suite.tracking.tracker import Tracker
from suite.tracking.wandb import PROJECT, JobType, Mode

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
            help="A shipped study, or a YAML file.",
            autocompletion=completion.studies,
        ),
    ],
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

    With `--dry-run` only the plan is shown, and how long it will take: by the times of trials in
    the store, or by a probe of at most ten seconds, which times one method on each task now.
    """
    options = EngineOptions(
        engine, workers, address, timeout, memory, checkpoint_every, retries, gpus_per_trial
    )
    chosen, results = load_study(name), Store(store)
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
) -> StudyResult:
    """Show the plan of a study, run it with a progress display, and print how it ended.

    With `dry_run` only the plan is shown, if `estimated` with how long it will take. `tracked` is
    told of each trial that starts and ends. Raises as `run_study`.
    """
    if dry_run:
        plan = plan_study(chosen, store, options, overwrite, max_trials)
        _print_plan(chosen, plan, store)
        if plan.to_run and estimated:
            takes = estimate_trials(kinds_of(plan.to_run), plan.done, store, options)
            say(f"  {len(plan.to_run):,} to run: {takes}")
        failed = [] if plan.to_run else failed_before(plan, store)
        return StudyResult(chosen, plan, failed=failed)
    with _StudyDisplay(chosen, store, tracked) as display:
        result = run_study(chosen, store, options, overwrite, display, max_trials)
    for one in result.damaged:
        complain(f"left out: {one.reason}")
    if result.plan.to_run:
        _print_result(result, store)
    return result


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


class _StudyDisplay:
    """Prints the plan, shows what runs, says what has failed and publishes what has ended."""

    def __init__(self, study: Study, store: Store, tracked: Tracker | None) -> None:
        self._study, self._store, self._tracked = study, store, tracked
        self._open = ExitStack()
        self._display: Observer = Silent()

    def __enter__(self) -> "_StudyDisplay":
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def planned(self, plan: Schedule) -> None:
        """Print the plan, and show progress if anything will run."""
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


def _print_result(result: StudyResult, store: Store) -> None:
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
