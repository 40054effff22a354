"""An index of all records in a few Parquet files, for fast reading.

`store compact` writes it anew, and a study adds its records. It is a cache: a row is used only
while the record it was made from has not changed. What is out of date, damaged or missing is read
record by record. The name of a file is the digest of its content, so a damaged one is ignored, and
several writers add files without meeting each other.
"""

import bisect
import contextlib
import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from suite.core import bounded_parquet
from suite.core.errors import InvalidInput
from suite.results.old_names import has_old_names
from suite.results.record import SCHEMA_VERSION, Record
from suite.results.storage_backend import RECORD, StorageBackend, load_each

if TYPE_CHECKING:
    import polars as pl

FOLDER = "index"
SUFFIX = ".parquet"
FORMERLY = "records.parquet"
"""The one file of earlier versions; it is no longer read, and removed by `write_index`."""
COLUMNS = ("key", "version", "record")
FILE_ROWS = 10_000
FILE_SIZE = 64 * 2**20
"""Rows of a file, and bytes of their texts, at most: one file is in memory while it is written."""
BLOCK_ROWS = 1000
"""Rows that are unpacked at once."""
MAX_FILES = 64
"""With more of them, adding to the index writes it anew."""
MAX_PACKED = 2 * FILE_SIZE
MAX_ALL = 2**30
LIMITS = bounded_parquet.Limits(rows=10 * FILE_ROWS, size=4 * FILE_SIZE)
"""Of one file; of all files, packed, `MAX_ALL`: what they leave out is read record by record."""


@dataclass(frozen=True, slots=True)
class IndexRow:
    """A record's text from the index, which is current."""

    text: str

    def record(self, where: str, key: str) -> Record:
        """Return the record of trial `key`; its checksum was verified when it was indexed.

        Raises:
            InvalidInput: it is not one, or of a newer schema.
        """
        with contextlib.suppress(ValueError):
            record = Record.model_validate_json(self.text)
            is_readable = record.schema_version <= SCHEMA_VERSION and record.key == key
            if is_readable and not has_old_names(record.trial):
                return record
        return Record.from_json(self.text.encode(), f"{where}/{FOLDER}, row {key}", key)


class RecordIndex:
    """The rows of an index, read in the order of keys.

    Little of it is in memory at a time: of each file the packed content, its keys and versions, and
    `BLOCK_ROWS` texts.
    """

    def __init__(self, backend: StorageBackend) -> None:
        """Open the files that can be used; without any, or without a store, there are no rows."""
        self.names = index_names(backend)
        self._files: list[_File] = []
        left = MAX_ALL
        for name in self.names:
            file = _opened(backend, name)
            if file is not None and len(file.content) <= left:
                left -= len(file.content)
                self._files.append(file)

    @property
    def unusable(self) -> list[str]:
        """The names of the files of which no row is used."""
        return sorted(set(self.names) - {file.name for file in self._files})

    def __len__(self) -> int:
        """Return the number of rows, current or not."""
        return sum(len(file.keys) for file in self._files)

    def current(self, versions: Mapping[str, str]) -> set[str]:
        """Return the keys of the records that it has in these versions."""
        return {
            key
            for file in self._files
            for key, version in zip(file.keys, file.versions, strict=True)
            if versions.get(key) == version
        }

    def rows(self, keys: Sequence[str], versions: Mapping[str, str]) -> dict[str, IndexRow]:
        """Return the current rows of these trials, of which `versions` says what is current.

        `keys` are in order; reading is fastest if the next call asks for keys that follow them.
        """
        found: dict[str, IndexRow] = {}
        if keys:
            for file in self._files:
                found |= file.rows(keys, versions)
        return found


@dataclass
class _File:
    """A file of the index, whose rows are in the order of keys."""

    name: str
    content: bytes
    keys: list[str]
    versions: list[str]
    _block: int = -1
    _texts: list[str | None] = field(default_factory=list)

    def rows(self, keys: Sequence[str], versions: Mapping[str, str]) -> dict[str, IndexRow]:
        """Return the current rows of `keys`."""
        first = bisect.bisect_left(self.keys, keys[0])
        last = bisect.bisect_right(self.keys, keys[-1], lo=first)
        wanted = set(keys)
        found = {}
        for place in range(first, last):
            key = self.keys[place]
            if key in wanted and self.versions[place] == versions.get(key):
                text = self._text(place)
                if text is not None:
                    found[key] = IndexRow(text)
        return found

    def _text(self, place: int) -> str | None:
        block, within = divmod(place, BLOCK_ROWS)
        if block != self._block:
            self._block, self._texts = block, self._read(block)
        return self._texts[within] if within < len(self._texts) else None

    def _read(self, block: int) -> list[str | None]:
        """Return the texts of a block; none if it is damaged or unpacks to too much."""
        import polars as pl

        with contextlib.suppress(*bounded_parquet.errors(), ValueError):
            frame = pl.scan_parquet(io.BytesIO(self.content)).select("record")
            rows = frame.slice(block * BLOCK_ROWS, BLOCK_ROWS).collect()
            return _listed(rows["record"].cast(pl.String))
        return []


def index_names(backend: StorageBackend) -> list[str]:
    """Return the names of the files of the index; none if they cannot be listed."""
    with contextlib.suppress(OSError, InvalidInput):
        return [name for name in backend.shared_names(FOLDER) if name.endswith(SUFFIX)]
    return []


def _opened(backend: StorageBackend, name: str) -> _File | None:
    """Return a file of the index; None if it is damaged, too large or gone."""
    try:
        content = backend.load_shared(f"{FOLDER}/{name}", MAX_PACKED)
    except (OSError, InvalidInput):
        return None
    if name != _name_of(content):
        return None
    import polars as pl

    with contextlib.suppress(*bounded_parquet.errors(), ValueError):
        bounded_parquet.check(content, LIMITS)
        frame = pl.read_parquet(io.BytesIO(content), columns=["key", "version"])
        keys, versions = (_listed(frame[column].cast(pl.String)) for column in COLUMNS[:2])
        known = [key for key in keys if key is not None]
        if len(known) == len(keys) and all(one < other for one, other in pairwise(known)):
            return _File(name, content, known, [version or "" for version in versions])
    return None


def _listed(column: "pl.Series") -> list[str | None]:
    """Return the texts of a column.

    One text may stand in many rows: in the file and in the column once, in the list many times.

    Raises:
        ValueError: in the list they would take too much memory.
    """
    if int(column.str.len_bytes().sum()) > LIMITS.size:
        raise ValueError("the texts of a column are too large")
    return column.to_list()


@dataclass(frozen=True)
class IndexReport:
    """How many records were indexed, why others were not, and how many leftovers were removed."""

    records: int
    refused: list[str]
    removed: int


def write_index(backend: StorageBackend) -> IndexReport:
    """Write the index anew, and remove leftovers that are no longer needed.

    Raises:
        StoreUnusable: it cannot be written.
    """
    before = index_names(backend)
    written = _Written()
    # Versions are taken first: a record that changes meanwhile will not match.
    names = set(_write(backend, backend.versions(), written))
    for name in before:
        if name not in names:
            backend.remove_shared(f"{FOLDER}/{name}")
    backend.remove_shared(FORMERLY)
    backend.sweep_shared(FOLDER)
    removed = backend.remove_leftovers(written.digests)
    return IndexReport(len(written.digests), written.refused, removed)


def extend_index(backend: StorageBackend, least: int) -> int:
    """Add the records that the index lacks, if there are at least so many; return how many.

    Raises:
        StoreUnusable: it cannot be written.
        InvalidInput: the store cannot be listed.
    """
    versions = backend.versions()
    if len(versions) < least:
        return 0
    index = RecordIndex(backend)
    known = index.current(versions)
    missing = {key: version for key, version in versions.items() if key not in known}
    if len(missing) < least:
        return 0
    if len(index.names) >= MAX_FILES:
        return write_index(backend).records
    written = _Written()
    for _ in _write(backend, missing, written):
        pass
    return len(written.digests)


@dataclass
class _Written:
    """The digests of the records that were written to the index, by key; why others were not."""

    digests: dict[str, str | None] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)


def _write(
    backend: StorageBackend, versions: Mapping[str, str], written: _Written
) -> Iterator[str]:
    """Write files with these records, and yield their names."""
    rows: list[tuple[str, str, str]] = []
    size = 0
    for key, content in load_each(backend, sorted(versions)):
        try:
            if isinstance(content, InvalidInput):
                raise content
            record = Record.from_json(content, f"{backend.where(key)}/{RECORD}", key)
        except InvalidInput as error:
            written.refused.append(str(error))
            continue
        written.digests[key] = record.checksum
        if len(rows) == FILE_ROWS or size + len(content) > FILE_SIZE:
            yield _save(backend, rows)
            rows, size = [], 0
        rows.append((key, versions[key], content.decode()))
        size += len(content)
    if rows:
        yield _save(backend, rows)


def _save(backend: StorageBackend, rows: Iterable[tuple[str, str, str]]) -> str:
    import polars as pl

    frame = pl.DataFrame(rows, schema=dict.fromkeys(COLUMNS, pl.String), orient="row")
    buffer = io.BytesIO()
    frame.write_parquet(buffer, row_group_size=BLOCK_ROWS)
    content = buffer.getvalue()
    name = _name_of(content)
    backend.save_shared(f"{FOLDER}/{name}", content)
    return name


def _name_of(content: bytes) -> str:
    return f"{hashlib.sha256(content).hexdigest()[:32]}{SUFFIX}"
