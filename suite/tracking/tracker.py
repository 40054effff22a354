"""Publish trials while they run. Errors in publishing neither stop nor fail a trial."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import tempfile
import threading
from dataclasses import asdict, dataclass, field
from typing import IO

from suite.core import own_packages, stopping, temporary
from suite.core.errors import InvalidInput
from suite.results.store import Store
from suite.tracking.wandb import Mode, WandbConfig

MAX_WAIT_SECONDS = 120.0
"""How long a finished study waits for trials that are still being published."""


@dataclass
class Published:
    """Results of publishing: the address of each trial's run, or an error."""

    where: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    def lines(self, settings: WandbConfig) -> list[str]:
        """Return lines for the user; none if there was nothing to publish."""
        lines = []
        if self.where:
            place = (
                f"under {settings.folder}/wandb; `wandb sync` uploads them"
                if settings.mode is Mode.OFFLINE
                else f"in project {settings.project}"
            )
            lines.append(f"W&B: {len(self.where)} run{'s'[: len(self.where) > 1]} {place}")
        if self.errors:
            reason = next(iter(self.errors.values()))
            lines.append(
                f"W&B: {len(self.errors)} not published ({reason}); their records are complete, "
                "`resonance wandb push` publishes them"
            )
        return lines


class Tracker:
    """Publishes trials in a separate process, from when each starts until it is in the store.

    That process reads what a running trial writes into the store (`suite.results.running_file`), so
    training waits for nothing. Nothing here raises or waits, except leaving the context, which
    waits for at most `patience` seconds.
    """

    def __init__(
        self, store: Store, settings: WandbConfig, patience: float = MAX_WAIT_SECONDS
    ) -> None:
        self.settings = settings
        self.published = Published()
        self.patience = patience
        self._location = store.location
        self._begun = False
        self._keys: list[str] = []
        self._queue: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._process: subprocess.Popen[str] | None = None
        self._answers: IO[str] | None = None
        self._reason = "the process ended early"

    def __enter__(self) -> "Tracker":
        return self

    def started(self, key: str) -> None:
        """Follow a trial that is about to be trained; it is the same run if it is retried."""
        self._send("started", key)

    def finished(self, key: str) -> None:
        """Publish a trial that is in the store, or complete the run that followed it."""
        if self.settings.mode is not Mode.OFF:
            self._keys.append(key)
        self._send("finished", key)

    def pruned(self, key: str) -> None:
        """End the run of a trial that a tuning has ended early, and which has no record."""
        self._send("pruned", key)

    def _send(self, what: str, key: str) -> None:
        if self.settings.mode is Mode.OFF:
            return
        if not self._begun:
            self._begun = True
            self._start()
        self._queue.put(json.dumps({what: key}))

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        """Wait until the queue is published, up to `patience`; after an error, do not wait."""
        if not self._begun:
            return
        self._queue.put(None)
        reason = self._reason
        if self._process is not None:
            try:
                self._process.wait(0 if kind is not None else self.patience)
            except subprocess.TimeoutExpired:
                reason = f"no answer in {self.patience:g} s" if kind is None else "stopped"
            except KeyboardInterrupt:
                reason = "stopped"
            self._kill()
            self._process.wait()
        self._read()
        for key in self._keys:
            if key not in self.published.where:
                self.published.errors.setdefault(key, reason)

    def _start(self) -> None:
        words = [*own_packages.command("suite.tracking"), self._location]
        stopping.at_end(self._kill)
        try:
            self._answers = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed in _read
            self._process = subprocess.Popen(
                [*words, json.dumps(asdict(self.settings))],
                env=os.environ | {"TMPDIR": str(temporary.folder())},
                stdin=subprocess.PIPE,
                stdout=self._answers,
                stderr=subprocess.DEVNULL,
                text=True,
                start_new_session=True,  # Ctrl-C is handled by the study
            )
        except (OSError, InvalidInput) as error:
            self._reason = str(error)
            return
        threading.Thread(target=self._feed, daemon=True).start()

    def _kill(self) -> None:
        """Kill the process and its children."""
        if self._process is not None:
            with contextlib.suppress(OSError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _feed(self) -> None:
        """Write to the process from a thread: a full pipe must not block the study."""
        assert self._process is not None
        assert self._process.stdin is not None
        pipe = self._process.stdin
        with contextlib.suppress(OSError, ValueError):
            while (line := self._queue.get()) is not None:
                pipe.write(f"{line}\n")
                pipe.flush()
        with contextlib.suppress(OSError, ValueError):
            pipe.close()  # also after a failed write, whose buffer would be flushed again

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
