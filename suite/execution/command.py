"""`resonance study`: show the plan, run what is to run, say how it ended."""

from collections import Counter
from collections.abc import Callable

from suite.core.console import progress_bar, say
from suite.execution.engines import EngineOptions
from suite.execution.plan import Overwrite, Schedule, schedule
from suite.execution.runner import run
from suite.experiments.study import Study
from suite.experiments.trial_config import Trial
from suite.results.record import Record
from suite.results.store import Store

MAX_NOTES = 5
"""Notes that are shown after a study; they are in its records all the same."""


def run_study(
    chosen: Study,
    store: Store,
    overwrite: Overwrite,
    options: EngineOptions,
    *,
    dry_run: bool,
    publish: Callable[[str], None] = lambda key: None,
) -> int:
    """Run a study; return how many of its trials have failed.

    `publish` is called with the key of each trial that has ended and is in the store.
    """
    options.check()
    trials = chosen.trials()
    plan = schedule(trials, store, overwrite)
    _print_plan(chosen, plan, store)
    if dry_run or not plan.to_run:
        return len(plan.failed) if not plan.to_run else 0
    options.preflight(plan.to_run)
    store.prepare()
    engine = options.make(chosen, store)
    notes: Counter[str] = Counter()
    with progress_bar(chosen.name, len(plan.to_run)) as bar:

        def finished(trial: Trial, record: Record) -> None:
            bar.advance()
            publish(trial.key)
            notes.update(set(record.notes))
            if record.error is not None:
                bar.note(f"failed: {trial.describe()}: {record.error['message']}")

        summary = run(plan.to_run, store, engine, finished, options.retries)
    say(f"{summary.done} finished, {len(summary.failed)} failed; results in {store.location}")
    for note, trials_with_it in notes.most_common(MAX_NOTES):
        say(f"  {trials_with_it} of them: {note}")
    if len(notes) > MAX_NOTES:
        say(f"  and {len(notes) - MAX_NOTES} other notes: `resonance inspect KEY` shows a trial's")
    if summary.failed:
        say("What failed and why: `resonance status`")
    return len(summary.failed)


def _print_plan(chosen: Study, plan: Schedule, store: Store) -> None:
    say(f"Study {chosen.name}: {chosen.question}")
    say(f"  {plan} · store {store.location}")
    missing = chosen.missing_controls()
    if missing:
        reason = f": {chosen.controls_left_out}" if chosen.controls_left_out else ""
        say(f"  controls not in it: {', '.join(missing)}{reason}")
