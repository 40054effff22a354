"""Reads what wandb wrote offline: a LevelDB log of protocol buffers, as `wandb sync` reads it."""

import json
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BLOCK, HEADER = 32768, 7
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


@dataclass
class OfflineRun:
    """An offline run as read back."""

    about: Any = None
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    artifacts: list[str] = field(default_factory=list)
    exit_code: int | None = None

    def curve(self, name: str) -> list[tuple[int, float]]:
        """Return the values of a series with their steps."""
        return [(row["step"], row[name]) for row in self.history if name in row]


def read_run(folder: Path) -> OfflineRun:
    """Read a run once wandb's own process has written its end."""
    return read_run_once(folder, lambda run: run.exit_code is not None)


def read_run_once(folder: Path, condition: Callable[[OfflineRun], object]) -> OfflineRun:
    """Read a run once it holds what is waited for, which wandb's own process writes a little later.

    It does within ten minutes or not at all.
    """
    end = time.monotonic() + 600
    while not condition(run := read_run_so_far(folder)):
        assert time.monotonic() < end, f"{folder} lacks what is waited for: {run}"
        time.sleep(0.05)
    return run


def read_run_so_far(folder: Path) -> OfflineRun:
    """Read what a run's folder holds in this moment; nothing if its last record is half written."""
    try:
        return _read_run(folder)
    except (AssertionError, ValueError):
        return OfflineRun()


def _read_run(folder: Path) -> OfflineRun:
    """Read the one ``.wandb`` file in a run's folder."""
    from wandb.proto import wandb_internal_pb2 as pb

    (path,) = folder.glob("*.wandb")
    run = OfflineRun()
    for data in chunks(path.read_bytes()):
        record = pb.Record.FromString(data)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run.about = record.run
            run.config |= values(record.run.config.update)
        elif kind == "history":
            run.history.append(values(record.history.item))
        elif kind == "summary":
            run.summary |= values(record.summary.update)
        elif kind == "request" and record.request.WhichOneof("request_type") == "log_artifact":
            run.artifacts.append(record.request.log_artifact.artifact.name)
        elif kind == "artifact":
            run.artifacts.append(record.artifact.name)
        elif kind == "exit":
            run.exit_code = record.exit.exit_code
    return run


def values(items: Any) -> dict[str, Any]:
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


def chunks(content: bytes) -> Iterator[bytes]:
    """Yield the records of the log, whole."""
    place, waiting = 7, b""  # after the file's own header
    while place + HEADER <= len(content):
        left = BLOCK - place % BLOCK
        if left < HEADER:
            place += left
            continue
        _, length, kind = struct.unpack("<IHB", content[place : place + HEADER])
        part = content[place + HEADER : place + HEADER + length]
        assert len(part) == length
        place += HEADER + length
        waiting = waiting + part if kind in (MIDDLE, LAST) else part
        if kind in (FULL, LAST):
            yield waiting
