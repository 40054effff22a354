"""YAML that people write: one mapping per file, read safely; what is odd is refused."""

import math
from collections.abc import Mapping
from typing import Any

import yaml

from suite.core.errors import InvalidInput

MAX_VALUES = 100_000


def read_mapping(text: str, what: str, fields: str) -> Mapping[str, Any]:
    """Return the mapping that `text` holds; `what` and `fields` name it and its keys to people.

    Raises:
        InvalidInput: it is not YAML, not a mapping of texts, gives a key twice, or its aliases
            stand for too much.
    """
    try:
        content = yaml.load(text, Loader=_Loader)
        if (count := _values(content, {})) > MAX_VALUES:
            raise InvalidInput(
                f"{what}: its aliases stand for {count:g} values, at most {MAX_VALUES:,} "
                "are usable: write out what it needs"
            )
    except (yaml.YAMLError, RecursionError) as error:
        line = " ".join(str(error).split())
        raise InvalidInput(f"{what} is not valid YAML: {line}") from error
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise InvalidInput(f"{what}: expected a mapping with {fields}")
    return content


class _Loader(yaml.SafeLoader):
    """YAML's safe loader, without the silent loss of a field that is given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return the mapping; a repeated key is an error."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"'{key}' is given twice")
        return super().construct_mapping(node, deep)


def _values(content: Any, known: dict[int, float]) -> float:
    """Return how many values YAML stands for, each alias written out; no end if it is in itself."""
    if not isinstance(content, dict | list):
        return 1
    if id(content) not in known:
        known[id(content)] = math.inf
        parts = content.values() if isinstance(content, dict) else content
        known[id(content)] = 1 + sum(_values(part, known) for part in parts)
    return known[id(content)]
