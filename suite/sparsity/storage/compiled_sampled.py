"""The compiled product of two matrices at chosen places; needs numba (extra `numba`).

It gives the same bits as ``torch.sparse.sampled_addmm``, in half the time: it adds up in the same
order, for four places at once. So which of the two computed a gradient makes no difference.
"""

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from suite.sparsity.storage.condensed import numba_is_installed

Product = Callable[[Any, Any, Any, Any, Any], None]
"""Writes left·rightᵀ at CSR places: (start, column, left [out, k], right [in, k], into [m])."""

LANES = 8
"""Partial sums of a place: PyTorch adds up in vectors of 256 bits, on any x86 machine."""
STEP = 2 * LANES
"""Numbers that are multiplied at once; the length of the sums is a multiple of it."""
AT_ONCE = 4
"""Places of a row that are computed together: one sum alone waits for its own additions."""
LEAST = 2**20
"""Multiplications from which a product is worth loading numba and compiling (about 2 s) for."""
LARGE = 2**18
"""Weights of a layer from which its products may reach that at the densities CSR is used at."""


def worth_compiling(left: Tensor, right: Tensor, places: int) -> bool:
    """Return whether left·rightᵀ at so many places is to be computed by `compiled_product`.

    On more than one thread PyTorch's own product is as fast, as it splits the rows among them.
    """
    length = left.shape[1]
    return (
        places * length >= LEAST
        and length % STEP == 0
        and torch.get_num_threads() == 1
        and left.dtype == right.dtype == torch.float32
        and left.is_contiguous()
        and right.is_contiguous()
    )


def compile_for(weights: int) -> None:
    """Compile now if a layer of so many weights may call for it, so that no step has to wait."""
    if weights >= LARGE and torch.get_num_threads() == 1:
        compiled_product()


@cache
def compiled_product() -> Product | None:
    """Return the product of float32 matrices, compiled; None without numba.

    Also None where PyTorch's product has other bits, as of a version that adds up differently.
    """
    if not numba_is_installed():
        return None
    import numba

    pair = _lane_sums(AT_ONCE), _lane_sums(1)
    compiled: Product = numba.njit(
        "(int32[::1], int32[::1], float32[:, ::1], float32[:, ::1], float32[::1])", nogil=True
    )(_over_rows(*pair))
    return compiled if _agrees(compiled) else None


def _over_rows(several: Any, one: Any) -> Product:
    def products(start: Any, column: Any, left: Any, right: Any, into: Any) -> None:
        for row in range(len(start) - 1):
            place, end = np.int64(start[row]), np.int64(start[row + 1])
            while place + AT_ONCE <= end:
                several(left, row, right, column, place, into)
                place += AT_ONCE
            while place < end:
                one(left, row, right, column, place, into)
                place += 1

    return products


def _lane_sums(count: int) -> Any:
    """Return a function for compiled code: the sums of `count` places of a row.

    It is called with (left, row, right, column, place, into). It is written in LLVM's vectors
    because the order of a sum is left to chance where a compiler forms them from a loop, or the sum
    stays scalar where it may not choose one.
    """
    from llvmlite import ir
    from numba import types
    from numba.core import cgutils
    from numba.extending import intrinsic

    i32 = ir.IntType(32)

    def part(builder: Any, vector: Any, first: int, size: int) -> Any:
        chosen = ir.Constant(ir.VectorType(i32, size), list(range(first, first + size)))
        return builder.shuffle_vector(vector, vector, chosen)

    def code(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        left, right, column, into = (
            context.make_array(signature.args[at])(context, builder, given[at])
            for at in (0, 2, 3, 5)
        )
        row, place = given[1], given[4]
        length = cgutils.unpack_tuple(builder, left.shape)[1]
        size = length.type
        vector, lanes = ir.VectorType(ir.FloatType(), STEP), ir.VectorType(ir.FloatType(), LANES)

        def load(base: Any, at: Any) -> Any:
            found = builder.load(builder.bitcast(builder.gep(base, [at]), vector.as_pointer()))
            found.align = 4  # rows may begin anywhere
            return found

        def place_of(number: int) -> Any:
            return builder.add(place, size(number))

        def row_of(array: Any, index: Any) -> Any:
            return builder.gep(array.data, [builder.mul(index, length)])

        columns = [builder.load(builder.gep(column.data, [place_of(n)])) for n in range(count)]
        others = [row_of(right, builder.sext(index, size)) for index in columns]
        own = row_of(left, row)
        zero = ir.Constant(lanes, None)
        sums = [cgutils.alloca_once(builder, lanes) for _ in range(count)]
        for total in sums:
            builder.store(zero, total)
        with cgutils.for_range_slice(builder, size(0), length, size(STEP), intp=size) as (at, _):
            factor = load(own, at)
            for other, total in zip(others, sums, strict=True):
                products = builder.fmul(factor, load(other, at))
                value = builder.load(total)
                for first in range(0, STEP, LANES):  # one after the other: not fused, not reordered
                    value = builder.fadd(value, part(builder, products, first, LANES))
                builder.store(value, total)
        for number, total in enumerate(sums):
            value, half = builder.load(total), LANES
            while half > 1:
                half //= 2
                value = builder.fadd(
                    part(builder, value, 0, half), part(builder, value, half, half)
                )
            found = builder.extract_element(value, i32(0))
            builder.store(found, builder.gep(into.data, [place_of(number)]))
        return context.get_dummy_value()

    def typed(_: Any, left: Any, row: Any, right: Any, column: Any, place: Any, into: Any) -> Any:
        return types.void(left, types.int64, right, column, types.int64, into), code

    return intrinsic(typed)


def _agrees(product: Product) -> bool:
    """Return whether a product gives PyTorch's bits, for one that shows the order of the sums."""
    drawn = np.random.default_rng(0)
    rows, length = 7, 5 * STEP
    left, right = (drawn.standard_normal((rows, length), dtype=np.float32) for _ in range(2))
    start = np.arange(rows + 1, dtype=np.int32) * rows
    column = np.tile(np.arange(rows, dtype=np.int32), rows)
    into = np.empty(rows * rows, dtype=np.float32)
    product(start, column, left, right, into)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # CSR support is in beta
        indices = (torch.from_numpy(start), torch.from_numpy(column))
        matrix = torch.sparse_csr_tensor(
            *indices, torch.zeros(rows * rows), (rows, rows), check_invariants=False
        )
    theirs = torch.sparse.sampled_addmm(
        matrix, torch.from_numpy(left), torch.from_numpy(right).t(), beta=0.0
    )
    return torch.equal(theirs.values(), torch.from_numpy(into))
