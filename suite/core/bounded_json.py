"""JSON from outside: limited before anything is built from it, and read strictly.

`json.loads` takes whatever it is given: a megabyte of ``[[],[],…]`` becomes twenty of empty lists,
of two values under one name the last counts, and NaN, 1e999 and half a surrogate pair are let
through. Everything that others may have written is read by `parse` instead.
"""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
MAX_DIGITS = 300
"""Of an integer; a larger one is no float and no count."""
_LARGEST = 10**MAX_DIGITS
_INFINITE = float("inf")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a JSON text may hold.

    Attributes:
        size: bytes.
        values: numbers, texts, objects, lists: everything that becomes an object in memory (about
            a hundred bytes each).
        depth: levels of nesting.
        text: characters of one text or name.
        infinite: whether NaN and infinities are numbers, as in the state of a training.
    """

    size: int
    values: int
    depth: int
    text: int
    infinite: bool = False


DOCUMENT = Limits(size=32 * 2**20, values=1_000_000, depth=64, text=1_000_000)
"""For a document of a store (a study, a tuning): many times what this program writes."""
LINE = Limits(size=2**20, values=50_000, depth=32, text=100_000)
"""For one line of a file of lines, or a header."""


class InvalidJson(ValueError):
    """A text is not JSON, or exceeds a limit; the message says which, in one line."""


def parse(data: bytes | str, limits: Limits = DOCUMENT, *, for_model: bool = False) -> Any:
    """Return the content of a JSON text, in UTF-8.

    Size and number of values are estimated before anything is built, so memory is limited by
    `limits`. With `for_model` the result is given to a model that limits nesting, texts and numbers
    itself, and they are not looked at twice: a store of 10,000 records is read that way.

    Raises:
        InvalidJson: it is not JSON, exceeds a limit, names a value twice in one object, holds a
            NaN, an infinity, an integer of more than `MAX_DIGITS` digits, or half a surrogate pair.
    """
    try:
        if isinstance(data, str):
            data = data.encode()
        if len(data) > limits.size:
            raise InvalidJson(f"it has {len(data):,} bytes, more than {limits.size:,}")
        if len(data) > limits.values:  # a value has at least one byte
            _limit_values(data, limits.values)
        content = (_LENIENT if limits.infinite else _DECODER).decode(data.decode())
        if b"\\" in data and SURROGATE.search(data):
            json.dumps(content, ensure_ascii=False).encode()
        if not for_model:
            _limit_content(content, limits)
    except InvalidJson:
        raise
    except UnicodeDecodeError as error:
        raise InvalidJson(f"byte {error.start} is not UTF-8") from error
    except UnicodeEncodeError as error:
        raise InvalidJson("a text holds half a surrogate pair, which is no character") from error
    except RecursionError as error:
        raise _too_deep(limits) from error
    except json.JSONDecodeError as error:
        raise InvalidJson(f"not JSON: {error}") from error
    except ValueError as error:  # Python's own limit on digits
        raise InvalidJson(f"an integer has more than {MAX_DIGITS} digits") from error
    return content


def count_values(data: bytes, start: int = 0, end: int | None = None) -> int:
    """Return at most how many values a JSON text holds: one stands after each comma and bracket."""
    end = len(data) if end is None else end
    return sum(data.count(mark, start, end) for mark in (b",", b"[", b"{")) + 1


def _limit_values(data: bytes, limit: int) -> None:
    if count_values(data) > limit and _holds_more(data, limit):
        raise InvalidJson(f"it holds more than {limit:,} values")


def _holds_more(data: bytes, limit: int) -> bool:
    """Return whether there are more values than the limit; what stands in texts does not count."""
    found = texts = end = 0
    for text in STRING.finditer(data):  # ends early: each text is a value, or the name of one
        found += count_values(data, end, text.start()) - 1
        texts, end = texts + 1, text.end()
        if found > limit or texts > 2 * limit:
            return True
    return found + count_values(data, end) > limit


def _limit_content(content: Any, limits: Limits) -> None:
    """Check what only the values themselves show, level by level: recursion could not be deep."""
    level: Sequence[Any] = [content]
    longest = limits.text
    for _ in range(limits.depth + 1):
        below: list[Any] = []
        for value in level:
            kind = type(value)
            if kind is str:
                if len(value) > longest:
                    raise InvalidJson(
                        f"a text has {len(value):,} characters, more than {longest:,}"
                    )
            elif kind is dict:
                below += value
                below += value.values()
            elif kind is list:
                below += value
            elif kind is float:
                if not (limits.infinite or -_INFINITE < value < _INFINITE):
                    raise InvalidJson("a number is too large for a float")
            elif kind is int and not -_LARGEST < value < _LARGEST:
                raise InvalidJson(f"an integer has more than {MAX_DIGITS} digits")
        if not below:
            return
        level = below
    raise _too_deep(limits)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        counts = Counter(name for name, _ in pairs)
        raise InvalidJson(f"{counts.most_common(1)[0][0]!a:.80} is given twice in one object")
    return made


def _constant(name: str) -> NoReturn:
    raise InvalidJson(f"{name} is not a number")


def _too_deep(limits: Limits) -> InvalidJson:
    return InvalidJson(f"it is nested more than {limits.depth} levels deep")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)
_LENIENT = json.JSONDecoder(object_pairs_hook=_object)
