"""One Parquet file that holds all records, for fast reading; the records stay what counts.

A row is used only while the record it was made from has not changed, so the file may be old,
damaged or missing and nothing wrong is read: those records are read one by one.
"""

import hashlib
import io
from dataclasses import dataclass

from suite.core.errors import InvalidInput
from suite.results.old_names import has_old_names
from suite.results.record import SCHEMA_VERSION, Record
from suite.results.storage_backend import RECORD, StorageBackend

INDEX = "records.parquet"
COLUMNS = ("key", "version", "sha256", "record")


@dataclass(frozen=True, slots=True)
class Compacted:
    """A row: a record's text, what it was made from, and the digest of the text."""

    version: str
    sha256: str
    text: str

    def holds(self, version: str) -> bool:
        """Return whether it was made from what has this version now, and is as it was made."""
        return self.version == version and self.sha256 == _digest(self.text.encode())

    def record(self, where: str, key: str) -> Record:
        """Return the record of trial `key`; its seal was checked when it was put in.

        Raises:
            InvalidInput: it is not one, or of a newer schema.
        """
        try:
            record = Record.model_validate_json(self.text)
        except ValueError:
            record = None
        if (
            record is None
            or record.schema_version > SCHEMA_VERSION
            or record.key != key
            or has_old_names(record.trial)
        ):
            return Record.from_json(self.text.encode(), f"{where}/{INDEX}, row {key}", key)
        return record


def read_index(backend: StorageBackend) -> dict[str, Compacted]:
    """Return the rows of the compacted file by key, in order; none where it cannot be used."""
    try:
        content = backend.load_shared(INDEX)
    except (OSError, InvalidInput):
        return {}
    import polars as pl

    try:
        frame = pl.read_parquet(io.BytesIO(content), columns=list(COLUMNS))
        columns = [frame[name].cast(pl.String).to_list() for name in COLUMNS]
    except (pl.exceptions.PolarsError, OSError, ValueError):
        return {}
    rows = zip(*columns, strict=True)
    return {row[0]: Compacted(*row[1:]) for row in rows if None not in row}


@dataclass(frozen=True)
class Written:
    """What `compact` did: records put in, what could not be and why, leftovers removed."""

    records: int
    refused: list[str]
    cleared: int


def compact(backend: StorageBackend) -> Written:
    """Write the compacted file, and remove what was replaced and nobody needs any more.

    Raises:
        StoreUnusable: it cannot be written.
    """
    import polars as pl

    versions = backend.versions()  # taken first: a record that changes meanwhile will not match
    rows: list[tuple[str, ...]] = []
    refused: list[str] = []
    digests: dict[str, str | None] = {}
    for key, content in backend.load_records(list(versions)):
        try:
            record = Record.from_json(content, f"{backend.where(key)}/{RECORD}", key)
        except InvalidInput as error:
            refused.append(str(error))
            continue
        digests[key] = record.integrity.digest if record.integrity is not None else None
        rows.append((key, versions[key], _digest(content), content.decode()))
    frame = pl.DataFrame(rows, schema=dict.fromkeys(COLUMNS, pl.String), orient="row")
    buffer = io.BytesIO()
    frame.sort("key").write_parquet(buffer)
    backend.save_shared(INDEX, buffer.getvalue())
    return Written(len(rows), refused, backend.clear(digests))


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()
