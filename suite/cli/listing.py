"""What `resonance list` and `resonance info` say, from the declarations alone."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from suite.core.declarations import Hyperparameter, unknown
from suite.core.errors import InvalidInput
from suite.experiments import registry
from suite.experiments.study import load_study, shipped_studies
from suite.experiments.trial_config import show

if TYPE_CHECKING:
    from tasks.task import Dataset, Task


def listing(kind: str) -> tuple[list[str], list[list[str]]]:
    """Return the columns and rows of one kind: tasks, methods, datasets, studies, tables ….

    Raises:
        InvalidInput: there is no such kind.
    """
    if kind == "methods":
        rows = [[m.name, m.family, m.summary, m.source] for m in registry.methods()]
        return ["name", "family", "summary", "source"], rows
    if kind == "tasks":
        rows = [[t.name, t.title, t.source] for t in registry.tasks()]
        return ["name", "title", "source"], rows
    if kind == "datasets":
        return ["name", "title", "examples", "classes", "source"], [
            [d.name, d.title, f"{d.train}+{d.test}", str(d.classes), d.source]
            for d in registry.datasets()
        ]
    if kind == "studies":
        studies = [load_study(name) for name in shipped_studies()]
        rows = [[s.name, str(len(s.trials())), s.question] for s in studies]
        return ["name", "trials", "question"], rows
    if kind == "tables":
        from leaderboard.reproduction.published_results import table, tables

        found = [table(name) for name in tables()]
        return ["name", "title", "study", "needs"], [
            [t.name, t.title, t.study or "none: computed", t.needs or "a CPU"] for t in found
        ]
    if kind == "trainers":
        rows = [[t.name, t.summary, t.source] for t in registry.trainers()]
        return ["name", "summary", "source"], rows
    kinds = ["tasks", "methods", "datasets", "studies", "tables", "trainers"]
    raise InvalidInput(unknown("kind", kind, kinds, see="list --help"))


def information(name: str) -> tuple[dict[str, str], list[dict[str, str]]]:
    """Return what is known of a method, task, dataset or study, and its settings.

    Raises:
        InvalidInput: nothing has that name.
    """
    if name in registry.methods():
        found: Any = registry.methods()[name]
        words = ["name", "title", "summary", "family", "source", "cost", "revision"]
    elif name in registry.tasks():
        task = registry.tasks()[name]
        return task_facts(task), [_parameter(p) for p in task.hyperparameters]
    elif name in registry.datasets():
        found = registry.datasets()[name]
        words = ["name", "title", "shape", "classes", "train", "test", "source", "licence"]
    elif name in shipped_studies():
        chosen = load_study(name)
        return {
            "name": chosen.name,
            "question": chosen.question,
            "tasks": ", ".join(chosen.tasks),
            "methods": ", ".join(entry.name for entry in chosen.methods),
            "sparsities": ", ".join(f"{s:g}" for s in chosen.sparsities),
            "seeds": ", ".join(map(str, chosen.seeds)),
            "trials": str(len(chosen.trials())),
        }, []
    else:
        every = [d.name for kind in (registry.methods(), registry.tasks(), registry.datasets())
                 for d in kind]  # fmt: skip
        names = every + shipped_studies()
        see = "list tasks" if "/" in name else "list methods"
        raise InvalidInput(unknown("name", name, names, see=see, declared=True))
    content = {word: str(getattr(found, word)) for word in words}
    return content, [_parameter(p) for p in getattr(found, "hyperparameters", ())]


def _parameter(p: Hyperparameter) -> dict[str, str]:
    return {
        "name": p.name,
        "default": show(p.default),
        "allowed": p.allowed(),
        "meaning": p.meaning + (f" ({p.unit})" if p.unit else ""),
        "source": p.source,
    }


def task_facts(task: "Task") -> dict[str, str]:
    """Return what is known of a task: its data, shapes, model, size and recipe.

    The model is built for it, without memory for its weights, so this imports torch.
    """
    dataset = registry.datasets()[task.dataset]
    return {
        "name": task.name,
        "title": task.title,
        "dataset": f"{dataset.name}: {dataset.title}",
        "examples": _examples(dataset),
        "input": _input(dataset),
        "output": f"{dataset.classes} "
        + ("characters at every place" if dataset.kind == "text" else "classes"),
        "model": task.model,
        "options": _settings(task.model_options),
        **_size(task, dataset),
        "recipe": _settings(task.recipe),
        "metric": task.metric,
        "source": task.source,
        "data source": dataset.source,
        "licence": dataset.licence or "not stated",
        "revision": str(task.revision),
    }


def _examples(dataset: "Dataset") -> str:
    what = {"text": "windows of text", "stream": "images, streamed from files"}
    kind = what.get(dataset.kind, "in memory")
    return f"{dataset.train:,} for training, {dataset.test:,} for test ({kind})"


def _input(dataset: "Dataset") -> str:
    shape = "×".join(map(str, dataset.shape))
    return f"{shape} characters" if dataset.kind == "text" else shape


def _settings(values: Any) -> str:
    def text(value: Any) -> str:
        whole = isinstance(value, list | tuple)
        return ",".join(map(str, value)) if whole else show(value)

    return " ".join(f"{name}={text(value)}" for name, value in values.items()) or "-"


def _size(task: "Task", dataset: "Dataset") -> dict[str, str]:
    """Return the model's number of parameters and operations; why not, where that fails."""
    import torch

    from suite.sparsity.flops import measure_forward
    from tasks.build import make_model

    kind = torch.int64 if dataset.kind == "text" else torch.float32
    try:
        with torch.device("meta"):
            model = make_model(task, dataset)
            flops = measure_forward(model, torch.zeros(1, *dataset.shape, dtype=kind))
    except InvalidInput as error:
        return {"parameters": f"not known: {error}"}
    except Exception as error:  # whatever a plug-in's model does
        line = (str(error).splitlines() or [type(error).__name__])[0]
        return {"parameters": f"not known: {line}"}
    parameters = sum(p.numel() for p in model.parameters())
    weights = sum(w.numel() for n, w in model.named_parameters() if n.removesuffix(".weight")
                  in flops.layers)  # fmt: skip
    return {
        "parameters": f"{parameters:,}, of them {weights:,} weights that can be pruned",
        "FLOPs": f"{flops.dense:,.0f} per example, forward (two per multiply-add)",
    }


def with_task_file(path: Path, task: str, method: str | None) -> tuple[str, str | None]:
    """Return the task and the method that were meant, with what a task file declares in use.

    Where only one word was given it is the method, and the file's only task is meant.

    Raises:
        InvalidInput: the file cannot be used, or declares not just one task.
    """
    before = {t.name for t in registry.tasks()}
    registry.use_plugins([str(path)])
    if method is not None:
        return task, method
    declared = [t.name for t in registry.tasks() if t.name not in before]
    if len(declared) != 1:
        raise InvalidInput(
            f"task file {path} declares {len(declared)} tasks ({', '.join(declared) or 'none'}): "
            "name one before the method"
        )
    return declared[0], task


def tasks_page() -> str:
    """Return docs/tasks.md: every dataset, task and recipe field, from the declarations."""
    lines = [
        "# Tasks",
        "",
        "<!-- Generated from the declarations: `make docs`. -->",
        "",
        "`resonance info TASK` shows one of them with its whole recipe; every recipe field can be",
        "overridden (`--recipe name=value`). `@short` is a recipe for trying out.",
        "",
        "## Datasets",
        "",
        "| name | what | input | outputs | examples | source |",
        "|---|---|---|---|---|---|",
    ]
    for d in registry.datasets():
        cells = [f"`{d.name}`", d.title, _input(d), str(d.classes), _examples(d), d.source]
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        "## Tasks",
        "",
        "| name | parameters | FLOPs per example | recipe, beside the defaults | source |",
        "|---|---|---|---|---|",
    ]
    for task in registry.tasks():
        size = _size(task, registry.datasets()[task.dataset])
        numbers = [size[word].split(" ")[0].strip(",") for word in ("parameters", "FLOPs")]
        cells = [f"`{task.name}`", *numbers, f"`{_settings(task.recipe)}`", task.source]
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        "## Recipe fields",
        "",
        "| field | default | allowed | meaning | source |",
        "|---|---|---|---|---|",
    ]
    from tasks.recipe import RECIPE

    for told in map(_parameter, RECIPE):
        default = f"`{told['default']}`" if told["default"] else ""
        cells = [f"`{told['name']}`", default, told["allowed"], told["meaning"], told["source"]]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
