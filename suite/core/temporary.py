"""One folder for the temporary files of this process, and the end of those that kills left behind.

A process that has such a folder holds a lock of the operating system on a file in it, which ends
with the process however it ends, in every container and after every restart. So a folder whose lock
can be taken belongs to nobody.
"""

import atexit
import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from suite.core import stopping
from suite.core.errors import InvalidInput

PREFIX = "resonance-"
OLD_PREFIX = "resonance-worker-"
"""Of the files that earlier versions made, without a lock."""
LOCK = "lock"
HELD = b"held\n"
"""Written once the lock is held: a lock file without it belongs to a process that is starting."""
ONE_DAY_SECONDS = 24 * 3600.0
LONGEST_FOLDER = 60
"""Longest path for sockets: the system allows 107 characters, for their names too."""


@dataclass(frozen=True)
class _Own:
    process: int
    folder: Path
    lock: int


_own: _Own | None = None


def folder() -> Path:
    """Return the folder of this process; it is removed when the process ends.

    What processes that were killed have left is removed when the folder is made.

    Raises:
        InvalidInput: it cannot be made.
    """
    global _own
    if _own is None or _own.process != os.getpid() or not _own.folder.is_dir():
        try:
            sweep(Path(tempfile.gettempdir()))
            _own = _make()
        except OSError as error:
            raise unusable(error) from error
        atexit.register(remove)
        stopping.at_end(remove)
    return _own.folder


def unusable(error: OSError) -> InvalidInput:
    """Return the error of a temporary file that cannot be written."""
    return InvalidInput(
        f"a temporary file cannot be written ({error.strerror or error}): free some space, or set "
        "TMPDIR to a folder on another disk"
    )


def remove() -> None:
    """Remove this process's folder, if it has one."""
    global _own
    if _own is not None and _own.process == os.getpid():
        own, _own = _own, None
        shutil.rmtree(own.folder, ignore_errors=True)
        os.close(own.lock)


@contextlib.contextmanager
def as_default() -> Iterator[None]:
    """While this is open, `tempfile` uses this process's folder.

    For libraries that make a temporary folder once and keep it, with sockets in it.
    """
    before = tempfile.tempdir
    if len(str(folder())) <= LONGEST_FOLDER:
        tempfile.tempdir = str(folder())
    try:
        yield
    finally:
        tempfile.tempdir = before


def sweep(place: Path) -> None:
    """Remove the folders in `place` whose process has ended, and what older versions left there."""
    with contextlib.suppress(OSError), os.scandir(place) as entries:
        for entry in entries:
            if entry.name.startswith(PREFIX):
                with contextlib.suppress(OSError):
                    _sweep(Path(entry.path))


def _sweep(path: Path) -> None:
    about = path.lstat()
    mine = about.st_uid == os.getuid()
    old = time.time() - about.st_mtime > ONE_DAY_SECONDS
    if mine and stat.S_ISDIR(about.st_mode):
        descriptor = os.open(path / LOCK, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.read(descriptor, len(HELD)) == HELD:
                shutil.rmtree(path, ignore_errors=True)
        finally:
            os.close(descriptor)
    elif mine and old and stat.S_ISREG(about.st_mode) and path.name.startswith(OLD_PREFIX):
        path.unlink()


def _make() -> _Own:
    path = Path(tempfile.mkdtemp(prefix=PREFIX))
    lock = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(lock, HELD)
    except OSError:
        os.close(lock)
        shutil.rmtree(path, ignore_errors=True)
        raise
    return _Own(os.getpid(), path, lock)
