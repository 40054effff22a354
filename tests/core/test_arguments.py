"""Arguments of wrong types are refused, never converted."""

import functools
from enum import StrEnum
from pathlib import Path

import pytest

from suite.core import arguments
from suite.core.errors import InvalidInput


class Speed(StrEnum):
    SLOW = "slow"
    FAST = "fast"


def test_what_has_its_type_is_returned():
    assert arguments.text("a", "x") == "x"
    assert arguments.flag("a", False) is False
    assert [arguments.number("a", one) for one in (1, 0.5)] == [1, 0.5]
    assert arguments.count("a", 3, least=3) == 3
    assert arguments.choice(Speed, "a", "fast") is Speed.FAST
    assert arguments.by_name("a", None) == {}
    assert arguments.path("a", Path("x/y")) == arguments.path("a", "x/y") == "x/y"
    assert arguments.paths("a", "x") == arguments.paths("a", Path("x")) == ["x"]
    assert arguments.paths("a", (one for one in ("x", Path("y")))) == ["x", "y"]
    assert arguments.texts("a", "xy") == ["xy"]
    assert arguments.texts("a", ("x", "y")) == ["x", "y"]


WRONG = {
    "text": (None, 3, True, b"x", ["x"], Path("x")),
    "flag": (None, 0, 1, "no", "true"),
    "number": (None, True, "1", [1], 1j),
    "count": (None, True, "1", 1.0, [1]),
    "choice": (None, 0, True, "quick", ["fast"]),
    "by_name": (3, "x", ["x"], [("x", 1)]),
    "path": (None, 3, True, 0.5, b"x", ["x"], "", object()),
    "paths": (None, 3, b"x", {"x": 1}, [3], [b"x"], [""]),
    "texts": (None, 3, b"x", {"x": 1}, {"x"}, [3], [b"x"]),
}


@pytest.mark.parametrize(("kind", "given"), [(k, one) for k, many in WRONG.items() for one in many])
def test_what_has_another_type_is_refused_in_one_line(kind, given):
    check = getattr(arguments, kind)
    if kind == "choice":
        check = functools.partial(check, Speed)
    if kind == "count":
        check = functools.partial(check, least=1)
    with pytest.raises(InvalidInput, match=r"^a=.*: give ") as refused:
        check("a", given)
    assert "\n" not in str(refused.value)


def test_a_number_that_is_too_small_is_refused():
    with pytest.raises(InvalidInput, match="a=0: give at least 1"):
        arguments.count("a", 0, least=1)
