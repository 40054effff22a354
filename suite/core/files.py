"""Files that are written whole or not at all, and read without following links."""

import contextlib
import errno
import os
import re
import socket
import stat
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

UNFINISHED = re.compile(r"\.new-(.+)-(\d+)-[0-9a-f]{8}")
ONE_DAY_SECONDS = 24 * 3600.0


def process_label() -> str:
    """Return a unique suffix for a temporary file's name; it contains host and process number."""
    return f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


@contextlib.contextmanager
def atomic_file(path: Path, *, sync: bool = True) -> Iterator[BinaryIO]:
    """Open a temporary file that is renamed to `path` when the block ends without an error.

    The folder is created. Without `sync` the file is not forced to disk, which is faster: after a
    power failure it may be empty.

    Raises:
        OSError: it cannot be written; `path` holds what it held before.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".new-{process_label()}")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            if sync:
                os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def atomic_write(path: Path, content: bytes | str, *, sync: bool = True) -> None:
    """Write a file so that readers see the old content or the new one; see `atomic_file`.

    Raises:
        OSError: it cannot be written; `path` holds what it held before.
    """
    with atomic_file(path, sync=sync) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def remove_unfinished(folder: Path) -> None:
    """Remove what killed processes of `atomic_file` left in a folder.

    Files of this host are removed once their process has ended; those of other hosts after a day.
    """
    for path in folder.glob(".new-*"):
        with contextlib.suppress(OSError):
            match = UNFINISHED.fullmatch(path.name)
            local = match is not None and match[1] == socket.gethostname()
            old = time.time() - path.stat().st_mtime > ONE_DAY_SECONDS
            if old or (match is not None and local and not is_running(int(match[2]))):
                path.unlink()


def read_regular(path: str | Path, max_bytes: int | None, *, follow: bool = False) -> bytes:
    """Read a regular file; refuse a link, which may lead elsewhere, and a pipe, which may block.

    `follow` links for a file that a user names himself.

    Raises:
        OSError: it is something else, is larger than `max_bytes`, or cannot be read.
    """
    links = 0 if follow else os.O_NOFOLLOW
    descriptor = os.open(path, os.O_RDONLY | links | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor, not a path
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise OSError(errno.EINVAL, "it is not a plain file")
        if max_bytes is not None and about.st_size > max_bytes:
            raise OSError(errno.EFBIG, f"it is larger than the {max_bytes} bytes allowed")
        return file.read()


def is_running(pid: int) -> bool:
    """Return whether this machine has a process of that number."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def process_start(pid: int) -> str:
    """Return when this machine started a process, in a form to compare; empty if unknown.

    Linux gives process numbers out again, in a container soon: number and start name a process.
    """
    with contextlib.suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return ""
