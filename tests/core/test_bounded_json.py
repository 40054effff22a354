"""Limits on JSON from outside."""

import json
import tracemalloc

import pytest

from suite.core.bounded_json import MAX_DIGITS, InvalidJson, Limits, parse

LIMITS = Limits(size=5000, values=50, depth=5, text=20)


@pytest.mark.parametrize(
    "content",
    [
        {"a": [1, -2.5, True, None, "x"], "b": {"c": {}}},
        [],
        "\N{SNOWMAN} \\ \" \n",
        {"commas in texts": [",,[[{{"[:8]] * 8},
        10 ** (MAX_DIGITS - 1),
        [[[[[1]]]]],
    ],
)  # fmt: skip
def test_what_is_within_the_limits_is_read_as_json(content):
    for text in (json.dumps(content), json.dumps(content, ensure_ascii=False)):
        assert parse(text, LIMITS) == parse(text.encode(), LIMITS) == content


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b" " * 5001, "5,001 bytes, more than 5,000"),
        (b"[" + b"[]," * 60 + b"[]]", "holds more than 50 values"),
        (b"[" * 7 + b"]" * 7, "more than 5 levels"),
        (b"[" * 49 + b"]" * 49, "more than 5 levels"),
        (b'{"a":' * 6 + b"[1]" + b"}" * 6, "more than 5 levels"),
        (json.dumps(["x" * 21]).encode(), "21 characters, more than 20"),
        (json.dumps({"x" * 21: 1}).encode(), "21 characters, more than 20"),
        (b'{"a": {"b": 1, "c": 2, "b": 1}}', "'b' is given twice"),
        (rb'{"a": 1, "\u0061": 2}', "'a' is given twice"),
        (b'{"a": 1e999}', "too large for a float"),
        (b"[-1e999]", "too large for a float"),
        (b"NaN", "NaN is not a number"),
        (b"[-Infinity]", "-Infinity is not a number"),
        (b"1" + b"0" * MAX_DIGITS, "more than 300 digits"),
        (b"1" * 4900, "more than 300 digits"),
        (rb'"\ud800"', "half a surrogate pair"),
        (rb'{"\udc00x": 1}', "half a surrogate pair"),
        ('"\ud800"', "half a surrogate pair"),
        (b'"\xed\xa0\x80"', "byte 1 is not UTF-8"),
        (b"\xff\xfe1\x00", "byte 0 is not UTF-8"),
        (b"\xef\xbb\xbf1", "not JSON"),
        (b"", "not JSON"),
        (b"{'a': 1}", "not JSON"),
        (b'"a\nb"', "not JSON"),
        (b"[1] 2", "not JSON"),
        (b'"' + b"\\" * 4001, "not JSON"),
    ],
)
def test_anything_else_is_refused_in_one_line(text, reason):
    with pytest.raises(InvalidJson, match=reason) as error:
        parse(text, LIMITS)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 200


def test_deeper_nesting_than_python_takes_is_refused():
    with pytest.raises(InvalidJson, match="levels"):
        parse(b"[" * 40_000 + b"]" * 40_000)


def test_too_many_values_are_refused_before_memory_is_taken():
    text = b"[" + b"[]," * 2_000_000 + b"[]]"
    tracemalloc.start()
    try:
        with pytest.raises(InvalidJson, match="values"):
            parse(text)
        assert tracemalloc.get_traced_memory()[1] < 3 * len(text)
    finally:
        tracemalloc.stop()
