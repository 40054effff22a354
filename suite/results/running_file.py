"""The file that a trial writes while it trains: what it is, how far it is, its curves so far.

``<store>/running/<key>.jsonl``, one JSON object a line, only appended to. The first line is the
`Heading`; ``{"rows": [[round, step, series, layer, index, value], …]}`` adds to the curves, all
rows of a step at once; ``{"step": …, "seconds": …, "loss": …}`` is the progress, and ends each
write; it has ``"steps"``, those of the whole training, where they were forecast again.
The file is for those who watch. It is removed once the trial has a record, and nothing depends on
it: what cannot be written is left out.
"""

import contextlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from suite.core.bounded_json import LINE
from suite.core.files import atomic_write, open_regular, remove_unfinished
from suite.core.leases import Owner, file_system_time
from suite.core.redact import redact_bytes
from suite.results.storage_backend import KEY

FOLDER = "running"
SUFFIX = ".jsonl"
ATTEMPTS = 3
"""To begin a file: another process may remove the folder in the same moment, as it is empty."""
MAX_SILENT_SECONDS = 3600.0
"""A file of another machine or container that is silent for longer is not listed."""
ONE_DAY_SECONDS = 24 * 3600.0
"""One that is silent for longer is removed: an epoch may take hours."""

Row = tuple[int, int, str, str, int, float]
"""One value of the curves: round, step, series, layer, index, value."""


@dataclass(frozen=True)
class Heading:
    """What a running trial is.

    Attributes:
        key, task, method, sparsity, seed: of the trial.
        title: the trial in one line.
        steps: optimizer steps of all rounds.
        started: when this attempt was started, in seconds since 1970.
        configuration: every setting with its value, and the revisions.
        owner: label of the process that trains it; see `suite.core.leases.Owner`.
    """

    key: str
    task: str
    method: str
    sparsity: float
    seed: int
    title: str
    steps: int
    started: float
    configuration: Mapping[str, Any]
    owner: str

    @classmethod
    def from_json(cls, line: bytes) -> "Heading":
        """Read the first line of a file.

        Raises:
            ValueError: it is none.
        """
        return TypeAdapter(cls).validate_json(line, strict=True)

    def is_alive(self, silent_seconds: float) -> bool:
        """Return whether the process is still there; of another machine, whether it writes."""
        known = self.process_is_there()
        return silent_seconds < MAX_SILENT_SECONDS if known is None else known

    def process_is_there(self) -> bool | None:
        """Return whether the process is still there; None if that is not known for sure."""
        owner = Owner.parse(self.owner)
        return owner.is_alive() if owner else None


class RunningFile:
    """Writes the file of a trial that this process trains. Nothing here raises or waits."""

    def __init__(self, root: Path, key: str) -> None:
        """Prepare the file of trial `key` in the store's folder `root`; nothing is written yet."""
        self.path = running_path(root, key)
        self._about: os.stat_result | None = None
        self._descriptor: int | None = None

    def begin(self, **about: Any) -> None:
        """Write the heading, in place of an earlier attempt's file; `about` is its first part."""
        heading = Heading(**about, owner=Owner.current().label())
        content = redact_bytes(_line(asdict(heading)))
        for _ in range(ATTEMPTS):
            with contextlib.suppress(OSError):
                # Not forced to disk: after a power failure nobody needs it.
                atomic_write(self.path, content, sync=False)
                self._descriptor = os.open(
                    self.path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
                )
                self._about = os.fstat(self._descriptor)
                return

    def add(
        self,
        step: int,
        seconds: float,
        loss: float | None,
        rows: Sequence[Row] = (),
        steps: int = 0,
    ) -> None:
        """Append new rows of the curves, and the progress: steps done, seconds, latest loss.

        `steps` are those of the whole training where they are no longer those of the heading.
        """
        if self._descriptor is None:
            return
        content = _line({"rows": rows}) if rows else b""
        changed = {"steps": steps} if steps else {}
        content += _line({"step": step, "seconds": round(seconds, 3), "loss": loss} | changed)
        try:
            whole = os.write(self._descriptor, content) == len(content)
        except OSError:
            whole = False
        if not whole:  # the disk is full: a line after half a line could not be read
            self._close()

    def remove(self) -> None:
        """Remove the file: the trial has ended. That of another process which trains it stays."""
        if self._about is not None:
            with contextlib.suppress(OSError):
                if os.path.samestat(self._about, self.path.lstat()):
                    self.path.unlink()
                self.path.parent.rmdir()  # if it was the last
        self._close()

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = None


def running_path(root: Path, key: str) -> Path:
    """Return the file of a running trial of the store in folder `root`."""
    return root / FOLDER / f"{key}{SUFFIX}"


def live_headings(root: Path) -> Iterator[tuple[Path, Heading]]:
    """Yield the files of trials that are running, by key; files that cannot be read are passed."""
    for path, heading, written in _headings(root):
        if heading is not None and heading.is_alive(time.time() - written):
            yield path, heading


def sweep(root: Path) -> None:
    """Remove the files of processes that have ended; those of other machines after a day."""
    with contextlib.suppress(OSError):
        now = file_system_time(root / FOLDER)
        for path, heading, written in _headings(root):
            there = heading.process_is_there() if heading else None
            if now - written > ONE_DAY_SECONDS if there is None else not there:
                path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        remove_unfinished(root / FOLDER)
        (root / FOLDER).rmdir()


class RunningFileReader:
    """Follows the file of one attempt at a trial, also after it was removed or replaced."""

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            OSError: there is none, or it cannot be read.
            ValueError: it does not begin with a heading.
        """
        self._path = path
        self._file = open_regular(path)
        try:
            self._about = os.fstat(self._file.fileno())
            self.heading = Heading.from_json(self._file.readline(LINE.size))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "RunningFileReader":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def read(self) -> list[Any]:
        """Return the lines that were appended since the last call.

        A last line that is half-written is left for the next call.

        Raises:
            ValueError: a line is not JSON.
        """
        start = self._file.tell()
        content = self._file.read()
        whole = content[: content.rfind(b"\n") + 1]
        self._file.seek(start + len(whole))
        return [json.loads(line) for line in whole.splitlines()]

    def is_current(self) -> bool:
        """Return whether the file is still in its place; if not, `read` returns what is left."""
        try:
            return os.path.samestat(self._about, os.lstat(self._path))
        except OSError:
            return False

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _headings(root: Path) -> Iterator[tuple[Path, Heading | None, float]]:
    """Yield each file, its heading (None if unreadable) and when it was last written to."""
    with contextlib.suppress(OSError):
        for path in sorted((root / FOLDER).iterdir()):
            if path.suffix != SUFFIX or not KEY.fullmatch(path.stem) or path.is_symlink():
                continue
            heading = None
            with contextlib.suppress(OSError, ValueError), open_regular(path) as file:
                heading = Heading.from_json(file.readline(LINE.size))
            with contextlib.suppress(OSError):
                yield path, heading, path.stat().st_mtime


def _line(content: Mapping[str, Any] | Iterable[Any]) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode() + b"\n"
