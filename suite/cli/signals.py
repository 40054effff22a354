"""`resonance signals`: what the gradient signals of one training say, measured."""

import sys
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import Annotated, Any

import typer

from suite.cli import completion, run_options
from suite.cli.options import DEFAULT_STORE, JsonOption, StoreOption, settings
from suite.core.console import print_json, print_table, say
from suite.core.errors import InvalidInput, TrialFailed
from suite.execution.plan import Overwrite, schedule
from suite.execution.single_trial import default_sparsity
from suite.experiments import registry
from suite.experiments.trial_config import Trial
from suite.results.record import Record
from suite.results.store import Store

TRAINER = "signals"
DEFAULT_WINDOW = 32


def signals(
    task: Annotated[
        str,
        typer.Argument(
            help="A task, e.g. digits/mlp (`resonance list tasks`).",
            autocompletion=completion.tasks,
        ),
    ],
    method: Annotated[
        str,
        typer.Argument(
            help="A method that trains once (`resonance list methods`).",
            autocompletion=completion.methods,
        ),
    ] = "dense",
    sparsity: Annotated[
        float | None,
        typer.Option("--sparsity", "-s", help="Fraction of zeros in [0, 1); default 0.9."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Fixes initial weights and data order.")] = 0,
    window: Annotated[
        int, typer.Option(help="N, gradients that are read at a time: 16, 32, 64 or 128.")
    ] = DEFAULT_WINDOW,
    set_: run_options.SetOption = None,
    recipe: run_options.RecipeOption = None,
    device: run_options.DeviceOption = "cpu",
    precision: run_options.PrecisionOption = "float32",
    threads: run_options.ThreadsOption = 1,
    store: StoreOption = DEFAULT_STORE,
    overwrite: run_options.OverwriteOption = Overwrite.FAILED,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write to; site/trials/KEY by default.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Measure what gradient signals say: how reliable each reading is, what it is related to.

    Trains as `resonance run` does, bit for bit, and reads the gradients of every connection in
    disjoint windows. The record is on no board.
    """
    trial = Trial.make(
        task=task,
        method=method,
        sparsity=default_sparsity(method) if sparsity is None else sparsity,
        seed=seed,
        hyperparameters=settings(set_, "--set"),
        recipe=settings(recipe, "--recipe"),
        device=device,
        precision=precision,
        threads=threads,
        trainer=trainer_of(window),
    )
    results = Store(store)
    plan = schedule([trial], results, overwrite)
    record = None if plan.to_run else results.read(trial.key)
    if plan.to_run:
        with redirect_stdout(sys.stderr) if json else nullcontext():
            record = _run(trial, results)
    assert record is not None
    if record.error is not None:
        where = f"{results.where(trial.key)}/error.txt"
        raise TrialFailed(f"{trial.describe()}: {record.error['message']} (more in {where})")
    _show(record, results, out or Path("site") / "trials" / record.key, json=json)


def trainer_of(window: int) -> str:
    """Return the trainer that reads windows of N gradients.

    Raises:
        InvalidInput: there is none.
    """
    name = TRAINER if window == DEFAULT_WINDOW else f"{TRAINER}_{window}"
    if name not in registry.trainers():
        ends = (one.name.removeprefix(f"{TRAINER}_") for one in registry.trainers())
        others = sorted([DEFAULT_WINDOW, *(int(end) for end in ends if end.isdigit())])
        raise InvalidInput(f"window={window}: give one of {', '.join(map(str, others))}")
    return name


def _run(trial: Trial, store: Store) -> Record:
    from suite.execution.plan import Schedule
    from suite.execution.progress import shown
    from suite.execution.single_trial import prepare, train

    prepare(trial, store, "off")
    with shown(trial.describe(), store, visible=True) as display:
        display.planned(Schedule([], [], [trial]))
        display.started(trial)
        return train(trial, store, "off")


def _show(record: Record, store: Store, folder: Path, *, json: bool) -> None:
    """Write the trial's page and pictures; print tables and sentences."""
    from leaderboard.pages.inspection import inspect
    from leaderboard.signal_figures import counts, sentences, signal_groups, tables

    written = inspect(store, record.key, folder)
    (group,) = signal_groups([record])
    if json:
        content: dict[str, Any] = {
            "key": record.key,
            "layers": {layer.name: layer.signals for layer in record.layers},
            "pruned_at_once": {
                name: value for name, value in record.metrics.items() if name.startswith("pruned_")
            },
            "score": record.score,
            "page": str(written.page),
            "pictures": [str(path) for path in written.pictures],
        }
        print_json(content)
        return
    say(f"{group.title}, seed {record.trial['seed']}: {counts(group)}")
    for title, columns, rows in tables(group):
        say("")
        print_table(title, columns, rows)
    say("")
    for sentence in sentences(group):
        say(sentence)
    say(f"Page: {written.page}")
    say(f"Record: {store.where(record.key)}")
