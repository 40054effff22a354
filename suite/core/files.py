"""Files that are written whole or not at all, and read without following links."""

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from suite.core.leases import file_system_time, is_abandoned, last_written, temporary_name

ATTEMPTS = 3
"""To write: another machine may remove an empty folder, or what a suspended process has begun."""
NOT_SYNCED = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EACCES)
"""How a file system says that a folder cannot be synced, or not by one who cannot read it."""


@contextlib.contextmanager
def atomic_file(path: Path, *, sync: bool = True) -> Iterator[BinaryIO]:
    """Open a temporary file that is renamed to `path` when the block ends without an error.

    The folder is created. The file, its name and new folders are on the disk when this returns;
    without `sync` they are not forced to be, which is faster: after a power failure the file may be
    empty.

    Raises:
        OSError: it cannot be written; `path` holds what it held before, or, if only the folder
            could not be forced to disk, the new content.
    """
    make_folder(path.parent, sync=sync)
    temporary = path.with_name(temporary_name())
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            if sync:
                os.fsync(file.fileno())
        temporary.replace(path)
        if sync:
            sync_folder(path.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def atomic_write(path: Path, content: bytes | str, *, sync: bool = True) -> None:
    """Write a file so that readers see the old content or the new one; see `atomic_file`.

    Raises:
        OSError: it cannot be written; see `atomic_file`.
    """

    def write() -> None:
        with atomic_file(path, sync=sync) as file:
            file.write(content.encode() if isinstance(content, str) else content)

    again_if_gone(write)


def again_if_gone(write: Callable[[], None]) -> None:
    """Call a function that writes again, if a file or folder of its own has disappeared.

    Raises:
        OSError: as the function does, after a few attempts.
    """
    for left in reversed(range(ATTEMPTS)):
        try:
            return write()
        except FileNotFoundError:
            if not left:
                raise


def write_synced(path: Path, content: bytes) -> None:
    """Write a new file to the disk; its name is there once its folder is synced, too.

    Raises:
        OSError: it cannot be written, or exists.
    """
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def make_folder(folder: Path, *, sync: bool = True) -> None:
    """Create a folder, and those above it, where they are missing; with `sync`, on the disk.

    Raises:
        OSError: one cannot be created.
    """
    if folder.is_dir() or folder == folder.parent:  # the latter if the working folder was removed
        return
    make_folder(folder.parent, sync=sync)
    folder.mkdir(exist_ok=True)
    if sync:
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Force the names of a folder's files to the disk, where the file system can.

    Raises:
        OSError: the disk reports an error, or there is no such folder.
    """
    descriptor = None
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in NOT_SYNCED:
            raise
    finally:
        if descriptor is not None:
            os.close(descriptor)


def remove_unfinished(folder: Path) -> None:
    """Remove what killed processes of `atomic_file` left in a folder; see `suite.core.leases`."""
    with contextlib.suppress(OSError):
        if found := list(folder.glob(".new-*")):
            now = file_system_time(folder)
            for path in found:
                remove_if_abandoned(path, now)


def remove_if_abandoned(path: Path, now: float) -> None:
    """Remove a temporary file or folder, unless its owner may still need it.

    `now` is the `file_system_time` of its folder. What cannot be removed stays.
    """
    with contextlib.suppress(OSError):
        if not is_abandoned(path.name, lambda: now - last_written(path)):
            return
        if path.is_dir() and not path.is_symlink():
            # A writer that was only suspended must find its folder whole or gone.
            away = path.with_name(temporary_name())
            path.rename(away)
            shutil.rmtree(away, ignore_errors=True)
        else:
            path.unlink()


def read_regular(path: str | Path, max_bytes: int | None, *, follow: bool = False) -> bytes:
    """Read a regular file; refuse a link, which may lead elsewhere, and a pipe, which may block.

    `follow` links for a file that a user names himself. A network file system may say once that an
    open file is stale, as it was replaced; it is then opened again.

    Raises:
        OSError: it is something else, is larger than `max_bytes`, or cannot be read.
    """
    try:
        return _read_once(path, max_bytes, follow=follow)
    except OSError as error:
        if error.errno != errno.ESTALE:
            raise
    return _read_once(path, max_bytes, follow=follow)


def open_regular(path: str | Path, *, follow: bool = False) -> BinaryIO:
    """Open a regular file for reading; refuse a pipe, which may block, and a link.

    `follow` links for a file that a user names himself.

    Raises:
        OSError: it is something else, or cannot be opened.
    """
    links = 0 if follow else os.O_NOFOLLOW
    descriptor = os.open(path, os.O_RDONLY | links | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        raise OSError(errno.EINVAL, "it is not a plain file")
    return open(descriptor, "rb")  # noqa: PTH123 - a descriptor, not a path


def _read_once(path: str | Path, max_bytes: int | None, *, follow: bool) -> bytes:
    with open_regular(path, follow=follow) as file:
        about = os.fstat(file.fileno())
        if max_bytes is not None and about.st_size > max_bytes:
            raise OSError(errno.EFBIG, f"it is larger than the {max_bytes} bytes allowed")
        return file.read()
