"""The store: the results of trials by key, each complete or absent."""

import contextlib
import gc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from suite.core.arguments import path
from suite.core.errors import InvalidInput
from suite.core.redact import redact_bytes
from suite.results.local_store import LocalStore
from suite.results.record import Record, checksum_files
from suite.results.record_index import IndexRow, RecordIndex
from suite.results.running_file import sweep
from suite.results.storage_backend import (
    BATCH_SIZE,
    MAX_FILE,
    RECORD,
    StorageBackend,
    StoreUnusable,
    load_each,
    safe_key,
    safe_name,
)

__all__ = ["CorruptRecord", "Store", "StoreUnusable"]

TEXT = (".json", ".txt", ".yaml", ".log")
MANY = 500
"""Trials for whose records the index is opened."""


@dataclass(frozen=True)
class CorruptRecord:
    """A trial whose record cannot be used, and why."""

    key: str
    error: InvalidInput

    @property
    def reason(self) -> str:
        """What is wrong, in one line."""
        return str(self.error)


class Store:
    """Results in a folder or under a URL that fsspec knows: ``results``, ``s3://bucket/results``.

    With either backend, a reader sees all files of a trial or none, concurrent writers of one trial
    leave one complete result, and every record carries the checksums of its files.
    """

    def __init__(self, location: str | Path) -> None:
        """Open a store; raises `InvalidInput` for what is no location."""
        self.backend = _open(path("store", location, "a folder or a URL"))
        """Access to the files, for maintenance of the store: verify, merge, migrate, the index."""

    @property
    def location(self) -> str:
        """The location that `Store` was given; it opens the same store in another process."""
        return self.backend.location

    @property
    def local(self) -> bool:
        """Whether it is a folder on this machine, or one mounted on it."""
        return isinstance(self.backend, LocalStore)

    @property
    def root(self) -> Path:
        """The folder.

        Raises:
            InvalidInput: the store is under a URL.
        """
        if not isinstance(self.backend, LocalStore):
            raise InvalidInput(
                f"store {self.location} is not a folder: this needs one (`resonance store merge "
                f"{self.location} FOLDER` makes a copy)"
            )
        return self.backend.root

    @property
    def trials(self) -> Path:
        """The folder that holds the trials' folders; raises as `root` does."""
        return self.root / "trials"

    def folder(self, key: str) -> Path:
        """Return the folder of a trial's files; raises as `root` does. See `load`, `where`."""
        return self.trials / safe_key(key)

    def where(self, key: str) -> str:
        """Return the address of a trial's files, for people to read."""
        return self.backend.where(safe_key(key))

    def prepare(self) -> None:
        """Make the store ready for writing, and remove what killed processes left half-written.

        Raises:
            StoreUnusable: it cannot be created or written to.
        """
        self.backend.prepare()
        if self.local:
            sweep(self.root)

    def write(self, key: str, files: Mapping[str, bytes]) -> None:
        """Write a trial's files, or replace older ones.

        The record gets the checksums of all of them; keys and passwords of this machine are
        redacted in text files.

        Raises:
            StoreUnusable: it cannot be written; nothing is left behind.
            InvalidInput: a name would lead out of the store.
            ValueError: there is no record among the files.
        """
        clean = {
            safe_name(name): redact_bytes(content) if name.endswith(TEXT) else content
            for name, content in files.items()
        }
        if RECORD not in clean:
            raise ValueError(f"trial {key} is written without a {RECORD}")
        self.backend.write(safe_key(key), *checksum_files(clean))

    def read(self, key: str) -> Record | None:
        """Return the record of a trial, done or failed; None if it has none.

        Raises:
            InvalidInput: it is damaged.
        """
        try:
            content = self.backend.load(safe_key(key), RECORD, None)
        except FileNotFoundError:
            return None
        return Record.from_json(content, f"{self.where(key)}/{RECORD}", key)

    def read_many(self, keys: Sequence[str]) -> dict[str, Record]:
        """Return the records of those trials that have one, by key: `read` for many at once.

        Raises:
            InvalidInput: one is damaged.
        """
        records, damaged = self.read_each(keys)
        if damaged:
            raise damaged[0].error
        return {record.key: record for record in records}

    def read_each(self, keys: Sequence[str]) -> tuple[list[Record], list[CorruptRecord]]:
        """Return the records of those trials that have one, and those that cannot be read.

        Raises:
            InvalidInput: the store itself cannot be read, which is one fault and not one per trial.
        """
        if self.local and keys:
            self.keys()
        if len(keys) < MANY:
            return _sorted_out(self._read_in_order([safe_key(key) for key in keys], None, {}))
        index = RecordIndex(self.backend)
        order = sorted({safe_key(key) for key in keys})
        versions = self.backend.versions(order) if len(index) else {}
        found = {item.key: item for item in self._read_in_order(order, index, versions)}
        return _sorted_out(found[key] for key in keys if key in found)

    def load(self, key: str, name: str) -> bytes:
        """Return one of a trial's files.

        Raises:
            FileNotFoundError: the trial has no such file.
            InvalidInput: it cannot be read.
        """
        safe_name(name)
        for last in (False, True):
            record = self.read(key)
            try:
                return self.load_of(record, name) if record else self.backend.load(key, name, None)
            except FileNotFoundError:
                if last:  # the first time, the trial may have been replaced in between
                    raise
        raise AssertionError

    def load_of(self, record: Record, name: str) -> bytes:
        """Return a file of a trial whose record has been read; one larger than stored is not read.

        Raises as `load` does.
        """
        limit = record.integrity.size_of(name) if record.integrity else MAX_FILE
        return self.backend.load(record.key, name, record.checksum, limit)

    def names(self, key: str) -> list[str]:
        """Return the names of what is in a trial's own folder, including its record."""
        return self.backend.names(safe_key(key), None)

    def keys(self) -> list[str]:
        """Return the keys of all trials in the store.

        Raises:
            InvalidInput: the store is not a folder, or cannot be listed.
        """
        return self.backend.keys()

    def records(self) -> Iterator[Record]:
        """Yield every record, done and failed, by key; from the index where that is current.

        Raises:
            InvalidInput: one is damaged.
        """
        for item in self.scan():
            if isinstance(item, CorruptRecord):
                raise item.error
            yield item

    def read_all(self) -> tuple[list[Record], list[CorruptRecord]]:
        """Return the records that can be read, and the trials whose records cannot.

        Raises as `keys` does.
        """
        return _sorted_out(self.scan())

    def scan(self) -> Iterator[Record | CorruptRecord]:
        """Yield every record as `records` does, and a `CorruptRecord` for one that cannot be read.

        Raises as `keys` does.
        """
        index = RecordIndex(self.backend)
        versions = self.backend.versions() if len(index) else dict.fromkeys(self.keys(), "")
        yield from self._read_in_order(list(versions), index, versions)

    def _read_in_order(
        self, keys: Sequence[str], index: RecordIndex | None, versions: Mapping[str, str]
    ) -> Iterator[Record | CorruptRecord]:
        """Yield the records of these trials that exist; those of the index while it is current."""
        for start in range(0, len(keys), BATCH_SIZE):
            chunk = keys[start : start + BATCH_SIZE]
            contents: dict[str, IndexRow | bytes | InvalidInput] = {}
            if index is not None and len(index):
                contents |= index.rows(chunk, versions)
            contents |= self.contents([key for key in chunk if key not in contents])
            with gc_paused():
                records = [self._record(key, contents[key]) for key in chunk if key in contents]
            yield from records

    def contents(self, keys: list[str]) -> dict[str, bytes | InvalidInput]:
        """Return the files of the records that exist, unchecked, or why one cannot be read."""
        return dict(load_each(self.backend, keys))

    def _record(self, key: str, content: IndexRow | bytes | InvalidInput) -> Record | CorruptRecord:
        try:
            if isinstance(content, InvalidInput):
                raise content
            if isinstance(content, IndexRow):
                return content.record(self.location, key)
            return Record.from_json(content, f"{self.where(key)}/{RECORD}", key)
        except InvalidInput as error:
            return CorruptRecord(key, error)


def _sorted_out(
    scanned: Iterable[Record | CorruptRecord],
) -> tuple[list[Record], list[CorruptRecord]]:
    """Return the records, and those that cannot be read."""
    found = list(scanned)
    records = [one for one in found if isinstance(one, Record)]
    return records, [one for one in found if isinstance(one, CorruptRecord)]


@contextlib.contextmanager
def gc_paused() -> Iterator[None]:
    """Pause the cyclic garbage collector, which takes half the time of making many records."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _open(location: str) -> StorageBackend:
    if location.startswith("file://") or "://" not in location:
        return LocalStore(Path(location.removeprefix("file://")))
    from suite.results.remote_store import RemoteStore

    return RemoteStore(location)
