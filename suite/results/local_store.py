"""A store in a local (or shared) folder: ``<root>/trials/<key>/record.json`` and other files."""

import contextlib
import errno
import os
import re
import shutil
import stat
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from suite.core.errors import InvalidInput
from suite.core.files import (
    again_if_gone,
    atomic_write,
    make_folder,
    open_regular,
    read_regular,
    remove_if_abandoned,
    remove_unfinished,
    sync_folder,
    write_synced,
)
from suite.core.leases import file_system_time, is_abandoned, last_written, temporary_name
from suite.results.storage_backend import (
    KEY,
    MAX_BYTES,
    MAX_FILE,
    RECORD,
    StoreUnusable,
    checksum_of,
)
from suite.results.storage_errors import one_line

T = TypeVar("T")

MAX_ATTEMPTS = 1000
OTHER_STORE = ", or choose another folder with --store"
MOVED_AWAY = re.compile(r"\.old-([0-9a-f]{16})-.+")


class LocalStore:
    """Trials in a local folder.

    A trial's folder is written under a temporary name and renamed, so a reader sees all of it or
    nothing; while an existing trial is replaced, it may for a moment see nothing. Files and names
    are on the disk before a method that writes returns. The methods raise what `StorageBackend`
    says.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.trials = root / "trials"
        self.location = str(root)
        self._prefix = f"{self.trials}{os.sep}"

    def prepare(self) -> None:
        """Create the folder, check that it is writable, and remove what killed processes left."""
        with self._writing():
            make_folder(self.trials)
            self._sweep(file_system_time(self.trials))

    def write(self, key: str, files: Mapping[str, bytes], digest: str) -> None:
        """Write a trial's folder, or replace an older one; a failure leaves nothing behind."""
        with self._writing():
            again_if_gone(lambda: self._write_once(key, files))

    def _write_once(self, key: str, files: Mapping[str, bytes]) -> None:
        temporary = self._temporary("new", key)
        try:
            make_folder(self.trials)
            temporary.mkdir()
            for name, content in files.items():
                write_synced(temporary / name, content)
            sync_folder(temporary)
            self._swap(temporary, key)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def remove(self, key: str) -> None:
        """Remove a trial's folder: renamed first, so that a reader sees all of it or nothing."""
        with self._writing():
            self._discard(self.trials / key, key)
            sync_folder(self.trials)

    def _swap(self, temporary: Path, key: str) -> None:
        """Give the new folder the trial's name, also while others write the same trial."""
        target = self.trials / key
        replaced: list[Path] = []
        placed = False
        try:
            for _ in range(MAX_ATTEMPTS):
                if placed := _placed(temporary, target):
                    sync_folder(self.trials)
                    return
                old = self._temporary("old", key)
                with contextlib.suppress(OSError):  # its age, for others, begins now
                    os.utime(target)
                with contextlib.suppress(FileNotFoundError):  # another writer was faster
                    target.rename(old)
                    replaced.append(old)
            raise OSError(errno.EBUSY, "other processes keep writing this trial")
        finally:
            # The older folder is removed only once another one is in its place. If ours was moved
            # away since, the process that moved it restores or removes it.
            with contextlib.suppress(FileNotFoundError):
                if replaced and not placed and _placed(replaced[-1], target):
                    replaced.pop()
            for old in replaced:
                with contextlib.suppress(OSError):
                    self._discard(old, key)

    def _discard(self, folder: Path, key: str) -> None:
        """Remove a folder, under a name that nobody restores and where no writer finds it."""
        temporary = self._temporary("new", key)
        folder.rename(temporary)
        shutil.rmtree(temporary)

    def load(self, key: str, name: str, digest: str | None, max_bytes: int = MAX_FILE) -> bytes:
        """Return a file of a trial; in a copied remote store it is in a subfolder (`digest`)."""
        limit = MAX_BYTES if name == RECORD else max_bytes
        return self._read(key, name, digest, lambda path: read_regular(path, limit))

    def checksum(self, key: str, name: str, digest: str | None, size: int) -> tuple[int, str]:
        """Return size and SHA-256 of a file of a trial, read in blocks if it has that size."""

        def read(path: str) -> tuple[int, str]:
            with open_regular(path) as file:
                found = os.fstat(file.fileno()).st_size
                return found, checksum_of(file) if found == size <= MAX_FILE else ""

        return self._read(key, name, digest, read)

    def _read(self, key: str, name: str, digest: str | None, read: Callable[[str], T]) -> T:
        folder = f"{self._prefix}{key}"  # no Path objects: fast for 10,000 records
        paths = [f"{folder}/{name}", *([f"{folder}/{digest}/{name}"] if digest else [])]
        try:
            if stat.S_ISLNK(os.lstat(folder).st_mode):
                raise InvalidInput(
                    f"{folder} is a link, which may lead out of the store: remove it"
                )
            for path in paths:
                with contextlib.suppress(FileNotFoundError):
                    return read(path)
        except FileNotFoundError:
            pass
        except NotADirectoryError as error:
            raise self._not_a_folder() from error
        except OSError as error:
            raise InvalidInput(one_line(error, paths[0], "read")) from error
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), paths[0])

    def load_records(self, keys: list[str]) -> Iterator[tuple[str, bytes]]:
        """Yield the records of these trials that exist."""
        for key in keys:
            with contextlib.suppress(FileNotFoundError):
                yield key, self.load(key, RECORD, None)

    def names(self, key: str, digest: str | None) -> list[str]:
        """Return the names of all that is in a trial's folder, plain files or not."""
        folder = self.trials / key
        with self._reading(folder):
            found = {path.name for path in _entries(folder)}
            if digest and digest in found:
                found = found - {digest} | {path.name for path in _entries(folder / digest)}
        return sorted(found)

    def keys(self) -> list[str]:
        """Return the names of the trials' folders."""
        with self._reading():
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

    def versions(self, keys: Sequence[str] | None = None) -> dict[str, str]:
        """Return time of writing and size of each record."""
        found = {}
        for key in self.keys() if keys is None else keys:
            try:
                about = os.lstat(f"{self._prefix}{key}/{RECORD}")
            except FileNotFoundError:
                continue
            except OSError as error:  # whoever reads the record is told why it cannot be read
                found[key] = f"unreadable-{error.errno}"
            else:
                found[key] = f"{about.st_mtime_ns}-{about.st_size}"
        return found

    def leftovers(self, digests: Mapping[str, str | None]) -> list[str]:
        """Return the paths among the trials that are not a trial's folder, including links."""
        with self._reading():
            return [
                str(path)
                for path in _entries(self.trials)
                if not KEY.fullmatch(path.name) or path.is_symlink() or not path.is_dir()
            ]

    def remove_leftovers(self, digests: Mapping[str, str | None]) -> int:
        """Remove the folders that killed processes left; return how many."""
        with self._writing():
            return self._sweep(file_system_time(self.trials)) if self.trials.exists() else 0

    def load_shared(self, name: str, max_bytes: int | None = None) -> bytes:
        """Return a file beside the trials."""
        with self._reading(self.root / name):
            return read_regular(self.root / name, max_bytes)

    def save_shared(self, name: str, content: bytes) -> None:
        """Write a file beside the trials atomically."""
        with self._writing():
            atomic_write(self.root / name, content)

    def remove_shared(self, name: str) -> None:
        """Remove a file beside the trials, if it is there."""
        with self._writing():
            (self.root / name).unlink(missing_ok=True)

    def silent_seconds(self, name: str) -> float:
        """Return how long ago a file beside the trials was written."""
        path = self.root / name
        with self._reading(path):
            return file_system_time(path.parent) - last_written(path)

    def sweep_shared(self, folder: str) -> None:
        """Remove half-written files, and the folder if it is then empty."""
        remove_unfinished(self.root / folder)
        with contextlib.suppress(OSError):
            (self.root / folder).rmdir()

    def shared_names(self, folder: str) -> list[str]:
        """Return the names of all that is in a folder beside the trials, plain files or not."""
        path = self.root / folder
        with self._reading(path):
            try:
                return sorted(entry.name for entry in path.iterdir())
            except FileNotFoundError:
                return []
            except NotADirectoryError as error:
                if self.root.exists() and not self.root.is_dir():
                    raise self._not_a_folder() from error
                raise InvalidInput(f"{path} is not a folder: move it out of the store") from error

    def where(self, key: str) -> str:
        """Return a trial's folder."""
        return str(self.trials / key)

    def _temporary(self, kind: str, key: str) -> Path:
        return self.trials / temporary_name(kind, key)

    def _sweep(self, now: float) -> int:
        """Remove what nobody writes any more; first restore trials that were moved away."""
        before = {
            path for path in _entries(self.trials) if path.name.startswith((".new-", ".old-"))
        }
        if not before:
            return 0
        moved: dict[str, list[Path]] = defaultdict(list)
        for path in before:
            if match := MOVED_AWAY.fullmatch(path.name):
                moved[match[1]].append(path)
            else:
                remove_if_abandoned(path, now)
        for key, folders in moved.items():
            with contextlib.suppress(OSError):
                self._restore(key, folders, now)
        return len(before - set(_entries(self.trials)))

    def _restore(self, key: str, folders: list[Path], now: float) -> None:
        """Give the latest of the folders that were moved away its place back, unless that is taken.

        The others are removed once there is a record in that place: none is lost.
        """
        target = self.trials / key
        folders = sorted(folders, key=_record_time, reverse=True)
        abandoned = [f for f in folders if _is_abandoned(f, now)]
        if folders[0] in abandoned and _record_time(folders[0]) and _placed(folders[0], target):
            sync_folder(self.trials)
            abandoned.remove(folders[0])
        for folder in abandoned:
            if (target / RECORD).exists() or not _record_time(folder):
                self._discard(folder, key)

    def _not_a_folder(self) -> InvalidInput:
        return InvalidInput(f"store {self.root} is not a folder: name another with --store")

    @contextlib.contextmanager
    def _reading(self, path: Path | None = None) -> Iterator[None]:
        """Turn errors into one line; that there is no such file is for the caller."""
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            where, otherwise = (path, "") if path else (f"store {self.root}", OTHER_STORE)
            raise InvalidInput(one_line(error, where, "read") + otherwise) from error

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            message = one_line(error, f"store {self.root}", "written")
            raise StoreUnusable(message + OTHER_STORE) from error


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


def _record_time(folder: Path) -> float:
    """Return when the record in a folder was written; 0 if it has none."""
    with contextlib.suppress(OSError):
        return (folder / RECORD).lstat().st_mtime
    return 0.0


def _is_abandoned(folder: Path, now: float) -> bool:
    return is_abandoned(folder.name, lambda: now - last_written(folder))
