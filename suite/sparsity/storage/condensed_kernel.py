"""The compiled product of a condensed layer with a few examples; needs numba (extra `numba`)."""

from collections.abc import Callable
from functools import cache
from typing import Any

Product = Callable[[Any, Any, Any, Any, Any], None]


@cache
def compiled_product() -> Product:
    """Return `_products`, compiled at its first call for each type (about a second).

    Sums may be formed in another order, as in PyTorch's own kernels. NaN and infinities stay what
    they are.
    """
    import numba

    rounding = {"reassoc", "contract", "nsz"}
    compiled: Product = numba.njit(_products, fastmath=rounding, nogil=True)
    return compiled


def _products(x: Any, values: Any, indices: Any, bias: Any, out: Any) -> None:
    """Write x·Wᵀ + bias to out: x [n, in], values and indices [units, k] of W, out [n, units]."""
    for example in range(x.shape[0]):
        for unit in range(values.shape[0]):
            total = bias[unit]
            for place in range(values.shape[1]):
                total += values[unit, place] * x[example, indices[unit, place]]
            out[example, unit] = total
