"""YAML files that users write: one mapping per file, read safely; ambiguous files are refused.

What may make a file expensive (bytes, values, aliases, depth, long texts) is bounded while it is
parsed, before anything is built from it. The values are those of JSON: text, numbers, true and
false, null, lists and mappings. What YAML 1.1 reads in another way than it looks (``no``, ``010``,
``12:30``, ``1e-3``, a date) is refused with its line.
"""

import math
import re
from collections.abc import Mapping
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import yaml

from suite.core.errors import InvalidInput
from suite.core.files import read_regular

MAX_BYTES = 500_000
"""Largest file that is read, in bytes."""
MAX_VALUES = 10_000
"""Most values of a file, keys among them; an alias counts as what it stands for."""
MAX_DEPTH = 50
"""Most lists and mappings inside of each other."""
MAX_TEXT = 10_000
"""Longest text, in characters."""
MAX_INTEGER = 2**63
"""Integers lie below it, and above its negative: what other programs can store."""

_TAG = "tag:yaml.org,2002:"
_MERGE = f"{_TAG}merge"
_USED = {_MERGE, *(_TAG + kind for kind in ("null", "bool", "int", "float", "str", "seq", "map"))}
_CONTROL = re.compile(r"[^\t\n\x20-\x7e\xa0-\ud7ff\ue000-\U0010ffff]")
_NUMBER_AS_TEXT = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+")
"""What YAML 1.2 reads as a number and YAML 1.1, which wants a point and a sign, as text."""
_QUOTE = "put it in quotes if it is a text"


def read_yaml(file: Traversable, what: str, fields: str) -> Mapping[str, Any]:
    """Return the mapping in a file; `what` and `fields` name the file and its keys in messages.

    Raises:
        InvalidInput: the file cannot be read, is larger than is read, is not YAML or not a mapping
            with string keys, gives a key twice, or has a value that is not used here or can be
            misread. The message says where.
    """
    loader = None
    text = _text(file, what)
    try:
        loader = _Loader(text)
        content = loader.get_single_data()
    except _Refused as error:
        raise InvalidInput(f"{what}: {_with_place(error)}") from error
    except yaml.YAMLError as error:
        raise InvalidInput(f"{what} is not valid YAML: {_with_place(error)}") from error
    except (RecursionError, ValueError, OverflowError) as error:  # "\UFFFFFFFF" is no character
        place = "" if loader is None else f"line {loader.line + 1}: "
        raise InvalidInput(f"{what} is not valid YAML: {place}{_one_line(error)}") from error
    if not isinstance(content, dict):
        raise InvalidInput(f"{what}: expected a mapping with {fields}")
    return content


def _text(file: Traversable, what: str) -> str:
    """Return a file's text.

    Raises:
        InvalidInput: it cannot be read, is too large, or is no text in UTF-8.
    """
    try:
        if isinstance(file, Path):
            raw = read_regular(file, MAX_BYTES, follow=True)
        else:  # part of an installed package that is a zip file
            raw = file.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{what} cannot be read: {error.strerror}") from error
    except ValueError as error:  # a name that no file can have
        raise InvalidInput(f"{what} cannot be read: {error}") from error
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InvalidInput(
            f"{what} cannot be read: line {line}: byte 0x{raw[error.start]:02x} is not UTF-8: save "
            "the file as UTF-8"
        ) from error
    if odd := yaml.reader.Reader.NON_PRINTABLE.search(text):
        line = text.count("\n", 0, odd.start()) + 1
        raise InvalidInput(
            f"{what} is not valid YAML: line {line}: the character U+{ord(odd[0]):04X} may not be "
            "in it: remove it"
        )
    return text


class _Refused(yaml.MarkedYAMLError):
    """What YAML allows, or PyYAML accepts, and is refused here."""

    def __init__(self, problem: str, mark: yaml.Mark) -> None:
        super().__init__(problem=problem, problem_mark=mark)


class _Loader(yaml.SafeLoader):
    """YAML's safe loader with bounds, that refuses duplicate keys and what can be misread.

    It counts values while nodes are composed: nothing has been built from them by then.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._count = 0
        self._depth = 0
        self._sizes: dict[yaml.Node, int] = {}

    def compose_node(self, parent: Any, index: Any) -> yaml.Node:
        """Return the next node; an alias counts as many values as what it stands for."""
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        before, is_alias = self._count, isinstance(event, yaml.AliasEvent)
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _Refused(
                f"more than {MAX_DEPTH} lists and mappings are inside of each other: nest less",
                event.start_mark,
            )
        node = super().compose_node(parent, index)
        assert node is not None  # of a document that has begun
        self._depth -= 1
        if is_alias and node not in self._sizes:
            raise _Refused(f"*{event.anchor} stands for what it is part of", event.start_mark)
        self._count += self._sizes[node] if is_alias else 1
        if self._count > MAX_VALUES:
            aliases = "its aliases stand for " if is_alias else ""
            raise _Refused(
                f"{aliases}more than {MAX_VALUES:,} values, which are all that is read: give fewer",
                event.start_mark,
            )
        if not is_alias:
            self._sizes[node] = self._count - before
        return node

    def compose_scalar_node(self, anchor: Any) -> yaml.ScalarNode:
        """Return the node of a single value."""
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        node: yaml.ScalarNode = super().compose_scalar_node(anchor)
        if problem := _misread(node, plain=event.implicit[0]):
            raise _Refused(problem, node.start_mark)
        return node

    def compose_sequence_node(self, anchor: Any) -> yaml.SequenceNode:
        """Return the node of a list."""
        node: yaml.SequenceNode = super().compose_sequence_node(anchor)
        _check_tag(node, "a list")
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Return the node of a mapping, before merge keys (``<<``) are resolved."""
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        _check_tag(node, "a mapping")
        seen = set()
        for key, _ in node.value:
            if key.tag not in (f"{_TAG}str", _MERGE):
                is_value = isinstance(key, yaml.ScalarNode)
                shown = f"'{_shown(key.value)}'" if is_value else "a list or a mapping"
                raise _Refused(
                    f"{shown} is a key and no text: put a name in quotes", key.start_mark
                )
            if (key.tag, key.value) in seen:
                raise _Refused(
                    f"'{_shown(key.value)}' is given twice: give it once", key.start_mark
                )
            seen.add((key.tag, key.value))
        return node


def _check_tag(node: yaml.Node, what: str) -> None:
    if node.tag not in _USED:
        tag = _shown(node.tag.replace(_TAG, "!!"))
        raise _Refused(f"{what} of type {tag} is not used here: remove the type", node.start_mark)


def _misread(node: yaml.ScalarNode, *, plain: bool) -> str:
    """Return what is wrong with a single value, empty if nothing is; `plain`: not in quotes."""
    text, kind = node.value, node.tag.removeprefix(_TAG)
    shown = _shown(text)
    if len(text) > MAX_TEXT:
        return f"a text of {len(text):,} characters, more than the {MAX_TEXT:,} that are read"
    if odd := _CONTROL.search(text):
        return f"the text has the character U+{ord(odd[0]):04X}: remove it"
    if plain and kind == "timestamp":
        return f"{shown} is read as a date: put it in quotes"
    if plain and kind == "value":
        return f"{shown} has a meaning of its own in YAML: put it in quotes"
    if node.tag not in _USED:
        tag = _shown(node.tag.replace(_TAG, "!!"))
        return f"{shown or 'nothing'} of type {tag} is not used here: remove the type"
    if kind == "bool" and text.lower() not in ("true", "false"):
        if text.lower() not in yaml.SafeLoader.bool_values:
            return f"{shown} is no truth value: give true or false"
        read = str(yaml.SafeLoader.bool_values[text.lower()]).lower()
        return f"YAML reads {shown} as {read}: write {read}, or {_QUOTE}"
    if kind in ("int", "float"):
        return _misread_number(text, kind, shown)
    if plain and kind == "str" and _NUMBER_AS_TEXT.fullmatch(text):
        mantissa, _, exponent = text.lower().partition("e")
        point = mantissa if "." in mantissa else f"{mantissa}.0"
        sign = exponent if exponent[0] in "+-" else f"+{exponent}"
        return f"YAML reads {shown} as text: write {point}e{sign}, or {_QUOTE}"
    return ""


def _misread_number(text: str, kind: str, shown: str) -> str:
    """Return what is wrong with a number; empty if nothing is."""
    digits = text.lstrip("+-").replace("_", "").lower()
    if ":" in text:
        return f"YAML reads {shown} as a number of base 60: put it in quotes"
    if kind == "int" and digits.startswith("0") and digits.isdigit() and len(digits) > 1:
        return f"YAML reads {shown} as an octal number: write it without a leading 0, or {_QUOTE}"
    if len(digits) > 100:
        return f"{shown} is a number of {len(digits):,} digits: give fewer"
    try:
        if kind == "int":
            is_usable = abs(int(digits, 0)) < MAX_INTEGER
        else:
            is_usable = digits in (".inf", ".nan") or math.isfinite(float(digits))
    except ValueError:
        return f"{shown} is no number"
    return "" if is_usable else f"{shown} is too large a number: give one below 2**63"


def _shown(text: object) -> str:
    """Return the beginning of a text, on one line."""
    line = " ".join(str(text).split())
    return line if len(line) <= 60 else f"{line[:60]}…"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _with_place(error: yaml.YAMLError) -> str:
    """Return a parser's complaint in one line that begins with line and column, if it has them."""
    if isinstance(error, yaml.MarkedYAMLError) and (
        mark := error.problem_mark or error.context_mark
    ):
        problem = ", ".join(filter(None, (error.context, error.problem)))[:300]
        return f"line {mark.line + 1}, column {mark.column + 1}: {problem}"
    return _one_line(error)
