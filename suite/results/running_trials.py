"""The trials that are being trained now, in a store that is a folder."""

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from suite.results.running_file import live_headings
from suite.results.store import Store

TAIL_BYTES = 4096


@dataclass(frozen=True)
class RunningTrial:
    """A trial that is being trained, as it last reported.

    Attributes:
        key, task, method, sparsity, seed: of the trial.
        step: optimizer steps done, over all rounds.
        steps: those of the whole training.
        loss: of the last step or epoch whose loss is known; None before the first.
        seconds: since the trial was first started, without the time between attempts.
    """

    key: str
    task: str
    method: str
    sparsity: float
    seed: int
    step: int
    steps: int
    loss: float | None
    seconds: float


def running_trials(store: Store) -> list[RunningTrial]:
    """Return the running trials of a store, by key; of a store under a URL none are known.

    Trials whose process has died are left out, and so is what cannot be read.
    """
    if not store.local:
        return []
    found = []
    for path, about in live_headings(store.root):
        progress = _last_progress(path)
        found.append(
            RunningTrial(
                about.key,
                about.task,
                about.method,
                about.sparsity,
                about.seed,
                step=progress.get("step", 0),
                steps=about.steps,
                loss=progress.get("loss"),
                seconds=progress.get("seconds", 0.0),
            )
        )
    return found


def _last_progress(path: Path) -> dict[str, Any]:
    """Return the last whole line of progress; empty if there is none yet.

    Progress ends each write, so the end of the file has it, unless a write is in progress.
    """
    with contextlib.suppress(OSError), path.open("rb") as file:
        size = file.seek(0, 2)
        for start in (max(0, size - TAIL_BYTES), 0):
            file.seek(start)
            for line in reversed(file.read(size - start).split(b"\n")[:-1]):
                if line.startswith(b'{"step":'):
                    with contextlib.suppress(ValueError):
                        return json.loads(line)
    return {}
