"""Publishing beside a study: what happens there neither stops nor fails a trial."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import asdict, dataclass, field
from types import TracebackType
from typing import IO

from suite.results.store import Store
from suite.tracking.wandb import Mode, WandbConfig

PATIENCE = 120.0
"""Seconds that a finished study waits at most for what is still being published."""


@dataclass
class Published:
    """What was published: where each trial's run is, or why it is not."""

    where: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    def lines(self, settings: WandbConfig) -> list[str]:
        """Return what to say about it; nothing where nothing was to be published."""
        said = []
        if self.where:
            place = f"under {settings.folder}/wandb; `wandb sync` uploads them" if (
                settings.mode is Mode.OFFLINE) else f"in project {settings.project}"  # fmt: skip
            said.append(f"W&B: {len(self.where)} run{'s'[: len(self.where) > 1]} {place}")
        if self.errors:
            reason = next(iter(self.errors.values()))
            said.append(
                f"W&B: {len(self.errors)} not published ({reason}); their records are complete, "
                "`resonance wandb push` publishes them"
            )
        return said


class Tracker:
    """Publishes trials in a process of its own, from the moment each is in the store.

    Nothing here raises or waits, except leaving the context, which waits `patience` seconds at
    most.
    """

    def __init__(self, store: Store, settings: WandbConfig, patience: float = PATIENCE) -> None:
        self.settings = settings
        self.published = Published()
        self.patience = patience
        self._location = store.location
        self._asked: list[str] = []
        self._waiting: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._process: subprocess.Popen[str] | None = None
        self._answers: IO[str] | None = None
        self._reason = "it ended before its time"

    def __enter__(self) -> "Tracker":
        return self

    def add(self, key: str) -> None:
        """Publish a trial that is in the store, some time."""
        if self.settings.mode is Mode.OFF:
            return
        if not self._asked:
            self._start()
        self._asked.append(key)
        self._waiting.put(key)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Wait for what is being published; not after an error, and not for ever."""
        if not self._asked:
            return
        self._waiting.put(None)
        reason = self._reason
        if self._process is not None:
            try:
                self._process.wait(0 if kind is not None else self.patience)
            except subprocess.TimeoutExpired:
                reason = f"no answer in {self.patience:g} s" if kind is None else "stopped"
            except KeyboardInterrupt:
                reason = "stopped"
            self._end()
        self._read()
        for key in self._asked:
            if key not in self.published.where:
                self.published.errors.setdefault(key, reason)

    def _start(self) -> None:
        words = [sys.executable, "-m", "suite.tracking", self._location]
        try:
            self._answers = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed in _read
            self._process = subprocess.Popen(
                [*words, json.dumps(asdict(self.settings))],
                stdin=subprocess.PIPE,
                stdout=self._answers,
                stderr=subprocess.DEVNULL,
                text=True,
                start_new_session=True,  # Ctrl-C is the study's to handle
            )
        except OSError as error:
            self._reason = str(error)
            return
        threading.Thread(target=self._feed, daemon=True).start()

    def _feed(self) -> None:
        """Hand over keys as the process takes them: a full pipe must not stop the study."""
        assert self._process is not None
        assert self._process.stdin is not None
        pipe = self._process.stdin
        with contextlib.suppress(OSError, ValueError):
            while (key := self._waiting.get()) is not None:
                pipe.write(f"{key}\n")
                pipe.flush()
        with contextlib.suppress(OSError, ValueError):
            pipe.close()  # also after a write that failed: what is left in it would be tried again

    def _end(self) -> None:
        """End the process and what it started."""
        assert self._process is not None
        with contextlib.suppress(OSError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _read(self) -> None:
        if self._answers is None:
            return
        with self._answers as answers:
            answers.seek(0)
            for line in answers:
                with contextlib.suppress(ValueError, KeyError, TypeError):
                    answer = json.loads(line)
                    if "error" in answer:
                        self.published.errors[answer["key"]] = answer["error"]
                    else:
                        self.published.where[answer["key"]] = answer["where"]
