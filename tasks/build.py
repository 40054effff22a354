"""From a task's declaration to its model."""

import inspect
from pathlib import Path
from typing import Any

import torch
from torch import nn

from suite.core.discovery import load
from suite.core.errors import InvalidInput
from tasks.recipe import Recipe
from tasks.task import Dataset, Task


def make_model(task: Task, dataset: Dataset, width: float = 1.0) -> nn.Module:
    """Return a task's model, its hidden layers `width` times as wide as the task says.

    A task names what builds the model: a function, or any class of modules. It is called with
    the task's model_options, and with the dataset's `shape` and number of `classes` if it has
    parameters of these names. A task in a file may name another file beside it
    (``my_net.py:Net``).

    Raises:
        InvalidInput: it cannot be imported, does not take these options, builds no module, or
            takes no `width` where another one than 1 is asked for.
    """
    factory = load(_reference(task), task.origin)
    try:
        signature = inspect.signature(factory)
    except (TypeError, ValueError) as error:
        raise InvalidInput(
            f"task {task.name}: {task.model} is neither a function nor a class of modules"
        ) from error
    parameters = signature.parameters
    given: dict[str, Any] = {"shape": dataset.shape, "classes": dataset.classes}
    options = {name: value for name, value in given.items() if name in parameters}
    options |= task.model_options
    if width != 1:
        if "width" not in parameters:
            raise InvalidInput(
                f"task {task.name}: the model's widths cannot be scaled: {task.model} takes no "
                "'width'; give it one, or leave out methods that scale the model"
            )
        options["width"] = width * options.get("width", 1.0)
    try:
        signature.bind(**options)
    except TypeError as error:
        raise InvalidInput(
            f"task {task.name}: {task.model} cannot be called with {', '.join(options)}: {error}"
        ) from error
    try:
        model = factory(**options)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"task {task.name}: {task.model} builds no model: {error}") from error
    if not isinstance(model, nn.Module):
        raise InvalidInput(
            f"task {task.name}: {task.model} builds a {type(model).__name__}, not a torch.nn.Module"
        )
    return model


def to_device(model: nn.Module, device: torch.device, recipe: Recipe) -> nn.Module:
    """Return the model on `device`, its weights stored as the recipe says."""
    if recipe.channels_last:
        return model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model.to(device)


def _reference(task: Task) -> str:
    """Return the task's model with a file's path made absolute, from beside the task's own."""
    module, _, name = task.model.rpartition(":")
    if module.endswith(".py") and not Path(module).is_absolute():
        return f"{Path(task.origin).parent / module}:{name}"
    return task.model


def own_files(task: Task, dataset: Dataset) -> list[Path]:
    """Return the files of code or declarations, outside of packages, that a task is made from."""
    references = [_reference(task), *(v for v in dataset.options.values() if isinstance(v, str))]
    named = [reference.rpartition(":")[0] for reference in references]
    files = {Path(name) for name in (*named, task.origin, dataset.origin)}
    return sorted(file for file in files if file.suffix in (".py", ".yaml", ".yml"))
