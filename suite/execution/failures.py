"""How an attempt fails (worker_handle.py detects it, runner.py retries it), and its result."""

import signal
from dataclasses import dataclass
from pathlib import Path

from suite.core.errors import TrialFailed
from suite.experiments.trial_config import Trial
from suite.results.record import Record

TRANSIENT = (ConnectionError, TimeoutError)
"""Errors unrelated to the trial: a network share was unavailable, a connection broke."""


class TimedOut(TrialFailed):
    """It exceeded its time limit."""


class OutOfMemory(TrialFailed):
    """It exceeded its memory limit, or the machine ran out of memory."""


class Crashed(TrialFailed):
    """Its process ended: a segmentation fault, an abort, an exit."""


class Killed(TrialFailed):
    """Its process was ended from outside."""


class Lost(TrialFailed):
    """The machine that it ran on disappeared."""


class Transient(TrialFailed):
    """An error unrelated to the trial (`TRANSIENT`)."""


RETRYABLE = (Crashed, Killed, Lost, Transient)
"""Failures that a retry may avoid. A time or memory limit would only be exceeded again."""


@dataclass(frozen=True)
class AttemptResult:
    """The result of an attempt at a trial, as an engine returns it.

    Attributes:
        record: the trial's record, already in the store; None if there is none.
        error: why there is no record.
        details: last output of the process: a traceback, a native error.
        stopped: it was asked to stop, and its checkpoint is kept.
        unsaved: why it could not take a checkpoint when it was asked to stop; then the previous
            one is kept.
        pruned: its validation scores after each epoch, if one was below its bound: then there is
            neither a record nor an error.
    """

    trial: Trial
    record: Record | None = None
    error: TrialFailed | None = None
    details: str = ""
    stopped: bool = False
    unsaved: str = ""
    pruned: tuple[float, ...] = ()


def describe_exit(code: int, oom_kills: int) -> TrialFailed:
    """Return the failure behind an exit code; negative codes are signals, as in subprocess."""
    if code >= 0:
        return Crashed(f"the worker process exited with code {code} in the middle of the trial")
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    if -code == signal.SIGKILL:
        if oom_kills:
            return OutOfMemory(
                "the system killed the worker process for lack of memory: use fewer --workers"
            )
        return Killed(f"the worker process was killed from outside ({name})")
    if -code in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        return Killed(f"the worker process was ended from outside ({name})")
    return Crashed(f"the worker process crashed ({name})")


def count_oom_kills() -> int:
    """Return how many processes the kernel has killed for lack of memory; 0 if unknown."""
    total = 0
    for path in ("/sys/fs/cgroup/memory.events", "/proc/vmstat"):
        try:
            lines = Path(path).read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))
    return total
