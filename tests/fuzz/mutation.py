"""Changes to sound inputs: of bytes, and of the structure of JSON and YAML."""

import json
import random
from typing import Any

TEXTS = (
    "", "\0", "\ud800", "​", "x" * 5000, "../../etc/passwd", "<script>", "no", "1e999", "-1",
    "NaN", "digits/mlp", "a\nb", "%s%n", "{0}", "é" * 300, "/dev/zero",
)  # fmt: skip
NUMBERS = (
    "0", "-0.0", "-1", "1e308", "1e999", "-1e999", "NaN", "Infinity", "9" * 5000, "0.1e-400",
    str(2**63), str(2**64), str(-(2**63) - 1), "1" + "0" * 400, "1e5", "true",
)  # fmt: skip
DEEP = ("[" * 2000 + "]" * 2000, '{"a":' * 500 + "1" + "}" * 500, "[" * 100_000)
MANY = ("[" + ",".join(["0"] * 100_000) + "]", json.dumps({f"k{n}": n for n in range(30_000)}))


class Raw(str):
    """A piece of JSON as it stands, sound or not."""

    __slots__ = ()


Pairs = list[tuple[str, Any]]
"""A JSON object as pairs, whose keys may repeat; made by `parse`."""


class _Object(list[Any]):
    """Marks a list of pairs as an object."""


def parse(text: str | bytes) -> Any:
    """Return JSON with its objects as pairs."""
    return json.loads(text, object_pairs_hook=_Object)


def dump(value: Any) -> str:
    """Return a tree of `parse`, with what has been put into it, as JSON."""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, _Object):
        return "{" + ",".join(f"{json.dumps(key)}:{dump(item)}" for key, item in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(dump, value)) + "]"
    return json.dumps(value)


def mutate_tree(random: random.Random, tree: Any) -> None:
    """Change a tree of `parse` in one to three places."""
    for _ in range(random.choice((1, 1, 2, 3))):
        places = list(_places(tree))
        if not places:
            return
        holder, index = random.choice(places)
        _change(random, holder, index)


def _places(tree: Any) -> Any:
    """Yield (holder, index) of every value under a list or an object."""
    waiting = [tree]
    while waiting:
        holder = waiting.pop()
        for index in range(len(holder)):
            yield holder, index
            value = holder[index][1] if isinstance(holder, _Object) else holder[index]
            if isinstance(value, list):
                waiting.append(value)


def _change(random: random.Random, holder: Any, index: int) -> None:
    what = random.random()
    is_object = isinstance(holder, _Object)
    if what < 0.1:
        del holder[index]
    elif what < 0.2:
        holder.insert(random.randrange(len(holder) + 1), holder[index])
    elif what < 0.3 and is_object:
        key = random.choice((*TEXTS, holder[index][0] + "x", holder[index][0].upper()))
        holder[index] = (key, holder[index][1])
    else:
        old = holder[index][1] if is_object else holder[index]
        new = _value(random, old)
        holder[index] = (holder[index][0], new) if is_object else new


def _value(random: random.Random, old: Any) -> Any:
    """Return something in place of a value."""
    kind = random.random()
    if kind < 0.3:
        return Raw(random.choice(NUMBERS))
    if kind < 0.5:
        return random.choice(TEXTS)
    if kind < 0.6:
        return Raw(random.choice(("null", "true", "false", "[]", "{}", "[[]]", '{"":0}')))
    if kind < 0.65:
        return Raw(random.choice(DEEP))
    if kind < 0.7:
        return Raw(random.choice(MANY))
    if kind < 0.8:
        return [old]
    if isinstance(old, bool) or old is None:
        return Raw("1")
    if isinstance(old, int | float):
        return random.choice((str(old), float(old), old * 2, -old, old + 1))
    if isinstance(old, str):
        return random.choice((old * 2, old[:-1], old + "\n", old.upper(), 3))
    return Raw("0")


PIECES = (b"&a *a", b"!!", b"<<: ", b"\n", b'"', b"[", b"9" * 500, b"\xff", b"\0" * 8)


def mutate_bytes(random: random.Random, content: bytes) -> bytes:
    """Change bytes in one to eight places: flip, splice, cut, repeat, insert."""
    for _ in range(random.choice((1, 1, 2, 4, 8))):
        if not content:
            return random.randbytes(random.randrange(64))
        content = _changed(random, content)
    return content


def _changed(random: random.Random, content: bytes) -> bytes:
    place, length = random.randrange(len(content)), random.choice((1, 2, 4, 16, 200))
    before, piece = content[:place], content[place : place + length]
    match random.randrange(8):
        case 0:
            piece = bytes([piece[0] ^ (1 << random.randrange(8))]) + piece[1:]
        case 1:
            piece = bytes([random.choice((0, 255, 127, 128))]) + piece[1:]
        case 2:
            piece = b""
        case 3:
            return before
        case 4:
            piece *= random.choice((2, 4, 1000))
        case 5:
            piece = random.randbytes(len(piece))
        case 6:
            piece = random.randbytes(8) + piece[8:]
        case 7:
            piece = random.choice(PIECES) + piece
    return before + piece + content[place + length :]
