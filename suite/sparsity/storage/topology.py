"""Where the non-zero weights of a sparse matrix are, by rows and by columns."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from suite.sparsity.storage.sampled_product import SampledProduct, indices


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
        place: flat index of every value in the matrix, ascending; [n], of 64 bits.
        at_values: computes products where the values are.
    """

    shape: torch.Size
    start: Tensor
    column: Tensor
    start_t: Tensor
    row: Tensor
    order: Tensor
    place: Tensor
    at_values: SampledProduct

    @classmethod
    def of(cls, mask: Tensor) -> "Topology":
        """Return the topology of a boolean mask [out, in] on the CPU."""
        columns = mask.shape[1]
        native = mask.numpy()
        flat = np.flatnonzero(native)
        # Division of 32-bit integers is four times faster than of 64.
        row, column = np.divmod(flat.astype(np.int32) if native.size < 2**31 else flat, columns)
        # NumPy sorts 16-bit integers by radix, in linear time and stably.
        narrow = column.astype(np.uint16) if columns <= 2**16 else column
        order = np.argsort(narrow, kind="stable")
        start, of_column = _starts(np.bincount(row, minlength=mask.shape[0])), indices(column)
        return cls(
            mask.shape,
            start,
            of_column,
            _starts(np.bincount(column, minlength=columns)),
            indices(row[order]),
            indices(order),
            torch.from_numpy(flat),
            SampledProduct(mask.shape, start, of_column),
        )

    @property
    def count(self) -> int:
        """Number of non-zero weights."""
        return len(self.column)

    @property
    def bytes(self) -> int:
        """Memory of all indices and of the buffers for gradients."""
        tensors = [self.start, self.column, self.start_t, self.row, self.order, self.place]
        return sum(tensor.nbytes for tensor in tensors) + self.at_values.bytes

    def product(self, values: Tensor, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """Return W·x + bias of the matrix W of these values [n], x [in, batch]; [out, batch]."""
        _match(x, self.shape[1])
        out = _weighted_sums(x, self.column, self.start, values)
        return out if bias is None else out.add_(bias.unsqueeze(1))

    def product_t(self, values: Tensor, x: Tensor) -> Tensor:
        """Return Wᵀ·x of the matrix W of these values [n], x [out, batch]; [in, batch]."""
        _match(x, self.shape[0])
        return _weighted_sums(x, self.row, self.start_t, values.index_select(0, self.order))

    def sampled(self, left: Tensor, right: Tensor) -> Tensor:
        """Return left·rightᵀ where the non-zero weights are; [n], of [out, k] and [in, k]."""
        return self.at_values.of(left, right)

    def dense(self, values: Tensor) -> Tensor:
        """Return the values [n] as a dense matrix [out, in]."""
        matrix = values.new_zeros(self.shape.numel())
        matrix[self.place] = values
        return matrix.view(self.shape)

    def mask(self) -> Tensor:
        """Return the boolean mask [out, in]."""
        mask = np.zeros(self.shape.numel(), dtype=np.bool_)
        mask[self.place.numpy()] = True
        return torch.from_numpy(mask).view(self.shape)

    def origin(self, new: "Topology") -> Tensor:
        """Return, for each value under `new`, 1 + its place among the values here, or 0: grown."""
        place = np.zeros(self.shape.numel(), dtype=np.int32)
        place[self.place.numpy()] = np.arange(1, self.count + 1, dtype=np.int32)
        return torch.from_numpy(place[new.place.numpy()])


def _starts(counts: Any) -> Tensor:
    return indices(np.concatenate([[0], np.cumsum(counts)]))


def _match(x: Tensor, rows: int) -> None:
    if x.shape[0] != rows:  # the kernel would silently ignore further rows
        raise RuntimeError(f"a batch of {x.shape[0]} features meets a layer that takes {rows}")


def _weighted_sums(x: Tensor, index: Tensor, start: Tensor, values: Tensor) -> Tensor:
    """Return the sum of values × rows of x over each segment of `index` (bounds in `start`).

    That is the product of a CSR matrix with x. PyTorch's kernel for bags of embeddings keeps a sum
    in registers while it grows; in float32 it is about twice as fast as the product of MKL.
    """
    x, values = x.detach(), values.detach()  # otherwise it would record a backward pass
    return torch.embedding_bag(
        x, index, start, mode=0, per_sample_weights=values, include_last_offset=True
    )[0]
