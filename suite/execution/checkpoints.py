"""Where the checkpoints of unfinished trials are kept: beside the trials of a store."""

import contextlib
import os
import re
import socket
import time
import uuid
from pathlib import Path

from suite.results.local_store import is_running
from suite.results.store import Store, StoreUnusable

SUFFIX = ".safetensors"
KEY = re.compile(r"[0-9a-f]{16}")
UNFINISHED = re.compile(r"\.new-(.+)-(\d+)-[0-9a-f]{8}")
ONE_DAY_SECONDS = 24 * 3600.0


class Checkpoints:
    """``<store>/checkpoints/<key>.safetensors``, in a folder or under a URL that fsspec knows.

    A checkpoint is written under another name and renamed (a URL's object appears when it is
    complete), so that a reader sees the one before or the new one.
    """

    def __init__(self, store: Store) -> None:
        location = store.location.removeprefix("file://")
        self._files = _Remote(location) if "://" in location else _Local(location)

    def keeper(self, key: str) -> "TrialCheckpoint":
        """Return the place of one trial's checkpoint."""
        return TrialCheckpoint(self, key)

    def read(self, key: str) -> bytes | None:
        """Return a trial's checkpoint; None if it has none that can be read."""
        with contextlib.suppress(OSError):
            return self._files.read(_name(key))
        return None

    def write(self, key: str, content: bytes) -> None:
        """Put a trial's checkpoint in the place of the one before.

        Raises:
            StoreUnusable: it cannot be written; the one before is still there.
        """
        try:
            self._files.write(_name(key), content)
        except OSError as error:
            raise StoreUnusable(
                f"a checkpoint cannot be written to {self._files.root} "
                f"({error.strerror or error}): free the disk, or choose another store with --store"
            ) from error

    def drop(self, key: str) -> None:
        """Remove a trial's checkpoint, if there is one."""
        with contextlib.suppress(OSError):
            self._files.remove(_name(key))

    def keys(self) -> list[str]:
        """Return the keys of the trials that have a checkpoint."""
        names = [name.removesuffix(SUFFIX) for name in self._files.names()]
        return sorted(name for name in names if KEY.fullmatch(name))

    def sweep(self, store: Store) -> None:
        """Remove the checkpoints of finished trials, which a kill at the very end leaves."""
        for key in self.keys():
            record = store.read(key)
            if record is not None and record.status == "done":
                self.drop(key)
        self._files.sweep()


class TrialCheckpoint:
    """The place of one trial's checkpoint, for `suite.training.checkpoint.Checkpointer`."""

    def __init__(self, checkpoints: Checkpoints, key: str) -> None:
        self._checkpoints = checkpoints
        self._key = key

    def read(self) -> bytes | None:
        """Return the checkpoint; None if there is none."""
        return self._checkpoints.read(self._key)

    def write(self, content: bytes) -> None:
        """Put a checkpoint in the place of the one before."""
        self._checkpoints.write(self._key, content)


def _name(key: str) -> str:
    if KEY.fullmatch(key) is None:
        raise ValueError(f"{key!r} is not a trial's key")
    return f"{key}{SUFFIX}"


class _Local:
    """Files in a folder."""

    def __init__(self, location: str) -> None:
        self.root = Path(location) / "checkpoints"

    def read(self, name: str) -> bytes:
        return (self.root / name).read_bytes()

    def write(self, name: str, content: bytes) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        mark = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        temporary = self.root / f".new-{mark}"
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.root / name)
        finally:
            temporary.unlink(missing_ok=True)

    def remove(self, name: str) -> None:
        (self.root / name).unlink()

    def names(self) -> list[str]:
        return [path.name for path in self.root.glob(f"*{SUFFIX}")]

    def sweep(self) -> None:
        """Remove what killed processes left half-written, and the folder where it is empty."""
        for path in self.root.glob(".new-*"):
            with contextlib.suppress(OSError):
                found = UNFINISHED.fullmatch(path.name)
                here = found is not None and found[1] == socket.gethostname()
                old = time.time() - path.stat().st_mtime > ONE_DAY_SECONDS
                if old or (found is not None and here and not is_running(int(found[2]))):
                    path.unlink()
        with contextlib.suppress(OSError):
            self.root.rmdir()


class _Remote:
    """Objects under a URL."""

    def __init__(self, location: str) -> None:
        from fsspec.core import url_to_fs

        self._system, path = url_to_fs(location)
        self.root = f"{path.rstrip('/')}/checkpoints"

    def read(self, name: str) -> bytes:
        content: bytes = self._system.cat_file(f"{self.root}/{name}")
        return content

    def write(self, name: str, content: bytes) -> None:
        self._system.pipe_file(f"{self.root}/{name}", content)

    def remove(self, name: str) -> None:
        self._system.rm_file(f"{self.root}/{name}")

    def names(self) -> list[str]:
        try:
            found: list[str] = self._system.ls(self.root, detail=False)
        except FileNotFoundError:
            return []
        return [path.rsplit("/", 1)[-1] for path in found]

    def sweep(self) -> None:
        """Nothing is ever half-written here."""
