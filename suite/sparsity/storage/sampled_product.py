"""A product of two dense matrices at chosen places alone: the gradients of chosen weights."""

import warnings
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from suite.sparsity.storage.compiled_sampled import Product, compiled_product, worth_compiling


@dataclass(frozen=True)
class SampledProduct:
    """Computes left·rightᵀ at some places of a matrix [out, in], at a cost linear in their number.

    Attributes:
        shape: [out, in].
        start, column: CSR indices of the places; [out + 1] and [m], of 32 bits.
    """

    shape: torch.Size
    start: Tensor
    column: Tensor
    _room: dict[torch.dtype, tuple[Tensor, Tensor]] = field(
        default_factory=dict, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        _silence_csr_warning()

    @classmethod
    def at(cls, places: Tensor, shape: torch.Size) -> "SampledProduct":
        """Return the product at flat `places` [m] of a matrix of `shape`, on the CPU.

        Raises:
            ValueError: they are not ascending, two are equal, or one is outside the matrix. The
                kernel would read and write outside its memory.
        """
        flat = places.numpy()
        if len(flat) and not (flat[0] >= 0 and flat[-1] < shape.numel() and _ascends(flat)):
            raise ValueError(
                f"places are flat indices below {shape.numel():,}, ascending, no two equal"
            )
        rows, columns = shape
        start = np.searchsorted(flat, np.arange(rows + 1) * columns)
        # Division of 32-bit integers is four times faster than of 64.
        narrow = flat.astype(np.int32) if shape.numel() < 2**31 else flat
        return cls(shape, indices(start), indices(narrow % columns))

    @property
    def bytes(self) -> int:
        """Memory of the buffers."""
        return sum(values.nbytes for _, values in self._room.values())

    def of(self, left: Tensor, right: Tensor) -> Tensor:
        """Return left·rightᵀ at the places; [m], of [out, k] and [in, k], each stored by rows.

        The bits are the same with numba and without (`compiled_sampled`).
        """
        if worth_compiling(left, right, len(self.column)):
            compiled = compiled_product()
            if compiled is not None:
                return self._compiled(compiled, left, right)
        return self.stock(left, right)

    def _compiled(self, compiled: Product, left: Tensor, right: Tensor) -> Tensor:
        _check_sizes(self.shape, left, right)
        products = torch.empty(len(self.column), dtype=left.dtype)
        tensors = (self.start, self.column, left.detach(), right.detach(), products)
        compiled(*(tensor.numpy() for tensor in tensors))
        return products

    def stock(self, left: Tensor, right: Tensor) -> Tensor:
        """Return what `of` does, computed by PyTorch's operator."""
        # Taken out while in use: another thread then makes its own.
        room = self._room.pop(left.dtype, None)
        into, values = self._make_room(left.dtype) if room is None else room
        values.zero_()  # beta=0 may multiply: an overflow could have left infinities
        # Written into a reused matrix: without `out` PyTorch copies all indices first.
        torch.sparse.sampled_addmm(into, left, right.t(), beta=0.0, out=into)
        products = values.clone()
        self._room[left.dtype] = into, values
        return products

    def __getstate__(self) -> dict[str, Any]:
        """Return the state of a copy, without the buffers, which cannot be copied."""
        return vars(self) | {"_room": {}}

    def _make_room(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Return a CSR matrix and its values, to reuse: making one takes as long as a product."""
        matrix = torch.sparse_csr_tensor(
            self.start,
            self.column,
            torch.zeros(len(self.column), dtype=dtype),
            self.shape,
            check_invariants=False,
        )
        return matrix, matrix.values()


def _check_sizes(shape: torch.Size, left: Tensor, right: Tensor) -> None:
    """Check what compiled code does not: it would read outside the matrices."""
    length = left.shape[1]
    if left.shape != (shape[0], length) or right.shape != (shape[1], length):
        raise RuntimeError(
            f"a product of {tuple(left.shape)} and {tuple(right.shape)} for a matrix {tuple(shape)}"
        )


def indices(native: Any) -> Tensor:
    """Return a NumPy array as a tensor of 32-bit integers."""
    return torch.from_numpy(native.astype(np.int32))


def _ascends(flat: Any) -> bool:
    return bool((flat[1:] > flat[:-1]).all())


@cache
def _silence_csr_warning() -> None:
    """Trigger and silence PyTorch's warning that CSR support is in beta: once per process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.sparse_csr_tensor([0], [], [], (0, 0), check_invariants=False)
