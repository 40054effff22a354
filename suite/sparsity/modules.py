"""Helpers for any model: how it is called, its evaluation mode and its wrappers."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn

WRAPPERS = (nn.parallel.DistributedDataParallel, nn.DataParallel)


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
    """Return the model itself, out of DistributedDataParallel, DataParallel and ``torch.compile``.

    All of them prefix the names of its layers, and the names seed the random masks.
    """
    while True:
        if isinstance(model, WRAPPERS):
            model = model.module
        elif "_orig_mod" in model._modules:
            model = model._modules["_orig_mod"]  # type: ignore[assignment]
        else:
            return model


def call(model: nn.Module, inputs: Any) -> Any:
    """Return the model's output for `inputs`.

    A tuple or list is passed as positional arguments, a mapping as keyword arguments, anything
    else (a tensor) as the only argument.
    """
    if isinstance(inputs, Mapping):
        return model(**inputs)
    if isinstance(inputs, list | tuple):
        return model(*inputs)
    return model(inputs)
