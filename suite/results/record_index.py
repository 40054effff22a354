"""An index of all records in one Parquet file, for fast reading; `store compact` writes it.

It is a cache: a row is used only while the record it was made from has not changed. If the file
is out of date, damaged or missing, records are read one by one.
"""

import contextlib
import hashlib
import io
from dataclasses import dataclass

from suite.core import bounded_parquet
from suite.core.errors import InvalidInput
from suite.results.old_names import has_old_names
from suite.results.record import SCHEMA_VERSION, Record
from suite.results.storage_backend import RECORD, StorageBackend, load_each

INDEX = "records.parquet"
COLUMNS = ("key", "version", "sha256", "record")
MAX_PACKED = 128 * 2**20
LIMITS = bounded_parquet.Limits(rows=1_000_000, size=256 * 2**20)
"""Of the index: what it leaves out is read record by record."""
SHORT = 1000
"""Bytes of a row beside the record's text, at most."""


@dataclass(frozen=True, slots=True)
class IndexRow:
    """A row: a record's text, the version of the record it was made from, and the text's digest."""

    version: str
    sha256: str
    text: str

    def is_current(self, version: str) -> bool:
        """Return whether it was made from the record of this version and is undamaged."""
        return self.version == version and self.sha256 == _digest(self.text.encode())

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
        return Record.from_json(self.text.encode(), f"{where}/{INDEX}, row {key}", key)


def read_index(backend: StorageBackend) -> dict[str, IndexRow]:
    """Return the rows of the index by key, in order; an empty dict if it cannot be used."""
    try:
        content = backend.load_shared(INDEX, MAX_PACKED)
    except (OSError, InvalidInput):
        return {}
    import polars as pl

    unusable: tuple[type[BaseException], ...] = (*bounded_parquet.errors(), ValueError)
    try:
        bounded_parquet.check(content, LIMITS)
        frame = pl.read_parquet(io.BytesIO(content), columns=list(COLUMNS))
        texts = [frame[name].cast(pl.String) for name in COLUMNS]
        # One text may stand in many rows: in the file and here once, in the lists many times.
        if sum(int(column.str.len_bytes().sum()) for column in texts) > LIMITS.size:
            return {}
        columns = [column.to_list() for column in texts]
    except unusable:
        return {}
    rows = zip(*columns, strict=True)
    return {row[0]: IndexRow(*row[1:]) for row in rows if None not in row}


@dataclass(frozen=True)
class IndexReport:
    """How many records were indexed, why others were not, and how many leftovers were removed."""

    records: int
    refused: list[str]
    removed: int


def write_index(backend: StorageBackend) -> IndexReport:
    """Write the index, and remove leftovers that are no longer needed.

    Raises:
        StoreUnusable: it cannot be written.
    """
    import polars as pl

    versions = backend.versions()  # taken first: a record that changes meanwhile will not match
    rows: list[tuple[str, ...]] = []
    refused: list[str] = []
    digests: dict[str, str | None] = {}
    size = 0
    for key, content in load_each(backend, list(versions)):
        try:
            if isinstance(content, InvalidInput):
                raise content
            record = Record.from_json(content, f"{backend.where(key)}/{RECORD}", key)
        except InvalidInput as error:
            refused.append(str(error))
            continue
        digests[key] = record.checksum
        size += len(content) + SHORT
        if size <= LIMITS.size:
            rows.append((key, versions[key], _digest(content), content.decode()))
    frame = pl.DataFrame(rows, schema=dict.fromkeys(COLUMNS, pl.String), orient="row")
    buffer = io.BytesIO()
    frame.sort("key").write_parquet(buffer)
    backend.save_shared(INDEX, buffer.getvalue())
    return IndexReport(len(rows), refused, backend.remove_leftovers(digests))


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()
