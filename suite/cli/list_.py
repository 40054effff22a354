"""`resonance list`: the trials and studies of a store; all methods, tasks, datasets and others."""

from collections.abc import Collection
from typing import Annotated

import typer

from suite.cli import completion
from suite.cli.options import DEFAULT_STORE, JsonOption, StoreOption, TaskOptions
from suite.core.console import complain, print_json, print_table
from suite.core.declarations import unknown
from suite.core.errors import InvalidInput
from suite.experiments import registry
from suite.results.store import Store

TRIALS, TASKS = "trials", "tasks"
TRIAL_COLUMNS = ["key", "task", "method", "sparsity", "seed", "status", "metric", "seconds", "when"]
COLUMNS = {
    TRIALS: tuple(TRIAL_COLUMNS),
    "studies": ("name", "trials", "question", "kind", "since"),
    TASKS: ("name", "title", "source"),
    "methods": ("name", "family", "summary", "source"),
    "datasets": ("name", "title", "examples", "classes", "source"),
    "tables": ("name", "title", "study", "needs"),
    "trainers": ("name", "summary", "source"),
    "benchmarks": ("name", "about", "minutes"),
}
"""What is listed of each kind."""
KINDS = completion.completer(lambda: dict.fromkeys(COLUMNS, ""))
DATASETS = completion.completer(
    lambda: dict.fromkeys((_parts(task.name)[0] for task in registry.tasks()), "")
)
MODELS = completion.completer(
    lambda: dict.fromkeys((_parts(task.name)[1] for task in registry.tasks()), "")
)


def list_(
    kind: Annotated[
        str,
        typer.Argument(metavar="KIND", help=f"{', '.join(COLUMNS)}.", autocompletion=KINDS),
    ],
    store: StoreOption = DEFAULT_STORE,
    study: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Trials of this study or group of studies, missing ones as well.",
            autocompletion=completion.studies_and_groups,
        ),
    ] = None,
    task: TaskOptions = None,
    method: Annotated[
        list[str] | None,
        typer.Option("--method", help="A method (repeatable).", autocompletion=completion.methods),
    ] = None,
    status: Annotated[
        list[str] | None,
        typer.Option("--status", help="done, failed, running, missing or damaged (repeatable)."),
    ] = None,
    sparsity: Annotated[
        list[float] | None, typer.Option("--sparsity", "-s", help="A sparsity (repeatable).")
    ] = None,
    seed: Annotated[list[int] | None, typer.Option("--seed", help="A seed (repeatable).")] = None,
    sort: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Sort trials by this column; default: when."),
    ] = None,
    reverse: Annotated[bool, typer.Option("--reverse", help="Sort the other way round.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="List at most this many trials.")] = None,
    dataset: Annotated[
        list[str] | None,
        typer.Option(
            "--dataset", help="Tasks on this dataset (repeatable).", autocompletion=DATASETS
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option("--model", help="Tasks of this model (repeatable).", autocompletion=MODELS),
    ] = None,
    json: JsonOption = False,
) -> None:
    """List the trials of a store, or all studies, tasks, methods, benchmarks and others.

    --dataset and --model choose tasks. The other options, but for --store and --json, choose and
    sort trials. Values (metric, seconds, when)
    are sorted from the largest, other columns from the first.
    """
    if kind not in COLUMNS:
        raise InvalidInput(unknown("kind", kind, COLUMNS, see="list --help"))
    given: dict[str, object] = {
        "--study": study,
        "--task": task,
        "--method": method,
        "--status": status,
    }
    given |= {"--sparsity": sparsity, "--seed": seed, "--sort": sort, "--reverse": reverse}
    extra = [option for option, value in (given | {"--limit": limit}).items() if value]
    if extra and kind != TRIALS:
        raise InvalidInput(f"{', '.join(extra)}: only for `resonance list {TRIALS}`; leave it out")
    if kind != TASKS and (dataset or model):
        option = "--dataset" if dataset else "--model"
        raise InvalidInput(f"{option}: only for `resonance list {TASKS}`; leave it out")
    columns = list(COLUMNS[kind])
    if kind == TRIALS:
        from suite.cli.list_trials import TrialFilter, data, explain, listed_trials, table_rows

        chosen = TrialFilter(
            study, task or (), method or (), status or (), sparsity or (), seed or ()
        )
        found = listed_trials(Store(store), chosen, sort or "when", limit, reverse=reverse)
        explain(found)
        if json:
            print_json(data(found))
            return
        if not found:
            complain("no trial matches: leave an option out")
        rows = table_rows(found)
    elif kind == TASKS:
        rows = _tasks(dataset or (), model or ())
        if not rows:
            complain("no task has both such a dataset and such a model: leave an option out")
    else:
        rows = _studies(Store(store)) if kind == "studies" else _rows(kind)
    if json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        print_table("", columns, rows, footnotes=("source",))


def _tasks(datasets: Collection[str], models: Collection[str]) -> list[list[str]]:
    """Return the tasks on these datasets and of these models; all, if none are named.

    Raises:
        InvalidInput: no task has such a dataset or model.
    """
    tasks = registry.tasks()
    for kind, names, part in (("dataset", datasets, 0), ("model", models, 1)):
        known = dict.fromkeys(_parts(task.name)[part] for task in tasks)
        for name in names:
            if name not in known:
                raise InvalidInput(unknown(kind, name, list(known), see=f"list {TASKS}"))
    return [
        [getattr(task, column) for column in COLUMNS[TASKS]]
        for task in tasks
        for dataset, model in (_parts(task.name),)
        if (not datasets or dataset in datasets) and (not models or model in models)
    ]


def _parts(task: str) -> tuple[str, str]:
    """Return the dataset and the model of a task's name, without the name of its recipe."""
    dataset, _, model = task.partition("@")[0].partition("/")
    return dataset, model


def _studies(store: Store) -> list[list[str]]:
    """Return the shipped studies and groups of them, then the studies that the store remembers."""
    from suite.experiments.study import load_study, shipped_groups, shipped_studies
    from suite.experiments.study_group import load_group
    from suite.results.stored_studies import stored_studies

    studies, damaged = stored_studies(store)
    for broken in damaged:
        complain(f"left out: {broken.reason}")
    remembered = {one.name: one for one in studies}
    rows = []
    for name in shipped_studies():
        one, before = load_study(name), remembered.get(name)
        ran = remembered.pop(name).updated if before is not None and before.shipped else ""
        rows.append([one.name, str(len(one.trials())), one.question, "shipped", _minute(ran)])
    for name in shipped_groups():
        group = load_group(name)
        rows.append([name, str(len(group.trials_by_key())), group.question, "group", ""])
    rows.sort(key=lambda row: row[0])
    for own in remembered.values():
        kind = "ablation" if own.varies else "study"
        rows.append([own.name, str(len(own.trials)), own.question, kind, _minute(own.updated)])
    return rows


def _minute(time: str) -> str:
    return time[:16].replace("T", " ")


def _rows(kind: str) -> list[list[str]]:
    match kind:
        case "datasets":
            return [
                [d.name, d.title, f"{d.train}+{d.test}", str(d.classes), d.source]
                for d in registry.datasets()
            ]
        case "tables":
            from leaderboard.reproduction.published_results import table, tables

            shown = [table(name) for name in tables()]
            return [
                [t.name, t.title, t.study or "none: computed", t.needs or "a CPU"] for t in shown
            ]
        case "benchmarks":
            from suite.bench.catalogue import BENCHMARKS

            return [[one.name, one.about, f"{one.minutes:g}"] for one in BENCHMARKS]
    declared = getattr(registry, kind)()
    return [[getattr(one, column) for column in COLUMNS[kind]] for one in declared]
