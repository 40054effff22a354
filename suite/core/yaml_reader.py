"""YAML files that users write: one mapping per file, read safely; ambiguous files are refused."""

import math
from collections.abc import Mapping
from importlib.resources.abc import Traversable
from typing import Any

import yaml

from suite.core.errors import InvalidInput

MAX_VALUES = 100_000
UNBUILT = ("tag:yaml.org,2002:merge", "tag:yaml.org,2002:value")
"""Keys that stand for something else, ``<<`` and ``=``; PyYAML resolves them later."""


def read_yaml(file: Traversable, what: str, fields: str) -> Mapping[str, Any]:
    """Return the mapping in a file; `what` and `fields` name the file and its keys in messages.

    Raises:
        InvalidInput: the file cannot be read, is not YAML or not a mapping with string keys, gives
            a key twice, or has aliases that expand to too many values. The message says where.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InvalidInput(f"{what} cannot be read: {reason}") from error
    try:
        content = yaml.load(text, Loader=_Loader)
        count = _values(content, {})
    except _DuplicateKey as error:
        raise InvalidInput(f"{what}: {_with_place(error)}") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:  # ValueError: a date of month 13
        raise InvalidInput(f"{what} is not valid YAML: {_with_place(error)}") from error
    if count > MAX_VALUES:
        raise InvalidInput(
            f"{what}: its aliases stand for {count:g} values, at most {MAX_VALUES:,} "
            "are usable: write out what it needs"
        )
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise InvalidInput(f"{what}: expected a mapping with {fields}")
    return content


class _DuplicateKey(yaml.MarkedYAMLError):
    """A mapping gives a key twice, which YAML forbids and PyYAML accepts."""


class _Loader(yaml.SafeLoader):
    """YAML's safe loader that refuses duplicate keys."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Return the node of a mapping, before merge keys (``<<``) are resolved."""
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                value = key.tag if key.tag in UNBUILT else self.construct_object(key)
                if value in seen:
                    problem = f"'{key.value}' is given twice: give it once"
                    raise _DuplicateKey(problem=problem, problem_mark=key.start_mark)
                seen.add(value)
        return node


def _with_place(error: Exception) -> str:
    """Return a parser's complaint in one line that begins with line and column, if it has them."""
    if isinstance(error, yaml.MarkedYAMLError) and (
        mark := error.problem_mark or error.context_mark
    ):
        problem = ", ".join(filter(None, (error.context, error.problem)))
        return f"line {mark.line + 1}, column {mark.column + 1}: {problem}"
    return " ".join(str(error).split())


def _values(content: Any, known: dict[int, float]) -> float:
    """Return how many values YAML content has with aliases expanded; infinite for a cycle."""
    if not isinstance(content, dict | list):
        return 1
    if id(content) not in known:
        known[id(content)] = math.inf
        parts = content.values() if isinstance(content, dict) else content
        known[id(content)] = 1 + sum(_values(part, known) for part in parts)
    return known[id(content)]
