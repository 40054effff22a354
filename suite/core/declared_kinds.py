"""What a declaration may consist of, and how what it may not is refused."""

import ast
import importlib
from collections.abc import Mapping, Sized
from dataclasses import dataclass, is_dataclass
from pathlib import Path, PurePath
from typing import Any

from suite.core import bounded_operators as bounded
from suite.core.declarations import Declared, Difference, Hyperparameter, Search
from suite.core.errors import InvalidInput

CALLABLE: Mapping[str, frozenset[str]] = {
    "suite.core.declarations": frozenset(
        {"Declared", "Difference", "Hyperparameter", "Method", "Search"}
    ),
    "suite.core.custom_trainer": frozenset({"Trainer"}),
    "suite.core.hyperparameters": frozenset({"with_defaults"}),
    "tasks.task": frozenset({"Dataset", "Task", "variant"}),
    "dataclasses": frozenset({"replace"}),
    "pathlib": frozenset({"Path"}),
}
"""Module → what declarations may call of it."""
PLAIN = (type(None), bool, int, float, complex, str, bytes, PurePath, range, type(...))


class Unsafe(Exception):
    """What was found and what to write instead."""


class Located(InvalidInput):
    """A refusal that names its file and line."""


@dataclass(frozen=True)
class Module:
    """A module that a name stands for; only its attributes are values."""

    name: str
    origin: str


@dataclass(frozen=True)
class Own:
    """A class or function of a file, which is never called."""

    name: str
    kind: str
    line: int


def inside(value: Any) -> list[Any] | None:
    """Return the values directly inside of one; None if it is no container."""
    if isinstance(value, dict):
        return [*value, *value.values()]
    if isinstance(value, tuple | list | set | frozenset):
        return list(value)
    if is_dataclass(value) and not isinstance(value, type):
        return list(vars(value).values())
    return None


def length(value: Any) -> int:
    """Return the number of items that a function goes through; a text counts less."""
    if isinstance(value, str | bytes):
        return 1 + len(value) // 64
    return len(value) if isinstance(value, Sized) and not isinstance(value, type) else 1


def is_declared(value: Any) -> bool:
    """Return whether a value is a declaration or a part of one; all of their types are ours."""
    return isinstance(value, Declared | Difference | Hyperparameter | Search)


def is_callable(value: Any) -> bool:
    """Return whether a declaration may call this."""
    module, name = getattr(value, "__module__", None), getattr(value, "__name__", None)
    if value in bounded.TYPES.values():
        return True
    if name in bounded.MATH:
        return callable(value) and value is bounded.MATH[name]
    return callable(value) and any(
        name in names and value is getattr(importlib.import_module(known), name)
        for known, names in CALLABLE.items()
        if known == module or name == "Path"
    )


def is_data(value: Any) -> bool:
    """Return whether a value of this project's is a constant, a declaration or one of their types.

    What is inside of a container of this project is trusted.
    """
    if isinstance(value, (*PLAIN, tuple, list, dict, set, frozenset)) or is_declared(value):
        return True
    return isinstance(value, Mapping) or is_callable(value)


def own(value: Own) -> str:
    """Return why a class or function of a file is refused, and what to write instead."""
    if value.kind == "class":
        return (
            f"uses the class {value.name} of line {value.line}, and no class of the file is made "
            "to read a declaration: write the value out"
        )
    return (
        f"uses the function {value.name} of line {value.line}, and no function of the file is run "
        "to read a declaration: write out what it returns, or use a comprehension"
    )


def with_place(path: Path, node: ast.AST, error: Exception) -> InvalidInput:
    """Return the refusal that an exception stands for, with file and line."""
    text = " ".join(str(error).split())
    if isinstance(error, Located):
        return error
    if isinstance(error, Unsafe):
        text = f"the declaration {text}"
    elif isinstance(error, bounded.Unbounded):
        text = f"the declaration makes {text}: write a smaller one"
    elif isinstance(error, RecursionError):
        text = "the declaration is nested too deeply: give parts of it names"
    elif isinstance(error, TypeError):
        text = f"the declaration cannot be evaluated: {text}"
    elif not isinstance(error, InvalidInput):  # of an operator or a call: a missing key
        text = f"the declaration cannot be evaluated: {type(error).__name__}: {text}"
    return Located(f"{path}:{getattr(node, 'lineno', 1)}: {text}")
