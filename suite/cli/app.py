"""The `resonance` command: thin, one function per verb."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from suite import __version__
from suite.cli import leaderboard as leaderboard_commands
from suite.cli import store as store_commands
from suite.cli import wandb as wandb_commands
from suite.cli.ablate import ablate
from suite.cli.compare import compare
from suite.cli.doctor import doctor
from suite.cli.evaluate import evaluate
from suite.cli.export import export
from suite.cli.listing import information, listing, with_task_file
from suite.cli.options import (
    DEFAULT_STORE,
    AddressOption,
    EngineOption,
    GpusOption,
    JsonOption,
    MemoryOption,
    RecipeOption,
    StoreOption,
    TimeoutOption,
    WorkersOption,
    settings,
)
from suite.cli.reproduce import reproduce
from suite.cli.status import status
from suite.cli.submit import submit
from suite.cli.tune import tune
from suite.cli.wandb import ModeOption, ProjectOption, report, tracker
from suite.core.console import complain, print_json, print_table, progress_bar, say
from suite.core.errors import InvalidInput, TrialFailed
from suite.execution.engines import EngineName, EngineOptions
from suite.execution.plan import Overwrite, preflight, schedule
from suite.execution.runner import RETRIES
from suite.experiments import registry
from suite.experiments.study import load_study
from suite.experiments.trial_config import Trial
from suite.results.record import Record
from suite.results.store import Store
from suite.tracking.wandb import PROJECT, Mode

app = typer.Typer(
    name="resonance",
    help="Benchmark neural-network sparsity: the resonance method against published baselines.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(leaderboard_commands.app, name="leaderboard")
app.add_typer(store_commands.app, name="store")
app.add_typer(wandb_commands.app, name="wandb")

OverwriteOption = Annotated[
    Overwrite, typer.Option(help="Run again what has a record: never, if it failed, or always.")
]
CheckpointOption = Annotated[
    str, typer.Option(help="How often to save an unfinished trial: 30s, 5m, 500steps, or off.")
]
UsageError: type[Exception] = typer.BadParameter.__mro__[1]
"""What a wrong command line raises; typer does not export it."""
DEFAULT_SPARSITY = 0.9
STOPPED = 130


def main() -> None:
    """Run the command; what a person got wrong is one line and exit code 2."""
    try:
        code = app(standalone_mode=False)
        if code == STOPPED:  # typer's word for Ctrl-C
            raise KeyboardInterrupt
        sys.exit(code)
    except UsageError as error:
        message = error.format_message()  # type: ignore[attr-defined]
        whole_help = "\n" in message  # no command was given
        complain(message if whole_help else f"error: {message} (`--help` shows what there is)")
        sys.exit(2)
    except InvalidInput as error:
        complain(f"error: {error}")
        sys.exit(2)
    except TrialFailed as error:
        complain(f"failed: {error}")
        sys.exit(1)
    except KeyboardInterrupt:
        complain("stopped; finished trials are kept: run the same command again to go on")
        sys.exit(STOPPED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def _version(value: bool) -> None:
    if value:
        say(f"resonance-bench {__version__}")
        raise typer.Exit


@app.callback()
def options(
    plugin: Annotated[
        list[str] | None,
        typer.Option(
            "--plugin",
            envvar="RESONANCE_PLUGINS",
            metavar="FILE",
            help="Python file that declares methods or tasks of your own (may be repeated).",
        ),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Set what holds for every verb."""
    registry.use_plugins(plugin or [])


# ------------------------------------------------------------------ running


@app.command()
def run(
    task: Annotated[str, typer.Argument(help="A task, e.g. digits/mlp (`resonance list tasks`).")],
    method: Annotated[
        str | None, typer.Argument(help="A method, e.g. rigl (`resonance list methods`).")
    ] = None,
    task_file: Annotated[
        Path | None,
        typer.Option(help="A YAML or Python file that declares a task; TASK may be left out then."),
    ] = None,
    sparsity: Annotated[
        float | None,
        typer.Option("--sparsity", "-s", help="Fraction of zeros in [0, 1); 0.9 if not given."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Fixes initial weights and data order.")] = 0,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A hyperparameter of the method."),
    ] = None,
    recipe: RecipeOption = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    precision: Annotated[
        str, typer.Option(help="float32, or bfloat16 for forward and backward passes.")
    ] = "float32",
    threads: Annotated[int, typer.Option(help="CPU threads; results depend on it.")] = 1,
    execution: Annotated[
        str, typer.Option(help="masked, csr (non-zero weights alone, on a CPU), or auto.")
    ] = "masked",
    trainer: Annotated[
        str, typer.Option(help="A published protocol in place of the training loop.")
    ] = "",
    evaluate_on: Annotated[
        str, typer.Option("--evaluate", help="test, or validation: the test split is not read.")
    ] = "test",
    store: StoreOption = DEFAULT_STORE,
    overwrite: OverwriteOption = Overwrite.FAILED,
    checkpoint_every: CheckpointOption = "60s",
    wandb: ModeOption = Mode.OFF,
    wandb_project: ProjectOption = PROJECT,
    json: JsonOption = False,
) -> None:
    """Run one trial: one method on one task, at one sparsity, with one seed."""
    if task_file is not None:
        task, method = with_task_file(task_file, task, method)
    if method is None:
        raise InvalidInput(f"run {task}: a method is missing (`resonance list methods` shows all)")
    dense = registry.methods()[method].dense
    default = 0.0 if dense else DEFAULT_SPARSITY
    trial = Trial.make(
        task=task,
        method=method,
        sparsity=default if sparsity is None else sparsity,
        seed=seed,
        hyperparameters=settings(set_, "--set"),
        recipe=settings(recipe, "--recipe"),
        device=device,
        precision=precision,
        threads=threads,
        execution=execution,
        trainer=trainer,
        evaluate=evaluate_on,
    )
    results = Store(store)
    plan = schedule([trial], results, overwrite)
    record = results.read(trial.key)
    if plan.to_run:
        with tracker(results, wandb, wandb_project) as tracked:
            record = _run_one(trial, results, checkpoint_every)
            tracked.add(trial.key)
        report(tracked)
    assert record is not None
    if json:
        print_json(record.model_dump())
    elif record.status == "done":
        _print_result(trial, record, results, again=not plan.to_run)
    if record.error is not None:
        where = f"{results.where(trial.key)}/error.txt"
        raise TrialFailed(f"{trial.describe()}: {record.error['message']} (more in {where})")


def _run_one(trial: Trial, store: Store, every: str) -> Record:
    from suite.execution.checkpoints import Checkpoints
    from suite.execution.runner import execute, stop_signals
    from suite.training.checkpoint_interval import CheckpointInterval
    from suite.training.trial import count_steps

    CheckpointInterval.parse(every)
    preflight([trial])
    store.prepare()
    Checkpoints(store).sweep(store)
    with progress_bar(trial.describe(), count_steps(trial)) as bar, stop_signals() as asked:
        return execute(trial, store, bar.advance, every, asked)


def _print_result(trial: Trial, record: Record, store: Store, *, again: bool) -> None:
    accuracy = 100 * record.metrics[f"{trial.evaluate}_accuracy"]
    ratio = record.flops["inference"] / record.flops["inference_dense"]
    say(trial.describe() + (" (done before; --overwrite always runs it again)" if again else ""))
    say(f"  {f'{trial.evaluate} accuracy':<17} {accuracy:.2f} %")
    say(f"  sparsity          {record.sparsity:.4%} of {sum(x.size for x in record.layers):,}")
    say(f"  inference FLOPs   {ratio:.3f} × dense")
    say(f"  training FLOPs    {record.flops['training']:.3g}")
    say(f"  seconds           {record.timing['seconds']:.1f}")
    say(f"  record            {store.where(trial.key)}")
    for note in record.notes:
        say(f"  note: {note}")


@app.command()
def study(
    name: Annotated[str, typer.Argument(metavar="NAME|FILE", help="A shipped study, or YAML.")],
    store: StoreOption = DEFAULT_STORE,
    workers: WorkersOption = None,
    overwrite: OverwriteOption = Overwrite.FAILED,
    engine: EngineOption = EngineName.LOCAL,
    address: AddressOption = None,
    timeout: TimeoutOption = None,
    memory: MemoryOption = None,
    retries: Annotated[
        int, typer.Option(min=0, help="How often a trial whose process died is tried again.")
    ] = RETRIES,
    gpus_per_trial: GpusOption = 1.0,
    checkpoint_every: CheckpointOption = "60s",
    wandb: ModeOption = Mode.OFF,
    wandb_project: ProjectOption = PROJECT,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and stop.")] = False,
) -> None:
    """Run a study: show the plan, skip what is done, run the rest."""
    from suite.execution.command import run_study

    options = EngineOptions(
        engine, workers, address, timeout, memory, checkpoint_every, retries, gpus_per_trial
    )
    chosen, results = load_study(name), Store(store)
    with tracker(results, wandb, wandb_project, chosen.name) as tracked:
        failures = run_study(
            chosen, results, overwrite, options, dry_run=dry_run, publish=tracked.add
        )
    report(tracked)
    _exit_code(failures)


def _exit_code(failures: int) -> None:
    if failures:
        raise typer.Exit(1)


# ------------------------------------------------------------------ looking


app.command()(ablate)
app.command()(reproduce)
app.command()(tune)
app.command()(status)
app.command()(compare)
app.command()(doctor)
app.command()(evaluate)
app.command()(export)
app.command()(submit)


@app.command("list")
def list_(
    kind: Annotated[
        str,
        typer.Argument(metavar="KIND", help="tasks, methods, datasets, studies, tables, trainers."),
    ],
    json: JsonOption = False,
) -> None:
    """List what there is."""
    columns, rows = listing(kind)
    if json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        print_table("", columns, rows)


@app.command()
def info(
    name: Annotated[str, typer.Argument(help="A method, a task, a dataset or a study.")],
    json: JsonOption = False,
) -> None:
    """Explain one thing: what it is, where it comes from, how it can be set."""
    content, parameters = information(name)
    if json:
        print_json({**content, "hyperparameters": parameters})
        return
    for key, value in content.items():
        say(f"{key:<12} {value}")
    if parameters:
        say("")
        columns = ["name", "default", "allowed", "meaning", "source"]
        print_table("", columns, [[p[c] for c in columns] for p in parameters])


@app.command()
def inspect(
    trial: Annotated[str, typer.Argument(help="A trial's key, or how it begins.")],
    store: StoreOption = DEFAULT_STORE,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write to; site/trials/KEY if not given.")
    ] = None,
) -> None:
    """Look into one trial: a page and pictures of what happened while it trained."""
    from leaderboard.pages.inspection import find_trial
    from leaderboard.pages.inspection import inspect as write

    results = Store(store)
    folder = out or Path("site") / "trials" / find_trial(results, trial).key
    written = write(results, trial, folder)
    say(f"Page: {written.page}")
    say(f"Pictures: {', '.join(path.name for path in written.pictures)}")


if __name__ == "__main__":
    main()
