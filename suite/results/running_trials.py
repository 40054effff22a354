"""The trials that are being trained now, in a store that is a folder."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from suite.core.bounded_json import LINE, parse
from suite.core.files import open_regular
from suite.results.running_file import live_headings
from suite.results.store import Store

TAIL_BYTES = 4096
MAX_TAIL_BYTES = 16 * 2**20
"""Where to look for the progress: a line of curves before it may be longer than the first."""


class Progress(BaseModel, strict=True):
    """How far a trial is: the line that ends each write to its file."""

    step: int = 0
    loss: float | None = None
    seconds: float = 0.0
    steps: int = 0


@dataclass(frozen=True)
class RunningTrial:
    """A trial that is being trained, as it last reported.

    Attributes:
        key, task, method, sparsity, seed: of the trial.
        step: optimizer steps done, over all rounds.
        steps: those of the whole training, as far as they are known.
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
                step=progress.step,
                steps=progress.steps or about.steps,
                loss=progress.loss,
                seconds=progress.seconds,
            )
        )
    return found


def _last_progress(path: Path) -> Progress:
    """Return the last whole line of progress; that of the beginning if there is none yet.

    Progress ends each write, so the end of the file has it, unless a write is in progress.
    """
    with contextlib.suppress(OSError), open_regular(path) as file:
        size = file.seek(0, 2)
        for length in (TAIL_BYTES, MAX_TAIL_BYTES):
            file.seek(max(0, size - length))
            for line in reversed(file.read(length).split(b"\n")[:-1]):
                if line.startswith(b'{"step":'):
                    with contextlib.suppress(ValueError):
                        return Progress.model_validate(parse(line, LINE))
    return Progress()
