"""How a trial's attempt can end other than by itself, and what an engine says of it."""

import signal
from dataclasses import dataclass
from pathlib import Path

from suite.core.errors import TrialFailed
from suite.experiments.trial_config import Trial
from suite.results.record import Record

TRANSIENT = (ConnectionError, TimeoutError)
"""Errors that say nothing about the trial: a share that was away, a connection that broke."""


class TimedOut(TrialFailed):
    """It took longer than it was given."""


class OutOfMemory(TrialFailed):
    """It used more memory than it was given, or than there was."""


class Crashed(TrialFailed):
    """Its process ended by itself: a segmentation fault, an abort, an exit."""


class Killed(TrialFailed):
    """Its process was ended from outside."""


class Lost(TrialFailed):
    """The machine that it ran on went away."""


class Transient(TrialFailed):
    """It met an error that says nothing about it (`TRANSIENT`)."""


RETRYABLE = (Crashed, Killed, Lost, Transient)
"""What may go well another time. A limit would only be met again."""


@dataclass(frozen=True)
class AttemptResult:
    """What an engine says when a trial's attempt has ended.

    Attributes:
        record: the trial's record, in the store already; None where the attempt left none.
        error: why there is none.
        details: what the process had to say at its end: a traceback, a native error.
        stopped: it was asked to stop, and its checkpoint is kept.
    """

    trial: Trial
    record: Record | None = None
    error: TrialFailed | None = None
    details: str = ""
    stopped: bool = False


def describe_exit(code: int, oom_kills: int) -> TrialFailed:
    """Return what a worker's exit code says: negative is a signal, as subprocess has it."""
    if code >= 0:
        return Crashed(f"the worker process exited with code {code} in the middle of the trial")
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    if -code == signal.SIGKILL:
        if oom_kills:
            return OutOfMemory(
                "the system killed the worker process for want of memory: use fewer --workers"
            )
        return Killed(f"the worker process was killed from outside ({name})")
    if -code in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        return Killed(f"the worker process was ended from outside ({name})")
    return Crashed(f"the worker process crashed ({name})")


def count_oom_kills() -> int:
    """Return how many processes the kernel has killed for want of memory; 0 if it does not say."""
    total = 0
    for path in ("/sys/fs/cgroup/memory.events", "/proc/vmstat"):
        try:
            lines = Path(path).read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))
    return total
