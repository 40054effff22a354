"""Parquet files that unpack to gigabytes, or are not sound, are refused before they are read."""

import bisect
import io
import random

import polars as pl
import pytest

from suite.core.bounded_parquet import InvalidParquet, Limits, check, errors

LIMITS = Limits(rows=10_000, size=2**20)
FRAME = pl.DataFrame(
    {
        "step": range(2500),
        "series": ["loss", None] * 1250,
        "value": [0.5] * 2500,
        "on": [True] * 2500,
    }
)


def packed(frame, **options):
    buffer = io.BytesIO()
    frame.write_parquet(buffer, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("compression", ["zstd", "snappy", "gzip", "lz4", "brotli", "uncompressed"])
def test_a_file_within_the_limits_passes_and_one_byte_less_is_too_little(compression):
    content = packed(FRAME, compression=compression, row_group_size=1000)
    check(content, LIMITS)
    check(packed(FRAME.clear()), LIMITS)
    sizes = range(100_000)
    size = bisect.bisect(sizes, 0, key=lambda size: passes(content, Limits(2500, size)))
    assert 2500 < size < 100_000
    assert not passes(content, Limits(2499, size))


def passes(content, limits):
    try:
        check(content, limits)
    except InvalidParquet:
        return False
    return True


BOMBS = {
    "a page of zeros": (pl.DataFrame({"a": ["\0" * 20_000_000]}), "bytes when it is unpacked"),
    "a row a million times": (pl.DataFrame({"a": [None] * 10**6}, schema={"a": pl.String}), "rows"),
    "lists": (pl.DataFrame({"a": [[1] * 10**6]}), "nested"),
    "a hundred columns": (pl.DataFrame({f"{n}": [1] for n in range(101)}), "nested columns, or"),
}


@pytest.mark.parametrize("what", BOMBS)
def test_a_small_file_that_unpacks_to_much_is_refused(what):
    frame, says = BOMBS[what]
    content = packed(frame, statistics=False)  # older Polars write whole texts as bounds
    assert len(content) < 50_000
    with pytest.raises(InvalidParquet, match=says) as error:
        check(content, LIMITS)
    assert "\n" not in str(error.value)


def test_a_damaged_file_is_refused_or_read_and_raises_nothing_else():
    content = packed(FRAME)
    draw = random.Random(0)
    for _ in range(300):
        altered = bytearray(content)
        for _ in range(draw.randint(1, 4)):
            altered[draw.randrange(len(content) - 400, len(content))] = draw.randrange(256)
        passes(bytes(altered), LIMITS)
    for length in range(0, len(content), 50):
        assert not passes(content[:length], LIMITS)
    for other in (b"", b"PAR1", b"PAR1" * 4, b"PAR1" + b"\xff" * 4 + b"PAR1", b"x" * 100):
        assert not passes(other, LIMITS)


def test_a_panic_of_polars_is_one_of_its_errors():
    assert issubclass(pl.exceptions.PanicException, errors())
