"""The lock of a journal file: exclusive among processes, and bounded in how long it waits.

Optuna's own lock is a symbolic link to the journal, and a link that was left by a killed process is
removed after 30 s. But if the journal has been moved since, the link leads nowhere, and Optuna
waits without end at full load. Here the link is made in the same way, so that Optuna's processes
are excluded too, under a lock of the operating system, which ends with its process: so a process
that holds it is known to run, and a link without one is left over.
"""

import contextlib
import errno
import fcntl
import os
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from suite.core.console import complain
from suite.core.errors import InvalidInput

LINK_SECONDS = 15.0
"""A link that no process of this machine holds, and that has not changed for this long, is removed.

Only a process of another machine, or one that uses Optuna's own lock, can have such a link and
still run; it holds it for milliseconds."""

HELD_SECONDS = 25.0
"""How long to wait for a running process of this machine that writes nothing; above
`LINK_SECONDS`, which that process may be waiting for."""

AGAIN_SECONDS = 1.0
"""How long to wait once that has failed: a search that ends must not wait for each trial."""

FIRST_PAUSE = 0.001
LONGEST_PAUSE = 0.25
BUSY = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)


class LockHeld(InvalidInput):
    """A running process holds the lock of a journal, and writes nothing."""


class JournalLock:
    """A lock for `optuna.storages.journal.JournalFileBackend`.

    `clock` returns seconds, `sleep` waits for some.
    """

    def __init__(
        self,
        journal: Path,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._journal = journal
        self._link = journal.with_name(f"{journal.name}.lock")
        self._clock, self._sleep = clock, sleep
        self._patience = HELD_SECONDS
        self._descriptor = -1
        self._mine: tuple[int, int] | None = None

    def acquire(self) -> bool:
        """Wait until this process has the lock; return True.

        Raises:
            LockHeld: a running process holds it, and has written nothing for `HELD_SECONDS`.
            OSError: the journal is gone or cannot be opened, or the link cannot be made.
        """
        self._descriptor = os.open(self._journal, os.O_RDWR | os.O_CLOEXEC)
        try:
            self._wait(self._lock, self._patience, self._refuse)
            self._wait(self._make_link, LINK_SECONDS, self._remove_stale_link)
        except BaseException:
            self.release()
            raise
        self._patience = HELD_SECONDS
        return True

    def release(self) -> None:
        """Give up the lock, or the part of it that this process has."""
        try:
            if self._mine is not None and self._mine == _identity(self._link):
                self._remove_link()
        finally:
            self._mine = None
            os.close(self._descriptor)

    def _wait(self, attempt: Callable[[], bool], seconds: float, stuck: Callable[[], None]) -> None:
        """Repeat `attempt`; call `stuck` if neither link nor journal has changed for `seconds`."""
        pause, before, since = FIRST_PAUSE, None, self._clock()
        while not attempt():
            now, state = self._clock(), (_identity(self._link), self._journal.stat().st_size)
            if state != before:
                before, since = state, now
            elif now - since > seconds:
                stuck()
                since = now
            self._sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _lock(self) -> bool:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return error.errno not in BUSY  # some network file systems have no such lock
        return True

    def _refuse(self) -> None:
        self._patience = AGAIN_SECONDS
        raise LockHeld(
            f"journal {self._journal} is locked by {_holder(self._descriptor)}, which runs but has "
            f"written nothing for {HELD_SECONDS:g} s: let it continue or end it, then run the same "
            "command to resume"
        )

    def _make_link(self) -> bool:
        try:
            self._link.symlink_to(self._journal)
        except FileExistsError:
            return False
        self._mine = _identity(self._link)
        return True

    def _remove_stale_link(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._remove_link()
            complain(f"{self._link} was left by a process that is gone: removed")

    def _remove_link(self) -> None:
        # Renamed first, as Optuna does: on a network file system only one process succeeds.
        away = self._link.with_name(f"{self._link.name}{uuid.uuid4().hex}.rename")
        self._link.rename(away)
        away.unlink()


def _identity(link: Path) -> tuple[int, int] | None:
    """Return what distinguishes a link from a later one of the same name; None if there is none."""
    try:
        about = link.lstat()
    except FileNotFoundError:
        return None
    return about.st_ino, about.st_mtime_ns


def _holder(descriptor: int) -> str:
    """Name the process that has locked a file, where the system tells."""
    inode = os.fstat(descriptor).st_ino
    with contextlib.suppress(OSError):
        for line in Path("/proc/locks").read_text().splitlines():
            words = line.split()
            # Of a process in another container, the number is 0.
            if words[1] == "FLOCK" and words[5].rpartition(":")[2] == str(inode) and words[4] > "0":
                return f"process {words[4]}"
    return "another process, of this machine or of one that shares the folder"
