"""Weights and optimizer state as they were before a method was attached."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from suite.sparsity.prunable import Prunable
from suite.sparsity.storage.csr import CsrWeight
from suite.sparsity.storage.masked import MaskedWeight, optimizer_of


@dataclass(frozen=True)
class _Saved:
    """One weight: a copy of its values, and of the optimizer's state for it."""

    prunable: Prunable
    version: int
    values: Tensor
    optimizer: torch.optim.Optimizer | None
    state: dict[str, Any] | None


class Snapshot:
    """A copy of what attaching a method changes, until the first step is taken.

    With it an attachment that fails is undone, and a method's state that is loaded after attaching
    to restored weights finds those weights whole.
    """

    def __init__(
        self, prunable: Sequence[Prunable], optimizers: Sequence[torch.optim.Optimizer]
    ) -> None:
        self._saved = {found.name: _saved(found, optimizers) for found in prunable}
        self._groups = [
            (group, list(group["params"]))
            for optimizer in optimizers
            for group in optimizer.param_groups
        ]

    @torch.no_grad()
    def rollback(self) -> None:
        """Put model and optimizers back; the layers must be ordinary ones again."""
        for group, parameters in self._groups:
            group["params"] = parameters
        for saved in self._saved.values():
            found = saved.prunable
            parameter, leaf = found.parameter, found.leaf
            held = found.module._parameters[leaf]
            if held is parameter and parameter._version == saved.version:
                continue
            found.module._parameters[leaf] = parameter
            parameter.copy_(saved.values)
            if saved.optimizer is None:
                continue
            if held is not None:
                saved.optimizer.state.pop(held, None)
            saved.optimizer.state.pop(parameter, None)
            if saved.state is not None:
                saved.optimizer.state[parameter] = saved.state

    def restore(self, weight: MaskedWeight | CsrWeight, *, values: bool, state: bool) -> None:
        """Give an attached weight its values back, and its optimizer state; masks follow."""
        saved = self._saved[weight.name]
        if values:
            weight.restore_values(saved.values)
        if state and (saved.state is not None or not weight.optimizer.state.get(weight.parameter)):
            weight.restore_state(_copied(saved.state))

    @torch.no_grad()
    def is_as_attached(self, weight: MaskedWeight) -> bool:
        """Return whether a weight has the values that attaching has left.

        Compared by value: writes through ``weight.data`` leave no other trace.
        """
        before = self._saved[weight.name].values.to(weight.parameter.dtype)
        return torch.equal(weight.values, torch.where(weight.mask, before, 0))


def _saved(found: Prunable, optimizers: Sequence[torch.optim.Optimizer]) -> _Saved:
    parameter = found.parameter
    optimizer = optimizer_of(parameter, optimizers)
    state = None if optimizer is None else optimizer.state.get(parameter)
    return _Saved(found, parameter._version, parameter.detach().clone(), optimizer, _copied(state))


def _copied(state: dict[str, Any] | None) -> dict[str, Any] | None:
    if state is None:
        return None
    return {
        key: value.clone() if isinstance(value, Tensor) else value for key, value in state.items()
    }
