"""Weights that are updated by their method while their learning rate is 0."""

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

from suite.core.errors import SparsityWarning
from suite.sparsity.layers import PrunableWeight
from suite.sparsity.prunable import NAMED


class LearningRates:
    """Follows the learning rates of optimizers, and warns once of layers whose rate stays 0.

    A layer is meant to be frozen where its rate was 0 at every step from one update of connectivity
    to the next, or from the first step to the first update. So a warm-up that begins at 0, or a
    schedule that passes through it, is none. A rate that is a tensor on a device is not looked at:
    that would wait for the device.

    Args:
        optimizers: of one method.
    """

    def __init__(self, optimizers: Sequence[torch.optim.Optimizer]) -> None:
        self._optimizers = tuple(optimizers)
        self._step = 0
        self._last_update = 1
        self._zero_since: dict[tuple[int, int], int] = {}
        self._said: set[str] = set()

    def begin_step(self) -> None:
        """Look at the rates that the coming step is taken with."""
        self._step += 1
        for index, optimizer in enumerate(self._optimizers):
            for place, group in enumerate(optimizer.param_groups):
                if _is_zero(group.get("lr")):
                    self._zero_since.setdefault((index, place), self._step)
                elif self._zero_since:
                    self._zero_since.pop((index, place), None)

    def updated(self, layers: Sequence[PrunableWeight]) -> None:
        """Warn of those of `layers` that an update has just changed, and that do not train."""
        since = min(self._last_update, self._step - 1)
        self._last_update = self._step
        still = [place for place, first in self._zero_since.items() if first <= since]
        if not still:
            return
        groups = [self._optimizers[index].param_groups[place] for index, place in still]
        untrained = {id(p) for group in groups for p in group["params"]}
        names = [
            layer.name
            for layer in layers
            if layer.active < layer.size and layer.trained and id(layer.parameter) in untrained
        ]
        if new := [name for name in names if name not in self._said]:
            self._said.update(new)
            more = f" and {len(new) - NAMED} more" if len(new) > NAMED else ""
            warnings.warn(
                f"the learning rate of {', '.join(new[:NAMED])}{more} is 0, which freezes no mask: "
                "updates drop their weights, and what grows in their place stays 0; freeze them "
                "with requires_grad_(False), or leave them out with exclude=",
                SparsityWarning,
                stacklevel=2,
            )


def _is_zero(rate: object) -> bool:
    if isinstance(rate, Tensor) and rate.device.type != "cpu":
        return False
    return bool(rate == 0)
