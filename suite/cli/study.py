"""`resonance study`: show the plan of a study, run the remaining trials, report the outcome."""

import sys
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext, redirect_stdout, suppress
from typing import Annotated

import typer

from suite.cli import run_options
from suite.cli.options import DEFAULT_STORE, StoreOption
from suite.cli.wandb import tracker
from suite.core.console import complain, progress_bar, say
from suite.execution.engines import EngineName, EngineOptions
from suite.execution.plan import Overwrite, Schedule, schedule
from suite.execution.runner import RETRIES
from suite.execution.runner import run as run_trials
from suite.experiments.study import Study, load_study
from suite.experiments.trial_config import Trial
from suite.results.record import Record
from suite.results.store import Store, StoreUnusable
from suite.results.stored_studies import remember
from suite.tracking.wandb import PROJECT, Mode

MAX_NOTES = 5
"""Notes shown after a study; the records hold all of them."""


def study(
    name: Annotated[
        str, typer.Argument(metavar="NAME|FILE", help="A shipped study, or a YAML file.")
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
    dry_run: run_options.DryRunOption = False,
) -> None:
    """Run a study: show the plan, skip what is done, run the rest."""
    options = EngineOptions(
        engine, workers, address, timeout, memory, checkpoint_every, retries, gpus_per_trial
    )
    chosen, results = load_study(name), Store(store)
    with tracker(results, wandb, wandb_project, chosen.name) as publish:
        failures = run_study(chosen, results, overwrite, options, dry_run=dry_run, publish=publish)
    if failures:
        raise typer.Exit(1)


def run_study(
    chosen: Study,
    store: Store,
    overwrite: Overwrite,
    options: EngineOptions,
    *,
    dry_run: bool,
    publish: Callable[[str], None] = lambda key: None,
) -> int:
    """Run a study and return how many of its trials failed.

    `publish` is called with the key of each trial that has ended and is in the store.
    """
    options.check()
    trials = chosen.trials()
    plan = schedule(trials, store, overwrite)
    _print_plan(chosen, plan, store)
    if not plan.to_run:
        if not dry_run:
            with suppress(StoreUnusable):  # a finished study may be in a store that is only read
                remember(store, chosen, trials)
        return len(plan.failed)
    if dry_run:
        return 0
    options.preflight(plan.to_run)
    store.prepare()
    remember(store, chosen, trials)
    engine = options.make(store, chosen.device, chosen.threads)
    notes: Counter[str] = Counter()
    with progress_bar(chosen.name, len(plan.to_run)) as advance:

        def finished(trial: Trial, record: Record) -> None:
            advance()
            publish(trial.key)
            notes.update(set(record.notes))
            if record.error is not None:
                complain(f"failed: {trial.describe()}: {record.error['message']}")

        summary = run_trials(plan.to_run, store, engine, finished, options.retries)
    say(f"{summary.done} finished, {len(summary.failed)} failed; results in {store.location}")
    for note, count in notes.most_common(MAX_NOTES):
        say(f"  {count} of them: {note}")
    if len(notes) > MAX_NOTES:
        say(f"  and {len(notes) - MAX_NOTES} other notes: `resonance inspect KEY` shows a trial's")
    if summary.failed:
        say("What failed and why: `resonance status`")
    return len(summary.failed)


def run_remaining(
    chosen: Study, store: Store, options: EngineOptions, *, dry_run: bool, json: bool
) -> int:
    """Run the trials of a study that the store lacks, for a verb that then prints a result.

    With `json`, messages go to standard error. Return how many trials failed.
    """
    with redirect_stdout(sys.stderr) if json else nullcontext():
        return run_study(chosen, store, Overwrite.FAILED, options, dry_run=dry_run)


def _print_plan(chosen: Study, plan: Schedule, store: Store) -> None:
    say(f"Study {chosen.name}: {chosen.question}")
    say(f"  {plan} · store {store.location}")
    missing = chosen.missing_controls()
    if missing:
        reason = f": {chosen.controls_left_out}" if chosen.controls_left_out else ""
        say(f"  controls left out: {', '.join(missing)}{reason}")
