"""Parquet files from outside: what they would unpack to is known before anything is unpacked.

A file of a few kilobytes may hold gigabytes: one page of zeros, or a row that is repeated a billion
times. `check` reads the file's own directory and the head of each page, as the specification of
Apache Parquet describes them (Thrift's compact protocol), and nothing else.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

MAGIC = b"PAR1"
MAX_COLUMNS = 100
MAX_FOOTER = 2**22
MAX_FIELDS = 200_000
"""Of the directory and the heads of pages; a file of six columns has some hundred."""
BOOLEANS = (1, 2)
BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(3, 13)
REPEATED = 2


class InvalidParquet(ValueError):
    """A file is not Parquet, or exceeds a limit; the message says which, in one line."""


class Limits(NamedTuple):
    """What a file may hold: rows, and bytes when it is unpacked."""

    rows: int
    size: int


def errors() -> tuple[type[BaseException], ...]:
    """Return what polars raises for a damaged file; a panic of its own is no `Exception`."""
    from polars.exceptions import PanicException, PolarsError

    return (PolarsError, PanicException, OSError)


def check(content: bytes, limits: Limits) -> None:
    """Check what a Parquet file unpacks to.

    Raises:
        InvalidParquet: it is damaged, nested (lists in columns), or exceeds a limit.
    """
    try:
        rows, size = _measure(content, limits)
    except InvalidParquet:
        raise
    except (IndexError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise InvalidParquet("it is not a sound Parquet file") from error
    _limit(rows, limits.rows, "rows")
    _limit(size, limits.size, "bytes when it is unpacked")


def _limit(found: int, limit: int, what: str) -> None:
    if found > limit:
        raise InvalidParquet(f"it has {found:,} {what}, more than {limit:,}")


def _measure(content: bytes, limits: Limits) -> tuple[int, int]:
    """Return rows and unpacked bytes, as the directory and the pages say."""
    if len(content) < 12 or content[:4] != MAGIC or content[-4:] != MAGIC:
        raise InvalidParquet("it is not a Parquet file")
    length = int.from_bytes(content[-8:-4], "little")
    if length > min(MAX_FOOTER, len(content) - 12):
        raise InvalidParquet("its directory is larger than the file, or than any")
    reader = _Thrift(content, len(content) - 8 - length)
    directory = reader.struct()
    columns = [element for element in directory[2] if 5 not in element]  # the others are groups
    if len(directory[2]) != len(columns) + 1 or len(columns) > MAX_COLUMNS:
        raise InvalidParquet("it has nested columns, or too many")
    if any(element.get(3) == REPEATED for element in columns):
        raise InvalidParquet("it has columns of lists")
    rows, size = directory[3], 0
    in_groups = 0
    for group in directory[4]:
        in_groups += group[3]
        if len(group[1]) != len(columns) or group[3] < 0:
            raise InvalidParquet("a group of rows lacks a column")
        for chunk in group[1]:
            about = chunk[3]
            if about[5] != group[3] or 1 in chunk:
                raise InvalidParquet("a column has not as many values as rows, or is elsewhere")
            start = min(about[9], about.get(11) or about[9])
            for page in _pages(reader, content, start, about[7]):
                size += page
                _limit(size, limits.size, "bytes when it is unpacked")
    if in_groups != rows:
        raise InvalidParquet("its groups do not add up to its rows")
    return rows, size


def _pages(reader: "_Thrift", content: bytes, start: int, length: int) -> Iterator[int]:
    """Yield the unpacked size of each page of a column."""
    end = start + length
    if start < len(MAGIC) or length < 0 or end > len(content):
        raise InvalidParquet("a column lies outside the file")
    while start < end:
        reader.at = start
        head = reader.struct()
        unpacked, packed = head[2], head[3]
        if unpacked < 0 or packed < 0:
            raise InvalidParquet("a page has a negative size")
        yield unpacked
        start = reader.at + packed


class _Thrift:
    """Reads structs of Thrift's compact protocol: a dict by number of field."""

    def __init__(self, content: bytes, at: int) -> None:
        self._content = content
        self.at = at
        self._left = MAX_FIELDS

    def struct(self) -> dict[int, Any]:
        """Read a struct."""
        found: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            kind, step = head & 15, head >> 4
            number = number + step if step else self._integer()
            found[number] = kind == BOOLEANS[0] if kind in BOOLEANS else self._value(kind)
        return found

    def _byte(self) -> int:
        self.at += 1
        return self._content[self.at - 1]

    def _number(self) -> int:
        found = shift = 0
        while True:
            byte = self._byte()
            found |= (byte & 127) << shift
            if byte < 128:
                return found
            shift += 7
            if shift > 63:
                raise InvalidParquet("a number in its directory is too long")

    def _integer(self) -> int:
        number = self._number()
        return (number >> 1) ^ -(number & 1)

    def _value(self, kind: int) -> Any:
        self._left -= 1
        if self._left < 0:
            raise InvalidParquet("its directory has too many entries")
        if kind in (I16, I32, I64):
            return self._integer()
        if kind in (BYTE, *BOOLEANS):
            return self._byte()
        if kind == BINARY:
            return self._skip(self._number())
        if kind == STRUCT:
            return self.struct()
        if kind in (LIST, SET):
            head = self._byte()
            count = head >> 4 if head >> 4 < 15 else self._number()
            return [self._value(head & 15) for _ in range(count)]
        if kind == DOUBLE:
            return self._skip(8)
        raise InvalidParquet("its directory has an entry of an unknown kind")

    def _skip(self, length: int) -> None:
        self.at += length
        if self.at > len(self._content):
            raise InvalidParquet("its directory ends too early")
