"""Numbers of documents that may hold anything: what can be counted and written, else None."""

import math
from typing import Any


def finite_number(given: Any) -> float | None:
    """Return what is a number that a float can hold; None for anything else.

    Truth values are no numbers, nor are NaN, infinities, and integers beyond the largest float.
    """
    if isinstance(given, bool) or not isinstance(given, int | float):
        return None
    try:
        value = float(given)
    except OverflowError:
        return None
    return value if math.isfinite(value) else None
