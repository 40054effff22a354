"""Who owns a temporary file, and whether it may be removed.

Processes of several machines, and of several containers on one machine, may write to one folder,
and any of them may be killed. What a process has not finished has a name that ends in its `Owner`:
``.new-…-PLACE-PID-STARTED-RANDOM``. PLACE stands for a machine since it was booted and for a PID
namespace, so PID and start time of the same place say with certainty whether the process is still
there. Of another place nothing is certain: there, what has not been written to for
`MIN_AGE_SECONDS` is taken for abandoned. Writing is the heartbeat; `Heartbeat` is for what may be
silent for longer. Ages are measured by the clock of the file system (`file_system_time`), so clocks
that differ between machines do not matter.
"""

import contextlib
import hashlib
import os
import re
import socket
import stat
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

MIN_AGE_SECONDS = 15 * 60.0
"""What another machine or container has not written to for so long is taken for abandoned."""
HEARTBEAT_SECONDS = 60.0
HANGING_SECONDS = 3.0
"""A heartbeat that takes longer waits for a file server that does not answer."""

_LABEL = re.compile(r"([0-9a-f]{12})-(\d+)-(\d*)-[0-9a-f]{8}")
_UNKNOWN = "0" * 12


@dataclass(frozen=True)
class Owner:
    """A process.

    Attributes:
        place: digest of the machine, its boot, and the process's namespaces; zeros if unknown.
        pid: its number there.
        started: when it was started, in clock ticks since the boot; empty if unknown.
    """

    place: str
    pid: int
    started: str

    @classmethod
    def current(cls) -> "Owner":
        """Return this process."""
        pid = os.getpid()
        return cls(_place(pid), pid, _process_start(pid))

    @classmethod
    def parse(cls, name: str) -> "Owner | None":
        """Return the owner whose label a name ends in; None if it ends in none."""
        parts = "-".join(name.rsplit("-", 4)[-4:])
        match = _LABEL.fullmatch(parts)
        return cls(match[1], int(match[2]), match[3]) if match else None

    def label(self) -> str:
        """Return a text for the end of a file's name; each call returns another one."""
        return f"{self.place}-{self.pid}-{self.started}-{uuid.uuid4().hex[:8]}"

    def is_alive(self) -> bool | None:
        """Return whether the process is still there; None if this process cannot tell for sure."""
        if self.place == _UNKNOWN or self.place != _place(os.getpid()):
            return None
        try:
            os.kill(self.pid, 0)
        except (ProcessLookupError, OverflowError):
            return False
        except PermissionError:  # it is there, and another user's
            pass
        started = _process_start(self.pid)
        return started == self.started if started and self.started else None


def temporary_name(kind: str = "new", of: str = "") -> str:
    """Return the name of a temporary file of this process: hidden, and unique."""
    return "-".join(filter(None, (f".{kind}", of, Owner.current().label())))


def is_abandoned(name: str, silent_seconds: Callable[[], float]) -> bool:
    """Return whether nobody uses what has this name any more.

    `silent_seconds` returns how long it has not been written to; it is called only if that counts.
    """
    owner = Owner.parse(name)
    alive = owner.is_alive() if owner else None
    return silent_seconds() > MIN_AGE_SECONDS if alive is None else not alive


def file_system_time(folder: Path) -> float:
    """Return the time by the clock that stamps the files of a folder, in seconds since 1970.

    Raises:
        OSError: the folder cannot be written to.
    """
    probe = folder / temporary_name()
    probe.mkdir()  # not a file: its time is the server's own on network file systems too
    try:
        return probe.stat().st_mtime
    finally:
        probe.rmdir()


def last_written(path: Path) -> float:
    """Return when a file, or a folder and what is directly in it, was last written to.

    Raises:
        OSError: it is gone, or cannot be read.
    """
    about = path.lstat()
    times = [about.st_mtime]
    if stat.S_ISDIR(about.st_mode):
        with os.scandir(path) as entries:
            times += [entry.stat(follow_symlinks=False).st_mtime for entry in entries]
    return max(times)


class Heartbeat:
    """Calls a function at intervals, in a thread, until `stop`; what it raises has no effect."""

    def __init__(self, beat: Callable[[], None], seconds: float = HEARTBEAT_SECONDS) -> None:
        self._beat, self._seconds = beat, seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="lease-heartbeat")
        self._thread.start()

    def _run(self) -> None:
        while not self._ended.wait(self._seconds):
            with contextlib.suppress(Exception):
                self._beat()

    def stop(self) -> None:
        """End the thread: the function is not called again. One that hangs is not waited for."""
        self._ended.set()
        self._thread.join(HANGING_SECONDS)


def _place(pid: int) -> str:
    """Return what process numbers and start times can be compared in.

    It is unknown where /proc shows the processes of another namespace, or does not exist.
    """
    with contextlib.suppress(OSError):
        if str(Path("/proc/self").readlink()) == str(pid):
            boot = Path("/proc/sys/kernel/random/boot_id").read_text()
            parts = [socket.gethostname(), boot, str(Path("/proc/self/ns/pid").readlink())]
            with contextlib.suppress(OSError):  # start times depend on it, where there are several
                parts.append(str(Path("/proc/self/ns/time").readlink()))
            return hashlib.sha256("/".join(parts).encode()).hexdigest()[:12]
    return _UNKNOWN


def _process_start(pid: int) -> str:
    with contextlib.suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return ""
