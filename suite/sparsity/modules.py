"""Helpers for any model: how it is called, its evaluation mode and its wrappers."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor, nn

from suite.sparsity.inputs import Tensors


def call(model: nn.Module, inputs: Tensors) -> Any:
    """Return the model's outputs: of a tensor, positional arguments, or keyword arguments."""
    if isinstance(inputs, Tensor):
        return model(inputs)
    if isinstance(inputs, Mapping):
        return model(**inputs)
    return model(*inputs)


@contextlib.contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Put a model into evaluation mode; every module's mode is restored afterwards."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


def unwrap(model: nn.Module) -> nn.Module:
    """Return the model itself, out of DistributedDataParallel and ``torch.compile``.

    Both prefix the names of its layers, and the names seed the random masks.
    """
    while True:
        if isinstance(model, nn.parallel.DistributedDataParallel):
            model = model.module
        elif "_orig_mod" in model._modules:
            model = model._modules["_orig_mod"]  # type: ignore[assignment]
        else:
            return model
