"""Helpers for any model: how it is called, its evaluation mode and its wrappers."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn

WRAPPERS = (nn.parallel.DistributedDataParallel, nn.DataParallel)

_FABRIC = {"lightning.fabric.wrappers", "lightning_fabric.wrappers"}
"""Modules of the class `_FabricModule`: Lightning need not be installed."""


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
    """Return the model itself, out of its wrappers.

    They are DistributedDataParallel, DataParallel, ``torch.compile`` and Lightning Fabric's. All of
    them prefix the names of its layers, and the names seed the random masks.
    """
    while True:
        if isinstance(model, WRAPPERS):
            model = model.module
        elif "_orig_mod" in model._modules:
            model = model._modules["_orig_mod"]  # type: ignore[assignment]
        elif "_forward_module" in model._modules and _is_fabrics(model):
            model = model._modules["_forward_module"]  # type: ignore[assignment]
        else:
            return model


def _is_fabrics(model: nn.Module) -> bool:
    kind = type(model)
    return kind.__name__ == "_FabricModule" and kind.__module__ in _FABRIC


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
