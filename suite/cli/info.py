"""`resonance info`: what a declaration says about a method, task, dataset, study or group."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from suite.cli import completion
from suite.cli.options import JsonOption
from suite.core.code_files import is_own_origin
from suite.core.console import print_json, print_table, say
from suite.core.declarations import Hyperparameter, Method, unknown
from suite.core.errors import InvalidInput, first_line
from suite.experiments import registry
from suite.experiments.presets import equation_of, preset_of, preset_settings
from suite.experiments.study import Study, load_study, shipped_groups, shipped_studies
from suite.experiments.study_group import load_group
from suite.experiments.trial_config import show

if TYPE_CHECKING:
    from tasks.task import Dataset, Task


@dataclass(frozen=True)
class Information:
    """What is known about something that has a name.

    Attributes:
        facts: what it is, in words.
        hyperparameters: of a method or task: the facts about each (`parameter_facts`).
        studies: of a group: the name, number of trials and question of each.
    """

    facts: dict[str, str]
    hyperparameters: Sequence[dict[str, str]] = ()
    studies: Sequence[dict[str, str]] = ()


def info(
    name: Annotated[
        str,
        typer.Argument(
            help="A method, a task, a dataset, a study or a group of studies.",
            autocompletion=completion.all_names,
        ),
    ],
    json: JsonOption = False,
) -> None:
    """Describe a method, task, dataset or study: what it is, its source, and its settings.

    Of a group of studies, its studies are listed.
    """
    about = information(name)
    if json:
        studies = {"studies": about.studies} if about.studies else {}
        print_json({**about.facts, "hyperparameters": about.hyperparameters, **studies})
        return
    for key, value in about.facts.items():
        if value:
            say(f"{key:<12} {value}")
    for rows in (about.hyperparameters, about.studies):
        if rows:
            say("")
            columns = list(rows[0])
            cells = [[row[column] for column in columns] for row in rows]
            print_table("", columns, cells, footnotes=("source",))


def information(name: str) -> Information:
    """Return what is known about a method, task, dataset, study or group.

    Raises:
        InvalidInput: nothing has that name.
    """
    if name in registry.methods():
        declaration: Any = registry.methods()[name]
        words = ["name", "title", "summary", "family", "source", "cost", "revision"]
    elif name in registry.tasks():
        task = registry.tasks()[name]
        return Information(task_facts(task), [parameter_facts(p) for p in task.hyperparameters])
    elif name in registry.datasets():
        declaration = registry.datasets()[name]
        words = ["name", "title", "shape", "classes", "train", "test", "source", "licence"]
    elif name in shipped_studies():
        return Information(study_facts(load_study(name)))
    elif name in shipped_groups():
        group = load_group(name)
        studies = [study_facts(study) for study in group.studies]
        columns = ("name", "trials", "question")
        return Information(
            {
                "name": group.name,
                "question": group.question,
                "tasks": ", ".join(group.task_names),
                "trials": str(len(group.trials_by_key())),
            },
            studies=[{column: facts[column] for column in columns} for facts in studies],
        )
    else:
        registries = (registry.methods(), registry.tasks(), registry.datasets())
        names: dict[str, object] = {
            declared.name: declared for kind in registries for declared in kind
        }
        names |= dict.fromkeys([*shipped_studies(), *shipped_groups()])
        see = "list tasks" if "/" in name else "list methods"
        raise InvalidInput(unknown("name", name, names, see=see, declared=True))
    content = {word: str(getattr(declaration, word)) for word in words}
    if is_own_origin(declaration.origin):
        content["declared in"] = declaration.origin
    if isinstance(declaration, Method):
        if equation := equation_of(declaration):
            content["equation"] = equation
        if (base := preset_of(declaration)) is not None:
            own = ", ".join(preset_settings(declaration, base))
            content["preset of"] = f"{base.name}, with {own}"
    parameters = getattr(declaration, "hyperparameters", ())
    return Information(content, [parameter_facts(p) for p in parameters])


def study_facts(study: Study) -> dict[str, str]:
    """Return the facts about a study: its question, what it compares, its number of trials."""
    return {
        "name": study.name,
        "question": study.question,
        "tasks": ", ".join(study.task_names),
        "methods": ", ".join(entry.name for entry in study.methods),
        "sparsities": ", ".join(f"{s:g}" for s in study.sparsities),
        "seeds": ", ".join(map(str, study.seeds)),
        "trials": str(len(study.trials())),
    }


def parameter_facts(p: Hyperparameter) -> dict[str, str]:
    """Return a hyperparameter's declaration as text."""
    return {
        "name": p.name,
        "default": show(p.default),
        "allowed": p.allowed(),
        "meaning": p.meaning + (f" ({p.unit})" if p.unit else ""),
        "source": p.source,
    }


def task_facts(task: "Task") -> dict[str, str]:
    """Return the facts about a task: its data, shapes, model, size and recipe.

    This imports torch: the model is built on the meta device, which allocates no weights.
    """
    dataset = registry.datasets()[task.dataset]
    return {
        "name": task.name,
        "title": task.title,
        "dataset": f"{dataset.name}: {dataset.title}",
        "examples": describe_examples(dataset),
        "input": describe_input(dataset),
        "output": describe_output(dataset),
        "model": task.model,
        "options": describe_settings(task.model_options),
        **model_size(task, dataset),
        "recipe": describe_settings(task.recipe),
        "metric": task.metric,
        "source": task.source,
        "data source": dataset.source,
        "licence": dataset.licence or "not stated",
        "revision": str(task.revision),
    }


def describe_examples(dataset: "Dataset") -> str:
    """Return how many examples a dataset has, and where they are held."""
    what = {"text": "windows of text", "stream": "images, streamed from files"}
    kind = what.get(dataset.kind, "in memory")
    return f"{dataset.train:,} for training, {dataset.test:,} for test ({kind})"


def describe_output(dataset: "Dataset") -> str:
    """Return what a model predicts."""
    if dataset.regression:
        return f"{dataset.classes} real target{'s' * (dataset.classes > 1)}"
    at_every_place = "characters at every place"
    return f"{dataset.classes} {at_every_place if dataset.kind == 'text' else 'classes'}"


def describe_input(dataset: "Dataset") -> str:
    """Return the shape of one example."""
    shape = "×".join(map(str, dataset.shape))
    return f"{shape} characters" if dataset.kind == "text" else shape


def describe_settings(values: Any) -> str:
    """Return settings as they are written on the command line."""
    return " ".join(f"{name}={show(value)}" for name, value in values.items()) or "-"


def model_size(task: "Task", dataset: "Dataset") -> dict[str, str]:
    """Return the number of parameters and FLOPs of a task's model, or why it cannot be built."""
    import torch

    from suite.sparsity.flops import measure_forward
    from suite.sparsity.prunable import Coverage
    from tasks.model_factory import make_model

    kind = torch.int64 if dataset.kind == "text" else torch.float32
    try:
        with torch.device("meta"):
            model = make_model(task, dataset)
            example = torch.zeros(1, *dataset.shape, dtype=kind)
            flops = measure_forward(model, example, Coverage(task.prunable))
    except Exception as error:  # a plug-in's model may raise anything
        return {"parameters": f"not known: {first_line(error)}"}
    parameters = sum(p.numel() for p in model.parameters())
    weights = sum(
        parameter.numel()
        for name, parameter in model.named_parameters()
        if name.removesuffix(".weight") in flops.layers
    )
    return {
        "parameters": f"{parameters:,}, of them {weights:,} weights that can be pruned",
        "FLOPs": f"{flops.dense:,.0f} per example, forward (two per multiply-add)",
    }
