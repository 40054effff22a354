"""What backward passes leave behind of a sparse layer: what its dense gradient is made of."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

Pass = tuple[Tensor, Tensor]
"""Gradient of the output [out, batch] and input [in, batch]."""


def _task() -> int:
    """Return the number of the backward pass that is going on; -1 where none is."""
    return torch._C._current_graph_task_id()


class SavedPasses:
    """The passes through a layer since its gradient began, and which of them belong to it.

    A gradient taken of the input alone (adversarial examples between two micro-batches) runs
    through a layer as well. What counts is what was added up in the parameter's ``grad``.

    Attributes:
        wanted: whether a dense gradient will be asked for, so that passes are kept.
    """

    def __init__(self) -> None:
        self.wanted = True
        self._kept: list[tuple[int, Pass]] = []
        self._added: set[int] = set()
        self._hook: RemovableHandle | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy begins with: hooks and graphs belong to the original."""
        return vars(self) | {"_kept": [], "_added": set(), "_hook": None}

    def prepare_backward(self, wanted: bool, parameter: nn.Parameter) -> None:
        """Begin anew, and keep the passes to come if they are `wanted`."""
        self.wanted = wanted
        self.clear()
        if self._hook is not None:
            self._hook.remove()
        self._hook = None
        if wanted:
            self._hook = parameter.register_post_accumulate_grad_hook(
                lambda _: self._added.add(_task())
            )

    def clear(self) -> None:
        """Forget all passes."""
        self._kept.clear()
        self._added.clear()

    def add(self, of_output: Tensor, columns: Tensor) -> None:
        """Keep a pass, if passes are wanted."""
        if self.wanted:
            self._kept.append((_task(), (of_output, columns)))

    def begin(self, gradient: Tensor | None) -> None:
        """Note a forward pass: where the `gradient` is none or zero, a new one begins.

        What a step left behind that was skipped does not belong to it. Inside a backward pass,
        where activations are computed again, nothing begins.
        """
        if self._kept and _task() == -1 and (gradient is None or not bool(gradient.any())):
            self.clear()

    def contributing(self) -> list[Pass]:
        """Return the passes that the gradient is made of.

        All of them where no pass added anything up: such a gradient was assigned by hand.
        """
        return [one for task, one in self._kept if task in self._added or not self._added]
