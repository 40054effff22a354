"""Several optimizers of one method that do not step equally often."""

import warnings
from collections.abc import Sequence

import torch

from suite.core.errors import SparsityWarning

LEAST = 32
"""Steps that an optimizer has left out before it is said.

A GradScaler that begins at 2¹⁶ and halves its scale leaves out half as many in a row.
"""

SHARE = 0.05
"""Least share of the steps that they are: a loop may leave out some, whose loss was not finite."""


class UnequalSteps:
    """Counts the steps that each of several optimizers has left out, and warns once.

    Args:
        optimizers: of one method, in the order they were given.
    """

    def __init__(self, optimizers: Sequence[torch.optim.Optimizer]) -> None:
        self._optimizers = tuple(optimizers)
        self._left_out = [0] * len(self._optimizers)
        self._steps = 0
        self._is_said = False

    def step_over(self, stepped: Sequence[torch.optim.Optimizer]) -> None:
        """Count a step that the optimizers `stepped` have taken; warn once if some fall behind."""
        self._steps += 1
        if len(stepped) == len(self._optimizers):
            return
        taken = {id(one) for one in stepped}
        for index, optimizer in enumerate(self._optimizers):
            self._left_out[index] += id(optimizer) not in taken
        least = max(LEAST, SHARE * self._steps)
        if not self._is_said and max(self._left_out) >= least:
            self._is_said = True
            self._warn()

    def _warn(self) -> None:
        most = max(self._left_out)
        index = self._left_out.index(most)
        warnings.warn(
            f"optimizer[{index}] ({type(self._optimizers[index]).__name__}) has left out {most} of "
            f"{self._steps} steps: with several optimizers a step is over when each has stepped, "
            "or one steps again, so the schedule follows the one that steps most; step all of "
            "them equally often, or call sparsify for each optimizer and its part of the model, "
            "with steps= of its own",
            SparsityWarning,
            stacklevel=2,
        )
