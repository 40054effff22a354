"""Where the non-zero weights of a sparse matrix are, by rows and by columns."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Topology:
    """Where the non-zero weights of a matrix [out, in] are, by rows and by columns.

    Values are kept in the order of rows. Indices are 32 bits wide: half the memory, and what MKL
    takes.

    Attributes:
        shape: [out, in].
        start, column: CSR indices of the matrix; [out + 1] and [n].
        start_t, row: CSR indices of its transpose; [in + 1] and [n].
        order: where the value of each entry of the transpose is found; [n].
    """

    shape: torch.Size
    start: Tensor
    column: Tensor
    start_t: Tensor
    row: Tensor
    order: Tensor

    @classmethod
    def of(cls, mask: Tensor) -> "Topology":
        """Return the topology of a boolean mask [out, in] on the CPU."""
        columns = mask.shape[1]
        native = mask.numpy()
        flat = np.flatnonzero(native)
        row = flat // columns
        column = flat - row * columns
        # NumPy sorts 16-bit integers by radix, in linear time and stably.
        narrow = column.astype(np.uint16) if columns <= 2**16 else column
        order = np.argsort(narrow, kind="stable")
        return cls(
            mask.shape,
            _starts(np.count_nonzero(native, axis=1)),
            _indices(column),
            _starts(np.bincount(column, minlength=columns)),
            _indices(row[order]),
            _indices(order),
        )

    @property
    def count(self) -> int:
        """Number of non-zero weights."""
        return len(self.column)

    @property
    def bytes(self) -> int:
        """Memory of all indices."""
        indices = (self.start, self.column, self.start_t, self.row, self.order)
        return sum(tensor.nbytes for tensor in indices)

    def places(self) -> Tensor:
        """Return the flat index of every value in the matrix, ascending; [n]."""
        rows, columns = self.shape
        row = torch.repeat_interleave(torch.arange(rows), self.start.diff().long())
        return row * columns + self.column

    def matrix(self, values: Tensor) -> Tensor:
        """Return the values [n] as a CSR matrix [out, in] that shares their memory."""
        return _csr(self.start, self.column, values, self.shape)

    def transpose(self, values: Tensor) -> Tensor:
        """Return the values [n] as a CSR matrix [in, out]."""
        ordered = values.index_select(0, self.order)
        return _csr(self.start_t, self.row, ordered, self.shape[::-1])

    def dense(self, values: Tensor) -> Tensor:
        """Return the values [n] as a dense matrix [out, in]."""
        matrix = values.new_zeros(self.shape.numel())
        matrix[self.places()] = values
        return matrix.view(self.shape)

    def mask(self) -> Tensor:
        """Return the boolean mask [out, in]."""
        mask = np.zeros(self.shape.numel(), dtype=np.bool_)
        mask[self.places().numpy()] = True
        return torch.from_numpy(mask).view(self.shape)

    def origin(self, new: "Topology") -> Tensor:
        """Return, for each value under `new`, 1 + its place among the values here, or 0: grown."""
        place = np.zeros(self.shape.numel(), dtype=np.int32)
        place[self.places().numpy()] = np.arange(1, self.count + 1, dtype=np.int32)
        return torch.from_numpy(place[new.places().numpy()])


def _indices(native: Any) -> Tensor:
    return torch.from_numpy(native.astype(np.int32))


def _starts(counts: Any) -> Tensor:
    return _indices(np.concatenate([[0], np.cumsum(counts)]))


def _csr(start: Tensor, column: Tensor, values: Tensor, shape: Any) -> Tensor:
    return torch.sparse_csr_tensor(start, column, values, shape, check_invariants=False)
