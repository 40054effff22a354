"""Inference FLOPs at published sparsities, computed from a network's shapes alone."""

import functools
from collections.abc import Collection

import torch

from suite.experiments import registry
from suite.sparsity.distribution import layer_zeros
from suite.sparsity.flops import ForwardFlops, measure_forward
from suite.sparsity.layers import PRUNABLE
from tasks.model_factory import make_model


def inference_ratio(
    task: str, sparsity: float, distribution: str, dense: Collection[str] = ()
) -> float:
    """Return the forward operations at a sparsity, as a multiple of the dense network's.

    Reads no data and allocates no weights.

    Raises:
        InvalidInput: there is no such task, or the dense layers alone hold too many weights.
    """
    forward, shapes = _network(task)
    zeros = layer_zeros(shapes, sparsity, distribution, dense=dense)
    densities = {name: 1 - zeros[name] / shape.numel() for name, shape in shapes.items()}
    return forward.at(densities) / forward.dense


@functools.cache
def _network(task: str) -> tuple[ForwardFlops, dict[str, torch.Size]]:
    """Return the operations of a task's network and the shapes of its prunable weights."""
    declared = registry.tasks()[task]
    dataset = registry.datasets()[declared.dataset]
    with torch.device("meta"):
        model = make_model(declared, dataset)
        forward = measure_forward(model, torch.zeros(1, *dataset.shape))
    return forward, {
        name: module.weight.shape
        for name, module in model.named_modules()
        if isinstance(module, PRUNABLE)
    }
