"""Optional libraries whose optimizers and wrappers are tested."""

import contextlib
import importlib
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import torch

from tests.conftest import require


def library(name: str) -> ModuleType:
    """Return an optional library; the test is skipped where it may be missing and is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what libraries deprecate while they are imported
        try:
            return importlib.import_module(name)
        except ImportError:
            require(name.split(".")[0], present=False, how=f"pip install {name.split('.')[0]}")
            raise


@contextlib.contextmanager
def accelerated(
    optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler | None = None
) -> Iterator[Any]:
    """Give Accelerate's wrapper of an optimizer; its state, one for the process, is reset."""
    accelerate = library("accelerate")
    states = importlib.import_module("accelerate.state")
    accelerate.Accelerator(cpu=True)
    try:
        yield importlib.import_module("accelerate.optimizer").AcceleratedOptimizer(
            optimizer, scaler=scaler
        )
    finally:
        states.AcceleratorState._reset_state(reset_partial_state=True)
        states.GradientState._reset_state()
