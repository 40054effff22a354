"""A dense Linear layer among sparse ones."""

import copy
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn


class ColumnLinear(nn.Linear):
    """An ordinary Linear layer that is quick where its input is stored by columns.

    Sparse layers store their outputs by columns, and PyTorch's product of such a batch (128 × 1000)
    with a weight of ten rows takes six times as long as that of an ordinary batch. The transposed
    product avoids this, and its gradient is stored by columns, as a sparse layer needs it.

    Never constructed: `set_layout` turns an existing layer into one, and back.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Return x·Wᵀ + b of x [..., in], stored by rows."""
        columns = input.t() if input.ndim == 2 else input
        if input.is_contiguous() or not columns.is_contiguous() or input.dtype != self.weight.dtype:
            return super().forward(input)
        bias: Tensor | None = self.bias
        if bias is None:
            return self.weight.mm(columns).t().contiguous()
        return torch.addmm(bias.unsqueeze(1), self.weight, columns).t().contiguous()

    def __deepcopy__(self, memo: dict[int, Any]) -> nn.Linear:
        """Return an ordinary layer: there may be no sparse one before it."""
        copied = nn.Linear.__new__(nn.Linear)
        memo[id(self)] = copied
        copied.__dict__.update(copy.deepcopy(vars(self), memo))
        return copied


def set_layout(layers: Iterable[nn.Linear], *, by_columns: bool) -> None:
    """Prepare ordinary Linear layers for inputs by columns, or undo that."""
    before, after = (nn.Linear, ColumnLinear) if by_columns else (ColumnLinear, nn.Linear)
    for layer in layers:
        if type(layer) is before:
            layer.__class__ = after
