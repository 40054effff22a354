"""Passes through a sparse layer, saved for the gradients of weights that it does not store."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle


class Pass(NamedTuple):
    """What one backward pass through a layer has computed, and from what.

    Attributes:
        of_output: gradient of the output, [out, batch].
        columns: the input, [in, batch].
        of_values: gradient of the stored values, [n]: the very tensor that autograd is given. While
            it is held, autograd copies it into ``grad`` instead of adding later passes to it.
    """

    of_output: Tensor
    columns: Tensor
    of_values: Tensor


def _task() -> int:
    """Return the number of the running backward pass; -1 if none is running."""
    return torch._C._current_graph_task_id()


class SavedPasses:
    """The passes through a layer since its gradient was zeroed, and which contributed to it.

    A gradient with respect to the input alone (adversarial examples between two micro-batches)
    also passes through a layer. Only passes that added to the parameter's ``grad`` count.

    Attributes:
        wanted: whether gradients beside the stored ones will be read, so that passes are saved.
    """

    def __init__(self) -> None:
        self.wanted = True
        self._kept: list[tuple[int, Pass]] = []
        self._added: set[int] = set()
        self._hook: RemovableHandle | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Return an empty state for a copy: hooks and graphs belong to the original."""
        return vars(self) | {"_kept": [], "_added": set(), "_hook": None}

    def prepare_backward(self, wanted: bool, parameter: nn.Parameter) -> None:
        """Start over, and save the next passes if they are `wanted`."""
        self.wanted = wanted
        self.clear()
        if self._hook is not None:
            self._hook.remove()
        self._hook = None
        if wanted and parameter.requires_grad:
            self._hook = parameter.register_post_accumulate_grad_hook(
                lambda _: self._added.add(_task())
            )

    def clear(self) -> None:
        """Drop all passes."""
        self._kept.clear()
        self._added.clear()

    def add(self, of_output: Tensor, columns: Tensor, of_values: Tensor) -> None:
        """Save a pass, if passes are wanted."""
        if self.wanted:
            self._kept.append((_task(), Pass(of_output, columns, of_values)))

    def begin(self, gradient: Tensor | None) -> None:
        """Note a forward pass: if `gradient` is None or zero, a new gradient begins.

        Then earlier passes, of a skipped step, are dropped; but not during a backward pass
        (activation checkpointing).
        """
        if self._kept and _task() == -1 and (gradient is None or not bool(gradient.any())):
            self.clear()

    def contributing(self) -> list[Pass]:
        """Return the passes whose sum is the gradient.

        All of them if none added to it: such a gradient was assigned by hand.
        """
        return [one for task, one in self._kept if task in self._added or not self._added]
