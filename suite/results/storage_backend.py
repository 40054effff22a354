"""The interface to a store's files, which the local and the remote store implement."""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO, Protocol

from suite.core.errors import InvalidInput

RECORD = "record.json"
KEY = re.compile(r"[0-9a-f]{16}")
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")
MAX_BYTES = 8 * 2**20
"""A larger record was not written by this program and is not read into memory."""
MAX_FILE = 2**30
"""Nor was a larger file beside a record: weights are kept up to 50 MB."""
BLOCK = 2**20

BATCH_SIZE = 2500
"""Records that are in memory at the same time, as files."""


class StoreUnusable(InvalidInput):
    """The store cannot be written: a study cannot keep its results, so it stops."""


class StorageBackend(Protocol):
    """Holds the files of trials, and shared files beside them.

    A reader sees all files of a trial or none, and a shared file whole or not at all. Keys and
    names have passed `safe_key` and `safe_name`.

    Raises:
        StoreUnusable: something cannot be written or removed; an older result stays.
        FileNotFoundError: there is no such file to load.
        InvalidInput: something cannot be read or listed, or is a link that may lead elsewhere.
    """

    location: str

    def prepare(self) -> None:
        """Make ready for writing, and remove what killed processes left half-written."""

    def write(self, key: str, files: Mapping[str, bytes], digest: str) -> None:
        """Write a trial's files in place of older ones; `digest` is the record's own."""

    def remove(self, key: str) -> None:
        """Remove a trial; a reader sees all of it or nothing."""

    def load(self, key: str, name: str, digest: str | None, max_bytes: int = MAX_FILE) -> bytes:
        """Return the content of a trial's file; a larger one than `max_bytes` is not read."""

    def checksum(self, key: str, name: str, digest: str | None, size: int) -> tuple[int, str]:
        """Return size and SHA-256 of a trial's file, which is read in blocks.

        One that has not the size that it should have is not read, and its SHA-256 is empty.
        """

    def load_records(self, keys: list[str]) -> Iterator[tuple[str, bytes]]:
        """Yield the records of these trials that are there, in the order of `keys`."""

    def names(self, key: str, digest: str | None) -> list[str]:
        """Return the names of a trial's files."""

    def keys(self) -> list[str]:
        """Return the keys of all trials, in order."""

    def versions(self, keys: Sequence[str] | None = None) -> dict[str, str]:
        """Return for each record a text that changes whenever the record does, in order of keys.

        With `keys`, only for the records of these trials, in their order.
        """

    def leftovers(self, digests: Mapping[str, str | None]) -> list[str]:
        """Return the paths among the trials that belong to none.

        `digests` holds the digest of each record that has one.
        """

    def remove_leftovers(self, digests: Mapping[str, str | None]) -> int:
        """Remove the leftovers that no reader or writer can need any more; return how many."""

    def load_shared(self, name: str, max_bytes: int | None = None) -> bytes:
        """Return a file that concerns the whole store; a larger one is refused unread."""

    def save_shared(self, name: str, content: bytes) -> None:
        """Write a file that concerns the whole store, atomically."""

    def remove_shared(self, name: str) -> None:
        """Remove a file that concerns the whole store, if it is there."""

    def silent_seconds(self, name: str) -> float:
        """Return how long ago a shared file was last written, by the storage's own clock.

        0 where the storage does not report times.
        """

    def sweep_shared(self, folder: str) -> None:
        """Remove the half-written files of killed processes from a folder beside the trials."""

    def shared_names(self, folder: str) -> list[str]:
        """Return the names of all that is in a folder beside the trials, in order."""

    def where(self, key: str) -> str:
        """Return the address of a trial's files, for people to read."""


def load_each(
    backend: StorageBackend, keys: Sequence[str]
) -> Iterator[tuple[str, bytes | InvalidInput]]:
    """Yield the records of these trials that are there, unchecked, or why one cannot be read."""
    for start in range(0, len(keys), BATCH_SIZE):
        batch = list(keys[start : start + BATCH_SIZE])
        contents: dict[str, bytes | InvalidInput] = {}
        try:
            contents.update(backend.load_records(batch))
        except InvalidInput:
            for key in batch:
                try:
                    contents.update(backend.load_records([key]))
                except InvalidInput as error:
                    contents[key] = error
        yield from contents.items()


def checksum_of(file: BinaryIO) -> str:
    """Return the SHA-256 of what is left to read of a file, without holding it in memory."""
    digest = hashlib.sha256()
    while block := file.read(BLOCK):
        digest.update(block)
    return digest.hexdigest()


def safe_key(key: str) -> str:
    """Return a trial's key, which names its folder.

    Raises:
        InvalidInput: it is not a key (``../elsewhere``, for instance).
    """
    if not KEY.fullmatch(key):
        raise InvalidInput(f"key {key!r:.60} is not one of a trial: 16 hexadecimal digits")
    return key


def safe_name(name: str) -> str:
    """Return the name of a file in a trial's folder.

    Raises:
        InvalidInput: it could lead out of the folder, or begins with a dot.
    """
    if not NAME.fullmatch(name):
        raise InvalidInput(
            f"file name {name!r:.60} is not usable: give letters, digits, '.', '_' and '-', and no "
            "'.' first"
        )
    return name
