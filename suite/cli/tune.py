"""`resonance tune`: a hyperparameter search with equal budgets, tested on fresh seeds."""

import re
import sys
from collections.abc import Collection, Sequence
from contextlib import nullcontext, redirect_stdout
from typing import TYPE_CHECKING, Annotated, Any

import typer

from suite.cli import completion, run_options
from suite.cli.options import DEFAULT_STORE, JsonOption, StoreOption, TaskOptions, settings
from suite.cli.wandb import tracker
from suite.core.console import print_json, print_table, say
from suite.core.errors import InvalidInput
from suite.execution.engines import EngineName, EngineOptions
from suite.execution.runner import RETRIES
from suite.results.record import Record
from suite.results.store import Store
from suite.tracking.wandb import PROJECT, JobType, Mode

if TYPE_CHECKING:
    from leaderboard.board_columns import Column
    from suite.tuning.schema import MethodResult, Tuning


def tune(
    methods: Annotated[
        list[str],
        typer.Argument(
            metavar="METHOD…", help="Methods to tune.", autocompletion=completion.methods
        ),
    ],
    task: TaskOptions = None,
    budget: Annotated[
        int, typer.Option(help="Whole configurations trained per method, including the default.")
    ] = 50,
    sparsity: run_options.SparsitiesOption = None,
    seeds: Annotated[int, typer.Option(help="Trials per configuration, task and sparsity.")] = 2,
    sampler: Annotated[str, typer.Option(help="tpe, cmaes, gp, random, qmc or nsgaii.")] = "tpe",
    pruner: Annotated[
        str, typer.Option(help="none, median or hyperband: abandon poor configurations early.")
    ] = "none",
    prune_after: Annotated[
        str,
        typer.Option(
            help="When the pruner decides: after each seed of a configuration, or each epoch."
        ),
    ] = "seed",
    objectives: Annotated[
        str | None,
        typer.Option(
            help="Comma-separated: a metric of the task (default: the one that it ranks by), "
            "train_flops, inference_flops. Several: a Pareto front."
        ),
    ] = None,
    recipe: Annotated[
        list[str] | None,
        typer.Option(
            "--recipe",
            metavar="NAME[,NAME…]|NAME=VALUE",
            help="Recipe fields to tune as well, or one to set for all trials.",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the tuning; by default made from tasks and methods.")
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            envvar="RESONANCE_STORAGE",
            metavar="FILE|URL",
            help="Journal file, sqlite:///FILE for one process, or postgresql://….",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the sampler.")] = 0,
    final_seeds: Annotated[
        int, typer.Option(help="Number of fresh seeds to test winner and default on; 0 for none.")
    ] = 5,
    device: run_options.DeviceOption = "cpu",
    precision: run_options.PrecisionOption = "float32",
    threads: run_options.ThreadsOption = 1,
    store: StoreOption = DEFAULT_STORE,
    workers: run_options.WorkersOption = None,
    engine: run_options.EngineOption = EngineName.LOCAL,
    address: run_options.AddressOption = None,
    timeout: run_options.TimeoutOption = None,
    memory: run_options.MemoryOption = None,
    gpus_per_trial: run_options.GpusOption = 1.0,
    wandb: run_options.WandbOption = Mode.OFF,
    wandb_project: run_options.ProjectOption = PROJECT,
    json: JsonOption = False,
) -> None:
    """Tune methods on validation data; then test each winner and its default on fresh seeds.

    Every method gets the same budget, tasks, seeds and validation split, and starts with its
    default. The same command resumes a search that was stopped.
    """
    from suite.tuning.schema import MAX_SEEDS, SEEDS_FROM, TuningConfig
    from suite.tuning.search import journal
    from suite.tuning.search import tune as search

    for option, number, least in (("--seeds", seeds, 1), ("--final-seeds", final_seeds, 0)):
        if not least <= number <= MAX_SEEDS:
            raise InvalidInput(f"{option} {number}: give {least} to {MAX_SEEDS}")
    tuned, fixed = _split_recipe(recipe or [])
    tasks = task or []
    default_name = re.sub(r"[^a-z0-9_]", "-", "-".join([*tasks, *methods]).lower())[:100]
    config = TuningConfig.make(
        name=default_name if name is None else name,
        tasks=tasks,
        methods=methods,
        sparsities=sparsity or [run_options.DEFAULT_SPARSITY],
        seeds=range(SEEDS_FROM, SEEDS_FROM + seeds),
        budget=budget,
        sampler=sampler,
        pruner=pruner,
        prune_after=prune_after,
        objectives=None if objectives is None else _words(objectives, "--objectives"),
        seed=seed,
        recipe=fixed,
        tuned_recipe=tuned,
        device=device,
        precision=precision,
        threads=threads,
        final_seeds=range(final_seeds),
    )
    results = Store(store)
    options = EngineOptions(
        engine, workers, address, timeout, memory, "60s", RETRIES, gpus_per_trial
    )
    with (
        tracker(results, wandb, wandb_project, config.name, JobType.TUNING) as tracked,
        redirect_stdout(sys.stderr) if json else nullcontext(),
    ):
        found = search(config, results, options, storage, tracked)
    if budget < found.settings.budget and not json:
        say(f"{config.name} was searched with --budget {found.settings.budget} before: using that")
    if json:
        print_json(found.model_dump(mode="json"))
        return
    for method, one in found.methods.items():
        _print_method(found, method, one)
    if found.settings.final_seeds:
        _print_final(found, results)
    place = storage or journal(results, config.name)
    say(f"Document: {results.location}/tuning/{config.name}.json")
    say(f"All trials: optuna-dashboard {place}")
    if any(one.winner is None for one in found.methods.values()):
        raise typer.Exit(1)


def _split_recipe(given: Sequence[str]) -> tuple[list[str], dict[str, object]]:
    """Return the recipe fields to tune, and the values of those that are set."""
    fixed = settings([text for text in given if "=" in text], "--recipe")
    tuned = [name for text in given if "=" not in text for name in _words(text, "--recipe")]
    for field in tuned:
        if field in fixed or tuned.count(field) > 1:
            raise InvalidInput(f"--recipe {field} is given twice: tune it or set it, once")
    return tuned, fixed


def _words(text: str, option: str) -> list[str]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words:
        raise InvalidInput(f"{option} {text!r}: the list is empty; give names, separated by commas")
    return words


def _print_method(tuning: "Tuning", method: str, result: "MethodResult") -> None:
    states = [trial.state for trial in result.trials]
    counts = ", ".join(f"{states.count(s)} {s}" for s in dict.fromkeys(states))
    say(f"{method}: {len(result.trials)} trials ({counts}), on validation data only")
    if tuning.settings.pruner != "none" and result.spent is not None:
        say(
            f"  {result.pruned} of {result.tried} pruned early; training spent: that of "
            f"{result.spent:.1f} whole trials, of a budget of {tuning.settings.budget}"
        )
    if result.best is None:
        say("  no trial was completed: `resonance status` shows what failed and why")
        return
    default = result.trials[0]
    shown = [("winner", result.best)] + ([("default", default)] if default.values else [])
    goals = tuning.settings.objectives
    if len(goals) > 1:
        by_number = {trial.number: trial for trial in result.trials}
        shown = [(f"front {n}", by_number[n]) for n in result.front] + shown[1:]
    rows = [
        [what, str(one.number), *(f"{v:.5g}" for v in one.values), _configuration(one)]
        for what, one in shown
    ]
    print_table("", ["", "trial", *goals, "settings"], rows)
    if result.importance:
        most = list(result.importance.items())[:5]
        say("  importance: " + ", ".join(f"{n} {part:.0%}" for n, part in most))


def _configuration(trial: Any) -> str:
    from suite.experiments.trial_config import show

    changed = {**trial.hyperparameters, **trial.recipe}
    values = {n: float(f"{v:.4g}") if isinstance(v, float) else v for n, v in changed.items()}
    return ", ".join(f"{n}={show(v)}" for n, v in values.items()) or "the defaults"


def _print_final(tuning: "Tuning", store: Store) -> None:
    """Print winner against default on the fresh seeds, whichever is better."""
    from leaderboard.board_columns import metric_of
    from leaderboard.score_text import difference_texts, heading
    from leaderboard.statistics.paired_comparisons import compare, of_values
    from leaderboard.terms import uncounted

    metrics: dict[str, Column] = {}
    columns = ["method", "task", "s", "zeros", "n", "tuned", "default"]
    columns += ["difference", "95 % interval", "verdict"]
    rows, failures = [], 0
    for method, result in tuning.methods.items():
        if result.final is None or result.winner is None:
            continue
        if result.final.winner == result.final.default:
            say(f"{method}: no configuration is better than the default")
            continue
        ours, lost = _results(store, result.final.winner)
        theirs, also_lost = _results(store, result.final.default)
        failures += lost + also_lost
        for what, keys in (("winner", result.final.winner), ("default", result.final.default)):
            done = [record for record in store.read_each(keys)[0] if record.status == "done"]
            if idle := [reason for record in done if (reason := uncounted(record))]:
                say(f"{method}: {len(idle)} runs of the {what} do not count: {idle[0]}")
        for cell in ours.keys() & theirs.keys():
            pair = (ours[cell], theirs[cell])
            metric = metric_of(cell[0], next(iter(ours[cell].values())).metric)
            metrics[cell[0]] = metric
            tuned, default = (
                {
                    seed: metric.sign * record.metrics[metric.name]
                    for seed, record in records.items()
                    if metric.name in record.metrics
                }
                for records in pair
            )
            zeros = [_percent([record.sparsity for record in records.values()]) for records in pair]
            comparison = compare(tuned, default)
            row = [method, cell[0], f"{cell[1]:g}", " / ".join(zeros), str(comparison.n)]
            row += [_mean_text(metric, x.values()) for x in (tuned, default)]
            row += difference_texts(metric, of_values(comparison, metric.sign).difference)
            row.append(comparison.verdict("tuned", "default"))
            rows.append(row)
    if rows:
        found = dict.fromkeys(map(heading, metrics.values()))
        what = " or ".join(found)
        title = f"{what[0].upper()}{what[1:]} on fresh seeds; zeros: realised sparsity in %, "
        print_table(f"{title}tuned / default", columns, sorted(rows))
    if failures:
        say(f"{failures} of these trials failed: `resonance status` says why")


def _mean_text(metric: "Column", scores: Collection[float]) -> str:
    from leaderboard.score_text import value_text

    return value_text(metric, metric.sign * sum(scores) / len(scores)) if scores else ""


def _results(
    store: Store, keys: Sequence[str]
) -> tuple[dict[tuple[str, float], dict[int, Record]], int]:
    """Return the records by (task, sparsity) and seed, and how many trials failed or lack one.

    Without those that do not count: the method never updated connectivity, or missed its budget.
    """
    from leaderboard.terms import uncounted

    done = [record for record in store.read_each(keys)[0] if record.status == "done"]
    by_cell: dict[tuple[str, float], dict[int, Record]] = {}
    for record in (one for one in done if not uncounted(one)):
        cell = (record.trial["task"], record.trial["sparsity"])
        by_cell.setdefault(cell, {})[record.trial["seed"]] = record
    return by_cell, len(keys) - len(done)


def _percent(values: Collection[float]) -> str:
    return f"{100 * sum(values) / len(values):.2f}"
