"""2:4 matrices in PyTorch's compressed format: half of the values, and two bits for each.

The format is that of ``torch.sparse.SparseSemiStructuredTensorCUTLASS`` for 16-bit types: values
[out, in / 2] in the order of the row, and metadata [out, in / 16], int16, of which PyTorch chooses
the layout for its GPU kernels. Packing and unpacking need no GPU.
"""

import torch
from torch import Tensor
from torch.sparse._semi_structured_conversions import (
    sparse_semi_structured_from_dense_cutlass as _from_dense,
)
from torch.sparse._semi_structured_conversions import (
    sparse_semi_structured_to_dense_cutlass as _to_dense,
)

from suite.sparsity.storage.condensed import DTYPES

ROWS, COLUMNS = 32, 64
"""What numbers of rows and columns must be multiples of, for PyTorch's kernels."""


def fits(shape: torch.Size) -> bool:
    """Return whether 2:4 kernels take a matrix of this shape; an output layer of 10 units stays."""
    return len(shape) == 2 and shape[0] % ROWS == 0 and shape[1] % COLUMNS == 0


def is_two_four(weight: Tensor) -> bool:
    """Return whether at most two of any four consecutive weights in a row are non-zero."""
    return weight.shape[1] % 4 == 0 and bool(
        ((weight.detach().reshape(len(weight), -1, 4) != 0).sum(-1) <= 2).all()
    )


def pack(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return values [out, in / 2] and metadata [out, in / 16] of a 2:4 matrix on the CPU.

    Values keep their type, which may be any: PyTorch's function takes only 16-bit types as 2:4, so
    it is given where the weights are, and the values are taken from there.

    Raises:
        ValueError: the matrix is not 2:4, or has a shape that does not fit.
    """
    if not (fits(weight.shape) and is_two_four(weight)):
        raise ValueError(f"a matrix of {tuple(weight.shape)} is not 2:4")
    _, meta = _from_dense((weight != 0).half())
    return weight[_places(meta)].view(len(weight), -1), meta


def unpack(values: Tensor, meta: Tensor) -> Tensor:
    """Return the matrix [out, in] of which `pack` returned values and metadata.

    Raises:
        ValueError: they are no such pair, of any origin.
    """
    shape = torch.Size((len(values), 2 * values.shape[1])) if values.ndim == 2 else torch.Size()
    if not (values.dtype in DTYPES and fits(shape) and 0 not in shape):
        raise ValueError(
            "2:4 values are [out, in / 2] in float16, bfloat16, float32 or float64, not "
            f"{tuple(values.shape)} {values.dtype}"
        )
    if meta.dtype != torch.int16 or meta.shape != (shape[0], shape[1] // 16):
        raise ValueError(f"2:4 metadata are [out, in / 16], not {tuple(meta.shape)} {meta.dtype}")
    places = _places(meta)
    # Two different places in every group, in ascending order, and nothing else in the bits.
    if int(places.sum()) != values.numel() or not torch.equal(_from_dense(places.half())[1], meta):
        raise ValueError("its 2:4 metadata do not name two of every four weights")
    weight = values.new_zeros(shape)
    weight[places] = values.reshape(-1)
    return weight


def _places(meta: Tensor) -> Tensor:
    """Return where the values are: a boolean matrix [out, in] of two in every group of four."""
    ones = torch.ones(len(meta), 8 * meta.shape[1], dtype=torch.half)
    return _to_dense(ones, meta) != 0
