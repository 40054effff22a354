"""Arguments of the Python functions: what has the wrong type is refused, never converted.

Each function returns an argument in the type that it is used in, or raises `InvalidInput` with the
argument's name, its value and what to give. `True` is no number, and a text is no list of texts.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, NoReturn, TypeVar

from suite.core.errors import InvalidInput

C = TypeVar("C", bound=StrEnum)


def text(name: str, given: object, words: str = "a text") -> str:
    """Return a text."""
    if not isinstance(given, str):
        _refuse(name, given, words)
    return given


def flag(name: str, given: object) -> bool:
    """Return True or False."""
    if not isinstance(given, bool):
        _refuse(name, given, "True or False")
    return given


def number(name: str, given: object) -> float:
    """Return a number."""
    if isinstance(given, bool) or not isinstance(given, int | float):
        _refuse(name, given, "a number")
    return given


def not_a_sparsity(name: str, given: object) -> InvalidInput:
    """Return the refusal of what is no sparsity; of a percentage it says which fraction it is."""
    shown = f"{given:g}" if isinstance(given, float) else f"{given!r:.40}"
    percent = ""
    if isinstance(given, int | float) and not isinstance(given, bool) and 1 < given < 100:
        percent = f"; {given:g} % is {given / 100:g}"
    return InvalidInput(f"{name}={shown} is not usable: give a number in [0, 1){percent}")


def count(name: str, given: object, *, least: int) -> int:
    """Return a whole number of at least `least`."""
    if isinstance(given, bool) or not isinstance(given, int):
        _refuse(name, given, "a whole number")
    if given < least:
        raise InvalidInput(f"{name}={given}: give at least {least}")
    return given


def choice(kind: type[C], name: str, given: object) -> C:
    """Return one of the values of an option."""
    if not isinstance(given, str) or given not in list(kind):
        _refuse(name, given, f"one of {', '.join(kind)}")
    return kind(given)


def by_name(name: str, given: object) -> dict[str, Any]:
    """Return values by name; none if None."""
    if given is not None and not isinstance(given, Mapping):
        _refuse(name, given, "a dictionary, values by name")
    return dict(given or {})


def path(name: str, given: object, words: str = "a path, as a text or a Path") -> str:
    """Return a path as text."""
    if not isinstance(given, str | os.PathLike) or not isinstance(os.fspath(given), str):
        _refuse(name, given, words)
    found = os.fspath(given)
    if not found:
        _refuse(name, given, words)
    return found


def paths(name: str, given: object) -> list[str]:
    """Return paths as texts; a single one is a list of one."""
    if isinstance(given, str | os.PathLike):
        return [path(name, given)]
    if isinstance(given, Mapping | bytes) or not isinstance(given, Iterable):
        _refuse(name, given, "a list of paths")
    return [path(name, one) for one in given]


def texts(name: str, given: object) -> list[str]:
    """Return texts; a single one is a list of one."""
    if isinstance(given, str):
        return [given]
    if isinstance(given, bytes) or not isinstance(given, Sequence):
        _refuse(name, given, "a list of texts")
    return [text(name, one) for one in given]


def _refuse(name: str, given: object, words: str) -> NoReturn:
    raise InvalidInput(f"{name}={given!r:.60}: give {words}")
