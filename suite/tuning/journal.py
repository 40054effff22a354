"""The journal file that a search is stored in: what cannot be written or read is one line."""

import contextlib
import errno
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from optuna.storages.journal import JournalFileBackend, JournalStorage

from suite.core.errors import InvalidInput
from suite.core.redact import redact_address
from suite.tuning.journal_lock import JournalLock

FULL = "make room on the disk"
CLOSED = "make it writable"
GONE = "put it back"
REMEDIES: Mapping[int | None, str] = {
    errno.ENOSPC: FULL,
    errno.EDQUOT: FULL,
    errno.EFBIG: "raise the limit on the size of files",
    errno.EACCES: CLOSED,
    errno.EPERM: CLOSED,
    errno.EROFS: CLOSED,
    errno.ENOENT: GONE,
    errno.ENOTDIR: GONE,
    errno.ESTALE: GONE,
}
"""What to do, by the number of the system's error."""


class JournalLost(InvalidInput):
    """The journal of a search could not be written or read during the search."""


class Journal:
    """The backend of an `optuna.storages.JournalStorage`: a file of lines, shared under a lock.

    Of a line that could not be written nothing stays. A file that was removed or cut short
    meanwhile is not begun anew: other processes, and this one, would take what is written then for
    the continuation of what they have read.
    """

    def __init__(self, path: Path, lock: JournalLock) -> None:
        self._path, self._lock = path, lock
        self._file = JournalFileBackend(str(path), lock)

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """Yield the entries from a number on.

        Raises:
            JournalLost: the file is gone, or damaged.
        """
        with self._told("read"):
            self._check_size()
            yield from self._file.read_logs(log_number_from)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write entries: a line each, all of it or nothing.

        Raises:
            JournalLost: it cannot be written.
            LockHeld: a running process holds the lock, and writes nothing.
        """
        content = b"".join(json.dumps(one, separators=(",", ":")).encode() + b"\n" for one in logs)
        with self._told("written"):
            self._lock.acquire()
            try:
                self._check_size()
                _append(self._path, content)
            finally:
                self._lock.release()

    def _check_size(self) -> None:
        """Raise OSError if the file does not have all complete lines that were read."""
        if self._path.stat().st_size < max(self._file._log_number_offset.values()):
            raise OSError(errno.ESTALE, "it is shorter than it was")

    @contextlib.contextmanager
    def _told(self, what: str) -> Iterator[None]:
        try:
            yield
        except InvalidInput:
            raise
        except (OSError, ValueError) as error:
            remedy = REMEDIES.get(getattr(error, "errno", None), "check the disk")
            raise JournalLost(
                f"journal {self._path} cannot be {what} ({reason(error, str(self._path))}); "
                f"finished trials are kept: {remedy}, then run the same command to resume"
            ) from error


def open_journal(path: Path) -> JournalStorage:
    """Open or create a journal, by its absolute path: the link that locks it leads there.

    Raises:
        InvalidInput: it cannot be created, or is not a journal.
    """
    lock = JournalLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        journal = Journal(path, lock)
        _mend(path, lock)
        return JournalStorage(journal)
    except (OSError, ValueError, KeyError, AssertionError) as error:
        if isinstance(error, InvalidInput) and not isinstance(error, JournalLost):
            raise
        cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
        raise InvalidInput(
            f"journal {path} cannot be used ({reason(cause, str(path))}): check the disk, or name "
            "another file with --storage"
        ) from error


def reason(error: Exception, location: str) -> str:
    """Return the first line of an error's message, without a password that `location` has."""
    message = str(getattr(error, "strerror", None) or error)
    lines = [line for line in message.splitlines() if line.strip()]
    first = " ".join((lines or [type(error).__name__])[0].split())
    return redact_address(first, location)[:300]


def _append(path: Path, content: bytes) -> None:
    """Write at the end of a file and to the disk; of a line that does not fit nothing stays."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    try:
        size, left = os.fstat(descriptor).st_size, memoryview(content)
        try:
            while left:
                left = left[os.write(descriptor, left) :]
        except BaseException:
            # Other processes may have read the lines that are complete: those stay.
            whole = content[: len(content) - len(left)].rfind(b"\n") + 1
            os.ftruncate(descriptor, size + whole)
            raise
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _mend(path: Path, lock: JournalLock) -> None:
    """Truncate an incomplete last line, left by a killed process: Optuna would stop reading there.

    Raises ValueError if the last complete line is not JSON.
    """
    content = path.read_bytes()
    if lines := content.split(b"\n")[:-1]:
        json.loads(lines[-1])
    if not content or content.endswith(b"\n"):
        return
    lock.acquire()
    try:
        content = path.read_bytes()
        os.truncate(path, content.rfind(b"\n") + 1)
    finally:
        lock.release()
