"""A trial's network: its initial weights, its size, and whether it fits the data."""

import functools
from typing import NamedTuple

import torch
from torch import Tensor, nn

from suite.core.errors import InvalidInput, first_line
from suite.core.seeds import derive_seed
from suite.evaluation.scores import predict
from suite.experiments import registry
from suite.sparsity.flops import ForwardFlops, measure_forward
from suite.sparsity.prunable import Coverage, covered_weights
from suite.training.context import TrialContext
from tasks import model_factory
from tasks.data import Split
from tasks.task import Dataset, Task

DRAWN_AGAIN = "weights, drawn again"
"""Purpose of the initial weights that a method asks for beside the first ones."""


def make_model(context: TrialContext, width: float = 1.0, purpose: str = "weights") -> nn.Module:
    """Return the trial's model on the CPU: its initial weights depend on the seed alone.

    Args:
        context: of the trial; only its task, dataset and seed are used.
        width: factor on the widths of the hidden layers.
        purpose: names the random stream, so that weights can be drawn a second time.

    Raises:
        InvalidInput: another width than 1, and the model's factory takes none.
    """
    torch.manual_seed(derive_seed(context.trial.seed, purpose))
    return model_factory.make_model(context.task, context.dataset, width)


CHAINED = (nn.Linear, nn.Conv2d, nn.ReLU, nn.MaxPool2d, nn.Flatten)
"""Modules that give a constant output for a constant input."""


class Network(NamedTuple):
    """What of a model follows from its task and width.

    Attributes:
        shapes: of the prunable weights by name.
        forward: FLOPs.
        tensors: bytes of each parameter and buffer by name, a shared one once.
        chain: its Linear and Conv2d layers in order, if it computes one after the other and nothing
            else: where one gives a constant, so does the network. Otherwise empty.
    """

    shapes: dict[str, tuple[int, ...]]
    forward: ForwardFlops
    tensors: dict[str, int]
    chain: tuple[str, ...] = ()


@functools.lru_cache(maxsize=64)
def network_of(task: str, width: float = 1.0, device: str = "cpu") -> Network:
    """Return the shapes and FLOPs of a task's network; on device ``meta`` no memory is allocated.

    Raises:
        InvalidInput: there is no such task, or its model does not take this width.
    """
    declared = registry.tasks()[task]
    dataset = registry.datasets()[declared.dataset]
    dtype = torch.int64 if dataset.kind == "text" else torch.float32
    with torch.device(device):
        model = model_factory.make_model(declared, dataset, width)
        example = torch.zeros((1, *dataset.shape), dtype=dtype)
        forward = measure_forward(model, example, coverage_of(declared))
    shapes = {
        weight.name: tuple(weight.parameter.shape)
        for weight in covered_weights(model, coverage_of(declared))
        if weight.name in forward.layers
        and weight.parameter is not None
        and weight.parameter.requires_grad
    }
    return Network(shapes, forward, _tensors(model), _chain(model))


def _tensors(model: nn.Module) -> dict[str, int]:
    first = {id(value): name for name, value in reversed(_state(model).items())}
    return {name: value.nbytes for name, value in _state(model).items() if first[id(value)] == name}


def _state(model: nn.Module) -> dict[str, Tensor]:
    return dict(model.state_dict(keep_vars=True))


def _chain(model: nn.Module) -> tuple[str, ...]:
    parts = list(model.named_children())
    if type(model) is not nn.Sequential or any(type(part) not in CHAINED for _, part in parts):
        return ()
    return tuple(name for name, part in parts if isinstance(part, nn.Linear | nn.Conv2d))


def count_parameters(context: TrialContext, width: float) -> tuple[int, int]:
    """Return how many parameters the model has at a width, and how many prunable ones."""
    with torch.device("meta"):
        model = make_model(context, width)
    prunable = {
        id(weight.parameter): weight.parameter.numel()
        for weight in covered_weights(model, coverage_of(context.task))
        if weight.parameter is not None
    }
    return sum(p.numel() for p in model.parameters()), sum(prunable.values())


def coverage_of(task: Task) -> Coverage:
    """Return which weights of a task's model may be pruned."""
    return Coverage(task.prunable)


def check_model(model: nn.Module, example: Split, context: TrialContext) -> ForwardFlops:
    """Send one example through the model; return its FLOPs.

    Raises:
        InvalidInput: it does not take the dataset's inputs, or does not give one output per class
            or real target.
    """
    try:
        outputs = predict(model, example)
        flops = measure_forward(model, example.x, coverage_of(context.task))
    except (RuntimeError, ValueError, TypeError, IndexError, AssertionError) as error:
        raise InvalidInput(
            f"task {context.task.name}: the model does not take {context.dataset.name}'s inputs of "
            f"shape {context.dataset.shape}: {first_line(error)}"
        ) from error
    check_outputs(context.task, context.dataset, model, outputs)
    return flops


def check_outputs(task: Task, dataset: Dataset, model: nn.Module, outputs: Tensor) -> None:
    """Check the model's outputs for one example: one per class or real target.

    Of a text, a logit per character at every position.

    Raises:
        InvalidInput: the shape is another one; the message names the layer that gives it.
    """
    places = dataset.shape if dataset.kind == "text" else ()
    expected = (1, *places, dataset.classes)
    if tuple(outputs.shape) == expected:
        return
    leaves = [name for name, m in model.named_modules() if next(m.children(), None) is None]
    last = f" (its last layer is '{leaves[-1]}')" if leaves and leaves[-1] else ""
    what = "real targets" if dataset.regression else "classes"
    raise InvalidInput(
        f"task {task.name}: the model gives outputs of shape {tuple(outputs.shape[1:])}{last}, "
        f"dataset {dataset.name} has {dataset.classes} {what}: give {expected[1:]}"
    )
