"""A store in a local (or shared) folder: ``<root>/trials/<key>/record.json`` and other files."""

import contextlib
import errno
import os
import re
import shutil
import socket
import stat
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

from suite.core.errors import InvalidInput
from suite.core.files import (
    atomic_write,
    is_running,
    process_label,
    read_regular,
    remove_unfinished,
)
from suite.results.storage_backend import KEY, MAX_BYTES, RECORD, StoreUnusable

MAX_ATTEMPTS = 1000
TEMPORARY = re.compile(r"\.(new|old)-([0-9a-f]{16})-(.+)-(\d+)-[0-9a-f]{8}")


class LocalStore:
    """Trials in a local folder.

    A trial's folder is written under a temporary name and renamed, so a reader sees all of it or
    nothing; while an existing trial is replaced, it may for a moment see nothing. The methods raise
    what `StorageBackend` says.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.trials = root / "trials"
        self.location = str(root)
        self._prefix = f"{self.trials}{os.sep}"

    def prepare(self) -> None:
        """Create the folder, check that it is writable, and remove what killed processes left."""
        with self._writing():
            self.trials.mkdir(parents=True, exist_ok=True)
            probe = self.trials / f".probe-{uuid.uuid4().hex}"
            probe.mkdir()
            probe.rmdir()
        self._sweep()

    def write(self, key: str, files: Mapping[str, bytes], digest: str) -> None:
        """Write a trial's folder, or replace an older one; a failure leaves nothing behind."""
        temporary = self.trials / self._temporary_name("new", key)
        try:
            with self._writing():
                temporary.mkdir(parents=True)
                for name, content in files.items():
                    atomic_write(temporary / name, content)
                self._swap(temporary, key)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def remove(self, key: str) -> None:
        """Remove a trial's folder: renamed first, so that a reader sees all of it or nothing."""
        temporary = self.trials / self._temporary_name("new", key)  # `_sweep` removes leftovers
        with self._writing():
            (self.trials / key).rename(temporary)
            shutil.rmtree(temporary)

    def _swap(self, temporary: Path, key: str) -> None:
        """Give the new folder the trial's name, also while others write the same trial."""
        target = self.trials / key
        replaced: list[Path] = []
        placed = False
        try:
            for _ in range(MAX_ATTEMPTS):
                if placed := _placed(temporary, target):
                    return
                old = self.trials / self._temporary_name("old", key)
                with contextlib.suppress(FileNotFoundError):  # another writer was faster
                    target.rename(old)
                    replaced.append(old)
            raise OSError(errno.EBUSY, "other processes keep writing this trial")
        finally:
            # The older folder is removed only once another one is in its place. If ours was moved
            # away since, the process that moved it restores or removes it.
            if replaced and not placed and _placed(replaced[-1], target):
                replaced.pop()
            for old in replaced:
                shutil.rmtree(old, ignore_errors=True)

    def load(self, key: str, name: str, digest: str | None) -> bytes:
        """Return a file of a trial; in a copied remote store it is in a subfolder (`digest`)."""
        folder = f"{self._prefix}{key}"  # no Path objects: fast for 10,000 records
        paths = [f"{folder}/{name}", *([f"{folder}/{digest}/{name}"] if digest else [])]
        try:
            if stat.S_ISLNK(os.lstat(folder).st_mode):
                raise InvalidInput(
                    f"{folder} is a link, which may lead out of the store: remove it"
                )
            for path in paths:
                with contextlib.suppress(FileNotFoundError):
                    return read_regular(path, MAX_BYTES if name == RECORD else None)
        except FileNotFoundError:
            pass
        except NotADirectoryError as error:
            raise self._not_a_folder() from error
        except OSError as error:
            raise InvalidInput(f"{paths[0]} cannot be read: {error.strerror}") from error
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), paths[0])

    def load_records(self, keys: list[str]) -> Iterator[tuple[str, bytes]]:
        """Yield the records of these trials that exist."""
        for key in keys:
            with contextlib.suppress(FileNotFoundError):
                yield key, self.load(key, RECORD, None)

    def names(self, key: str, digest: str | None) -> list[str]:
        """Return the names of all that is in a trial's folder, plain files or not."""
        folder = self.trials / key
        found = {path.name for path in _entries(folder)}
        if digest and digest in found:
            found = found - {digest} | {path.name for path in _entries(folder / digest)}
        return sorted(found)

    def keys(self) -> list[str]:
        """Return the names of the trials' folders."""
        if self.root.exists() and not self.root.is_dir():
            raise self._not_a_folder()
        try:
            with os.scandir(self.trials) as entries:
                return sorted(
                    entry.name
                    for entry in entries
                    if KEY.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)
                )
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise InvalidInput(
                f"store {self.root} cannot be read ({error.strerror or error}): check your "
                "permissions, or choose another folder with --store"
            ) from error

    def versions(self) -> dict[str, str]:
        """Return time of writing and size of each record."""
        found = {}
        for key in self.keys():
            with contextlib.suppress(FileNotFoundError):
                about = os.lstat(f"{self._prefix}{key}/{RECORD}")
                found[key] = f"{about.st_mtime_ns}-{about.st_size}"
        return found

    def leftovers(self, digests: Mapping[str, str | None]) -> list[str]:
        """Return the paths among the trials that are not a trial's folder, including links."""
        return [
            str(path)
            for path in _entries(self.trials)
            if not KEY.fullmatch(path.name) or path.is_symlink() or not path.is_dir()
        ]

    def remove_leftovers(self, digests: Mapping[str, str | None]) -> int:
        """Remove the folders that killed processes left; return how many."""
        return self._sweep()

    def load_shared(self, name: str, max_bytes: int | None = None) -> bytes:
        """Return a file beside the trials."""
        return read_regular(self.root / name, max_bytes)

    def save_shared(self, name: str, content: bytes) -> None:
        """Write a file beside the trials atomically."""
        with self._writing():
            atomic_write(self.root / name, content)

    def remove_shared(self, name: str) -> None:
        """Remove a file beside the trials, if it is there."""
        with self._writing():
            (self.root / name).unlink(missing_ok=True)

    def sweep_shared(self, folder: str) -> None:
        """Remove half-written files, and the folder if it is then empty."""
        remove_unfinished(self.root / folder)
        with contextlib.suppress(OSError):
            (self.root / folder).rmdir()

    def shared_names(self, folder: str) -> list[str]:
        """Return the names of all that is in a folder beside the trials, plain files or not."""
        path = self.root / folder
        try:
            return sorted(entry.name for entry in path.iterdir())
        except FileNotFoundError:
            return []
        except OSError as error:
            if self.root.exists() and not self.root.is_dir():
                raise self._not_a_folder() from error
            raise InvalidInput(
                f"{path} cannot be listed ({error.strerror or error}): check your permissions, or "
                "move it out of the store if it is no folder"
            ) from error

    def where(self, key: str) -> str:
        """Return a trial's folder."""
        return str(self.trials / key)

    def _temporary_name(self, kind: str, key: str) -> str:
        return f".{kind}-{key}-{process_label()}"

    def _sweep(self) -> int:
        """Remove folders of ended processes of this host; restore a trial they moved away."""
        swept = 0
        for path in [*self.trials.glob(".new-*"), *self.trials.glob(".old-*")]:
            if (parts := TEMPORARY.fullmatch(path.name)) is None:
                continue
            kind, key, host, pid = parts.groups()
            if host != socket.gethostname() or is_running(int(pid)):
                continue
            with contextlib.suppress(OSError):
                if kind == "old" and not (self.trials / key).exists():
                    path.rename(self.trials / key)
            shutil.rmtree(path, ignore_errors=True)
            swept += 1
        return swept

    def _not_a_folder(self) -> InvalidInput:
        return InvalidInput(f"store {self.root} is not a folder: name another with --store")

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreUnusable(
                f"store {self.root} cannot be written ({error.strerror or error}): free the disk, "
                "or choose another folder with --store"
            ) from error


def _entries(folder: Path) -> Iterator[Path]:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        yield from sorted(folder.iterdir())


def _placed(folder: Path, target: Path) -> bool:
    """Rename a folder to `target`; return False if that exists and is not empty."""
    try:
        folder.rename(target)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
        return False
    return True
