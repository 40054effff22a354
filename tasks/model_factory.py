"""Builds a task's model from its declaration."""

import functools
import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from suite.core.declarations import unknown
from suite.core.discovery import load
from suite.core.errors import InvalidInput
from tasks.models import from_timm
from tasks.recipe import Recipe
from tasks.task import Dataset, Task


def make_model(task: Task, dataset: Dataset, width: float = 1.0) -> nn.Module:
    """Return a task's model, its hidden layers `width` times as wide as the task says.

    A task names a function or a class of modules that builds the model. It is called with the
    task's model_options, and with the dataset's `shape` and number of `classes` if it has
    parameters of these names. A task in a file may name another file in the same folder
    (``my_net.py:Net``); ``timm:NAME`` is a model of timm.

    Raises:
        InvalidInput: it cannot be imported, does not accept these options, does not return a
            module, or has no parameter `width` although `width` is not 1.
    """
    factory = _factory(task)
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
        raise InvalidInput(_refused(task, signature, options, error)) from error
    try:
        model = factory(**options)
    except (TypeError, ValueError) as error:
        raise InvalidInput(
            f"task {task.name}: {task.model} cannot build the model: {error}"
        ) from error
    if not isinstance(model, nn.Module):
        raise InvalidInput(
            f"task {task.name}: {task.model} builds a {type(model).__name__}, not a torch.nn.Module"
        )
    return model


def _refused(
    task: Task, signature: inspect.Signature, options: Mapping[str, Any], error: TypeError
) -> str:
    """Return why a model cannot be called with these options, with the nearest names."""
    known = [name for name in signature.parameters if name not in ("shape", "classes", "width")]
    takes_any = any(one.kind is one.VAR_KEYWORD for one in signature.parameters.values())
    for name in task.model_options:
        if name not in signature.parameters and not takes_any:
            return f"task {task.name}: model_options: {unknown('option', name, known)}"
    return f"task {task.name}: {task.model} cannot be called with {', '.join(options)}: {error}"


def libraries(task: Task) -> tuple[str, ...]:
    """Return the libraries whose version decides what a task's model is, for the record."""
    return ("timm",) if task.model.startswith(from_timm.PREFIX) else ()


def _factory(task: Task) -> Any:
    if task.model.startswith(from_timm.PREFIX):
        return functools.partial(from_timm.create, task.model.removeprefix(from_timm.PREFIX))
    return load(task.model_reference, task.origin)


def to_device(model: nn.Module, device: torch.device, recipe: Recipe) -> nn.Module:
    """Return the model on `device`, in the memory format of the recipe."""
    if recipe.channels_last:
        return model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model.to(device)
