"""What follows from a task's network, whatever its weights: shapes, FLOPs, parameter counts."""

import functools
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from suite.experiments import registry
from suite.sparsity.flops import ForwardFlops, measure_forward
from suite.sparsity.prunable import Coverage, covered_weights
from tasks import model_factory
from tasks.task import Dataset, Task

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
        groups: of the convolutions that have several.
    """

    shapes: dict[str, tuple[int, ...]]
    forward: ForwardFlops
    tensors: dict[str, int]
    chain: tuple[str, ...] = ()
    groups: Mapping[str, int] = {}


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
    groups = {
        weight.name: weight.module.groups
        for weight in covered_weights(model, coverage_of(declared))
        if weight.name in shapes and isinstance(weight.module, _ConvNd) and weight.module.groups > 1
    }
    return Network(shapes, forward, _tensors(model), _chain(model), groups)


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


def count_parameters(task: Task, dataset: Dataset, width: float) -> tuple[int, int]:
    """Return how many parameters a task's model has at a width, and how many prunable ones."""
    with torch.device("meta"):
        model = model_factory.make_model(task, dataset, width)
    prunable = {
        id(weight.parameter): weight.parameter.numel()
        for weight in covered_weights(model, coverage_of(task))
        if weight.parameter is not None
    }
    return sum(p.numel() for p in model.parameters()), sum(prunable.values())


def coverage_of(task: Task) -> Coverage:
    """Return which weights of a task's model may be pruned."""
    return Coverage(task.prunable)
