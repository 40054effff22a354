"""Inputs and output gradients of a sparse layer, saved for its dense gradient."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

Pass = tuple[Tensor, Tensor]
"""Gradient of the output [out, batch] and input [in, batch]."""


def _task() -> int:
    """Return the number of the running backward pass; -1 if none is running."""
    return torch._C._current_graph_task_id()


class SavedPasses:
    """The passes through a layer since its gradient was zeroed, and which contributed to it.

    A gradient with respect to the input alone (adversarial examples between two micro-batches)
    also passes through a layer. Only passes that added to the parameter's ``grad`` count.

    Attributes:
        wanted: whether a dense gradient will be read, so that passes are saved.
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
        if wanted:
            # A frozen parameter takes no hook, but keeps the one it has: it may train again before
            # the next pass.
            trained = parameter.requires_grad
            parameter.requires_grad_(True)
            self._hook = parameter.register_post_accumulate_grad_hook(
                lambda _: self._added.add(_task())
            )
            parameter.requires_grad_(trained)

    def clear(self) -> None:
        """Drop all passes."""
        self._kept.clear()
        self._added.clear()

    def add(self, of_output: Tensor, columns: Tensor) -> None:
        """Save a pass, if passes are wanted."""
        if self.wanted:
            self._kept.append((_task(), (of_output, columns)))

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
