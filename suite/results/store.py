"""The store: one folder per trial, named by its key, all there or not at all."""

import contextlib
import errno
import os
import re
import shutil
import socket
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

from suite.errors import InvalidInput
from suite.results.record import Record

RECORD = "record.json"
ATTEMPTS = 1000
KEY = re.compile(r"[0-9a-f]{16}")
HIDDEN = re.compile(r"\.(new|old)-([0-9a-f]{16})-(.+)-(\d+)-[0-9a-f]{8}")


class StoreUnusable(InvalidInput):
    """The store cannot be written: nothing further of a study can be kept, so it stops."""


class Store:
    """Results in a local folder: ``<root>/trials/<key>/record.json`` and its companions.

    A folder is written under a temporary name and renamed, so a reader sees all of it or nothing;
    while an existing trial is replaced, it may for a moment see nothing.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self.trials = self.root / "trials"

    def prepare(self) -> None:
        """Make the store ready for writing, and clear what a killed process left half-written.

        Raises:
            StoreUnusable: the folder cannot be created or written to.
        """
        try:
            self.trials.mkdir(parents=True, exist_ok=True)
            probe = self.trials / f".probe-{uuid.uuid4().hex}"
            probe.mkdir()
            probe.rmdir()
        except OSError as error:
            raise self._unusable(error) from error
        self._sweep()

    def write(self, key: str, files: Mapping[str, bytes]) -> None:
        """Write a trial's folder in one go, in place of an older one.

        Raises:
            StoreUnusable: the disk is full or the folder cannot be written; nothing is left behind.
        """
        temporary = self.trials / self._hidden("new", key)
        try:
            temporary.mkdir(parents=True)
            for name, content in files.items():
                with (temporary / name).open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
            self._swap(temporary, key)
        except OSError as error:
            raise self._unusable(error) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def _swap(self, temporary: Path, key: str) -> None:
        """Put the new folder in its place, also while others write the same key."""
        target = self.trials / key
        moved: list[Path] = []
        try:
            for _ in range(ATTEMPTS):
                try:
                    temporary.rename(target)
                    return
                except OSError as error:
                    if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                        raise
                old = self.trials / self._hidden("old", key)
                with contextlib.suppress(FileNotFoundError):  # another writer was faster
                    target.rename(old)
                    moved.append(old)
            raise OSError(errno.EBUSY, "other processes keep writing this trial")
        finally:  # what was there before goes only once something is in its place
            if moved and not target.exists():
                moved.pop().rename(target)
            for old in moved:
                shutil.rmtree(old, ignore_errors=True)

    def read(self, key: str) -> Record | None:
        """Return the record of a trial, done or failed; None if there is none.

        Raises:
            InvalidInput: it is damaged.
        """
        path = self.trials / key / RECORD
        try:
            return Record.from_json(path.read_bytes(), str(path))
        except FileNotFoundError:
            return None
        except NotADirectoryError as error:
            raise self._not_a_folder() from error
        except OSError as error:
            raise InvalidInput(f"{path} cannot be read: {error.strerror}") from error

    def keys(self) -> list[str]:
        """Return the keys of all trials in the store.

        Raises:
            InvalidInput: the store is not a folder.
        """
        if self.root.exists() and not self.root.is_dir():
            raise self._not_a_folder()
        if not self.trials.is_dir():
            return []
        return sorted(p.name for p in self.trials.iterdir() if KEY.fullmatch(p.name) and p.is_dir())

    def records(self) -> Iterator[Record]:
        """Yield every record, done and failed, by key."""
        for key in self.keys():
            record = self.read(key)
            if record is not None:
                yield record

    def folder(self, key: str) -> Path:
        """Return where a trial's files are."""
        return self.trials / key

    def _hidden(self, kind: str, key: str) -> str:
        return f".{kind}-{key}-{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"

    def _sweep(self) -> None:
        """Remove what processes of this host that no longer run left; put back what they moved."""
        for path in [*self.trials.glob(".new-*"), *self.trials.glob(".old-*")]:
            if (parts := HIDDEN.fullmatch(path.name)) is None:
                continue
            kind, key, host, pid = parts.groups()
            if host != socket.gethostname() or _alive(pid):
                continue
            with contextlib.suppress(OSError):
                if kind == "old" and not (self.trials / key).exists():
                    path.rename(self.trials / key)
            shutil.rmtree(path, ignore_errors=True)

    def _not_a_folder(self) -> InvalidInput:
        return InvalidInput(f"store {self.root} is not a folder: name another with --store")

    def _unusable(self, error: OSError) -> StoreUnusable:
        return StoreUnusable(
            f"store {self.root} cannot be written ({error.strerror or error}): free the disk, or "
            "choose another folder with --store"
        )


def _alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True
