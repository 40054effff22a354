"""Operators, built-in functions and formats of Python whose results cannot grow without bound."""

import ast
import math
import operator
import re
from collections.abc import Callable
from pathlib import PurePath
from typing import Any

MAX_ITEMS = 10_000
"""Largest number of items of a sequence that an operator or ``range`` makes."""
MAX_TEXT = 100_000
"""Largest length of a text that an operator makes."""
MAX_BITS = 1024
"""Largest size of an integer that an operator makes."""
MAX_WIDTH = 100
"""Largest width or precision of a format, and largest number of digits to round to."""

Number = int | float
Scalar = int | float | str | None


class Unbounded(Exception):
    """The result would be larger than a declaration needs."""


def _numbers(*values: Any) -> bool:
    return all(isinstance(value, int | float) for value in values)


def _bits(bits: int) -> None:
    if bits > MAX_BITS:
        raise Unbounded(f"an integer of more than {MAX_BITS:,} bits")


def items(count: int, text: bool = False) -> None:
    """Check the length of a result.

    Raises:
        Unbounded: it is too large.
    """
    limit, what = (MAX_TEXT, "characters") if text else (MAX_ITEMS, "items")
    if count > limit:
        raise Unbounded(f"a value of more than {limit:,} {what}")


def _add(a: Any, b: Any) -> Any:
    if any(isinstance(a, kind) and isinstance(b, kind) for kind in (str, bytes, tuple, list)):
        items(len(a) + len(b), text=isinstance(a, str | bytes))
        return a + b
    return _arithmetic(operator.add, a, b)


def _multiply(a: Any, b: Any) -> Any:
    for sequence, times in ((a, b), (b, a)):
        if isinstance(sequence, str | bytes | tuple | list) and isinstance(times, int):
            items(len(sequence) * max(times, 0), text=isinstance(sequence, str | bytes))
            return sequence * times
    if isinstance(a, int) and isinstance(b, int):
        _bits(a.bit_length() + b.bit_length())
    return _arithmetic(operator.mul, a, b)


def _power(a: Any, b: Any) -> Any:
    if isinstance(a, int) and isinstance(b, int):
        _bits(a.bit_length() * max(b, 0))
    return _arithmetic(operator.pow, a, b)


def _shift(a: Any, b: Any) -> Any:
    if isinstance(a, int) and isinstance(b, int) and a:
        _bits(a.bit_length() + max(b, 0))
    return _arithmetic(operator.lshift, a, b)


def _divide(a: Any, b: Any) -> Any:
    if isinstance(a, PurePath) and isinstance(b, PurePath | str):
        items(len(str(a)) + len(str(b)), text=True)
        return a / b
    return _arithmetic(operator.truediv, a, b)


def _arithmetic(act: Callable[[Any, Any], Any], a: Any, b: Any) -> Any:
    if not _numbers(a, b):
        raise TypeError(f"{type(a).__name__} and {type(b).__name__} are not numbers")
    return act(a, b)


def _joined(act: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Return an operator of integers, sets and dictionaries."""

    def apply(a: Any, b: Any) -> Any:
        for kind in (int, dict, set, frozenset):
            if isinstance(a, kind) and isinstance(b, kind):
                return act(a, b)
        raise TypeError(f"{type(a).__name__} and {type(b).__name__} cannot be combined")

    return apply


def _subtract(a: Any, b: Any) -> Any:
    if isinstance(a, set | frozenset) and isinstance(b, set | frozenset):
        return a - b
    return _arithmetic(operator.sub, a, b)


BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: _add,
    ast.Sub: _subtract,
    ast.Mult: _multiply,
    ast.Div: _divide,
    ast.FloorDiv: lambda a, b: _arithmetic(operator.floordiv, a, b),
    ast.Mod: lambda a, b: _arithmetic(operator.mod, a, b),
    ast.Pow: _power,
    ast.LShift: _shift,
    ast.RShift: lambda a, b: _arithmetic(operator.rshift, a, b),
    ast.BitOr: _joined(operator.or_),
    ast.BitAnd: _joined(operator.and_),
    ast.BitXor: _joined(operator.xor),
}
UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.Not: operator.not_,
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
    ast.Invert: operator.invert,
}
COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}


def formatted(value: Any, conversion: int, spec: str) -> str:
    """Return a field of an f-string.

    Raises:
        Unbounded: too wide.
        TypeError: not a number, a text or a path.
    """
    _scalar(value)
    if any(int(width) > MAX_WIDTH for width in re.findall(r"\d+", spec)):
        raise Unbounded(f"a format wider than {MAX_WIDTH}")
    converters: dict[int, Callable[[Any], str]] = {ord("r"): repr, ord("s"): str, ord("a"): ascii}
    convert = converters.get(conversion)
    return format(convert(value) if convert else value, spec)


def _scalar(value: Any) -> None:
    if not (value is None or isinstance(value, int | float | str | PurePath)):
        raise TypeError(f"a {type(value).__name__} is no number and no text")


# ------------------------------------------------------------------ functions


def _str(value: Any = "") -> str:
    _scalar(value)
    return str(value)


def _int(value: Any = 0) -> int:
    number = int(value)
    _bits(number.bit_length())
    return number


def _range(*bounds: int) -> range:
    made = range(*bounds)
    if abs((made.stop - made.start) // made.step) > MAX_ITEMS:
        raise Unbounded(f"a range of more than {MAX_ITEMS:,} numbers")
    return made


def _round(number: Any, digits: int | None = None) -> Any:
    if not _numbers(number) or abs(digits or 0) > MAX_WIDTH:
        raise TypeError("round takes a number, and at most 100 digits")
    return round(number, digits)


def _sum(values: Any, start: Number = 0) -> Any:
    if not _numbers(*values, start):
        raise TypeError("sum takes numbers")
    return sum(values, start)


def _next(values: Any, *default: Any) -> Any:
    for value in values:
        return value
    if default:
        return default[0]
    raise ValueError("next() finds none")


FUNCTIONS: dict[str, Any] = {
    "abs": abs,
    "all": all,
    "any": any,
    "bool": bool,
    "dict": dict,
    "enumerate": lambda *a, **k: tuple(enumerate(*a, **k)),
    "float": float,
    "frozenset": frozenset,
    "int": _int,
    "len": len,
    "list": list,
    "max": max,
    "min": min,
    "next": _next,
    "range": _range,
    "reversed": lambda values: tuple(reversed(values)),
    "round": _round,
    "set": set,
    "sorted": sorted,
    "str": _str,
    "sum": _sum,
    "tuple": tuple,
    "zip": lambda *a, strict=False: tuple(zip(*a, strict=strict)),
}
"""Built-in functions that declarations may call."""
TYPES: dict[str, type] = {
    kind.__name__: kind for kind in (int, float, bool, str, tuple, list, dict)
}
"""Built-in types that declarations may name, as the type of a hyperparameter."""
MATH = {name: getattr(math, name) for name in ("pi", "e", "tau", "inf", "nan")} | {
    name: getattr(math, name) for name in ("ceil", "exp", "floor", "log", "log2", "log10", "sqrt")
}
"""What declarations may use of the module ``math``."""
METHODS: dict[type, frozenset[str]] = {
    str: frozenset({"join", "lower", "split", "strip", "title", "upper"})
    | {"capitalize", "endswith", "lstrip", "removeprefix", "removesuffix", "rstrip", "startswith"},
    tuple: frozenset({"count", "index"}),
    list: frozenset({"count", "index"}),
    dict: frozenset({"get", "items", "keys", "values"}),
}
"""Methods of built-in types that declarations may call."""
PATH_METHODS = frozenset(["absolute", "as_posix", "resolve", "with_name", "with_suffix"])
PATH_PARTS = frozenset(["name", "parent", "stem", "suffix"])
"""Methods and attributes of a path; those that need the disk only look up links."""


def join(text: str, parts: Any) -> str:
    """Return ``text.join(parts)``; raises Unbounded if that is too long."""
    items(sum(map(len, parts)) + len(text) * len(parts), text=True)
    return text.join(parts)
