"""The `resonance` command: thin, one function per verb."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from suite import __version__, registry
from suite.config import Study, Trial, load_study
from suite.console import complain, print_json, print_table, progress_bar, say
from suite.errors import InvalidInput, TrialFailed
from suite.execution.plan import Overwrite, Schedule, preflight, schedule
from suite.listing import information, listing
from suite.results.record import Record
from suite.results.store import Store

app = typer.Typer(
    name="resonance",
    help="Benchmark neural-network sparsity: the resonance method against published baselines.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
board_app = typer.Typer(help="Build a leaderboard from records.", no_args_is_help=True)
app.add_typer(board_app, name="leaderboard")

StoreOption = Annotated[
    str,
    typer.Option(
        "--store", envvar="RESONANCE_STORE", help="Folder or URL (s3://…) that holds the results."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print data for programs.")]
OverwriteOption = Annotated[
    Overwrite, typer.Option(help="Run again what has a record: never, if it failed, or always.")
]
UsageError: type[Exception] = typer.BadParameter.__mro__[1]
"""What a wrong command line raises; typer does not export it."""
DEFAULT_STORE = "results"
DEFAULT_SPARSITY = 0.9


def main() -> None:
    """Run the command; what a person got wrong is one line and exit code 2."""
    try:
        sys.exit(app(standalone_mode=False))
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
        sys.exit(130)
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
    method: Annotated[str, typer.Argument(help="A method, e.g. rigl (`resonance list methods`).")],
    sparsity: Annotated[
        float | None,
        typer.Option("--sparsity", "-s", help="Share of zeros in [0, 1); 0.9 if not given."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Fixes initial weights and data order.")] = 0,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A hyperparameter of the method."),
    ] = None,
    recipe: Annotated[
        list[str] | None,
        typer.Option("--recipe", metavar="NAME=VALUE", help="A field of the task's recipe."),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    precision: Annotated[
        str, typer.Option(help="float32, or bfloat16 for forward and backward passes.")
    ] = "float32",
    threads: Annotated[int, typer.Option(help="CPU threads; results depend on it.")] = 1,
    store: StoreOption = DEFAULT_STORE,
    overwrite: OverwriteOption = Overwrite.FAILED,
    json: JsonOption = False,
) -> None:
    """Run one trial: one method on one task, at one sparsity, with one seed."""
    dense = registry.methods()[method].dense
    default = 0.0 if dense else DEFAULT_SPARSITY
    trial = Trial.make(
        task=task,
        method=method,
        sparsity=default if sparsity is None else sparsity,
        seed=seed,
        hyperparameters=_settings(set_, "--set"),
        recipe=_settings(recipe, "--recipe"),
        device=device,
        precision=precision,
        threads=threads,
    )
    results = Store(store)
    plan = schedule([trial], results, overwrite)
    record = results.read(trial.key)
    if plan.to_run:
        record = _run_one(trial, results)
    assert record is not None
    if json:
        print_json(record.model_dump())
    elif record.status == "done":
        _print_result(trial, record, results, again=not plan.to_run)
    if record.error is not None:
        where = f"{results.where(trial.key)}/error.txt"
        raise TrialFailed(f"{trial.describe()}: {record.error['message']} (more in {where})")


def _run_one(trial: Trial, store: Store) -> Record:
    from suite.execution.runner import execute
    from suite.training.trial import total_steps

    preflight([trial])
    store.prepare()
    with progress_bar(trial.describe(), total_steps(trial)) as bar:
        return execute(trial, store, bar.advance)


def _print_result(trial: Trial, record: Record, store: Store, *, again: bool) -> None:
    accuracy = 100 * record.metrics["test_accuracy"]
    ratio = record.flops["inference"] / record.flops["inference_dense"]
    say(trial.describe() + (" (done before; --overwrite always runs it again)" if again else ""))
    say(f"  test accuracy     {accuracy:.2f} %")
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
    workers: Annotated[
        int | None, typer.Option(min=1, help="Trials run at once; as many as the cores hold.")
    ] = None,
    overwrite: OverwriteOption = Overwrite.FAILED,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and stop.")] = False,
) -> None:
    """Run a study: show the plan, skip what is done, run the rest."""
    from suite.execution import local

    chosen = load_study(name)
    trials = chosen.trials()
    results = Store(store)
    plan = schedule(trials, results, overwrite)
    _print_plan(chosen, plan, results)
    if dry_run or not plan.to_run:
        _exit_code(len(plan.failed) if not plan.to_run else 0)
        return
    preflight(plan.to_run)
    results.prepare()
    with progress_bar(chosen.name, len(plan.to_run)) as bar:

        def finished(trial: Trial, record: Record) -> None:
            bar.advance()
            if record.error is not None:
                bar.note(f"failed: {trial.describe()}: {record.error['message']}")

        summary = local.run(
            plan.to_run, results, workers or local.default_workers(chosen.threads), finished
        )
    say(f"{summary.done} finished, {len(summary.failed)} failed; results in {results.location}")
    if summary.failed:
        say("What failed and why: `resonance status`")
    _exit_code(len(summary.failed))


def _print_plan(chosen: Study, plan: Schedule, store: Store) -> None:
    say(f"Study {chosen.name}: {chosen.question}")
    say(f"  {plan} · store {store.location}")
    missing = chosen.missing_controls()
    if missing:
        say(f"  controls not in it: {', '.join(missing)} {chosen.controls_left_out}".rstrip())


def _exit_code(failures: int) -> None:
    if failures:
        raise typer.Exit(1)


@app.command()
def status(
    name: Annotated[str | None, typer.Argument(metavar="[STUDY]", help="Limit to a study.")] = None,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Show what the store holds, or how far a study is, and what failed."""
    results = Store(store)
    keys: list[str] | None = None
    if name is not None:
        keys = [trial.key for trial in load_study(name).trials()]
    records = [r for key in keys or results.keys() if (r := results.read(key)) is not None]
    failures = [r for r in records if r.error is not None]
    done = len(records) - len(failures)
    missing = len(keys) - len(records) if keys is not None else 0
    if json:
        print_json({
            "store": str(results.location), "done": done, "failed": len(failures), "missing": missing,
            "failures": [{"key": r.key, "trial": r.trial, "error": r.error} for r in failures],
        })  # fmt: skip
        return
    what = f"study {name}" if name else f"store {results.location}"
    say(f"{what}: {done} done, {len(failures)} failed"
        + (f", {missing} to run" if keys is not None else ""))  # fmt: skip
    for record in failures:
        assert record.error is not None
        trial = record.trial
        say(f"  {record.key} {trial['task']} {trial['method']} s={trial['sparsity']:g} "
            f"seed={trial['seed']}: {record.error['message']}")  # fmt: skip


# ------------------------------------------------------------------ looking


@app.command("list")
def list_(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="tasks, methods, datasets, studies.")],
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
    from leaderboard.inspection import find_trial
    from leaderboard.inspection import inspect as write

    results = Store(store)
    folder = out or Path("site") / "trials" / find_trial(results, trial).key
    written = write(results, trial, folder)
    say(f"Page: {written.page}")
    say(f"Pictures: {', '.join(path.name for path in written.pictures)}")


# ------------------------------------------------------------------ leaderboard


@board_app.command()
def build(
    store: StoreOption = DEFAULT_STORE,
    out: Annotated[Path, typer.Option(help="Folder to write the leaderboard to.")] = Path("site"),
    markdown: Annotated[
        Path | None, typer.Option(help="A file whose marked part receives the tables as well.")
    ] = None,
) -> None:
    """Build the leaderboard: a page, Markdown and CSV, from the records in a store."""
    from leaderboard.markdown import cell_text
    from leaderboard.site import build as build_site

    built = build_site(Store(store).records(), out, markdown)
    for board in built.boards:
        say("")
        columns = ["method", *(f"s={sparsity:g}" for sparsity in board.sparsities)]
        rows = [[entry.label, *map(cell_text, cells)] for entry, cells in board.rows]
        print_table(f"{board.title}: test accuracy in %", columns, rows)
    say("")
    for record in built.excluded:
        say(f"left out: {record.trial} ({record.key}): {record.reason}")
    say(f"Leaderboard: {built.page}")


def _settings(given: list[str] | None, option: str) -> dict[str, object]:
    settings: dict[str, object] = {}
    for text in given or []:
        name, equals, value = text.partition("=")
        name = name.strip()
        if not equals or not name:
            raise InvalidInput(f"{option} {text}: write it as name=value")
        if name in settings:
            raise InvalidInput(f"{option} {name} is given twice: give it once")
        settings[name] = _value(value.strip())
    return settings


def _value(text: str) -> object:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
