"""What a command costs: its seconds, and the most memory that it and its children hold at once."""

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SAMPLE_SECONDS = 0.05
PROC = Path("/proc")


@dataclass(frozen=True)
class Ran:
    """A command that has ended.

    Attributes:
        seconds: from its start to its end, on the clock.
        memory: GiB at the highest of samples taken 20 times a second, of the whole tree of
            processes; memory that several share counts once. 0 where there is no /proc.
        output: what it printed.
    """

    seconds: float
    memory: float
    output: str


def run_command(
    words: Sequence[str],
    environment: Mapping[str, str] | None = None,
    *,
    ends_with: Sequence[int] = (0,),
) -> Ran:
    """Run ``resonance`` with these words, to its end.

    Raises:
        RuntimeError: it ends with another exit code than those in `ends_with`.
    """
    return run_process([sys.executable, "-m", "suite", *words], environment, ends_with=ends_with)


def run_process(
    words: Sequence[str],
    environment: Mapping[str, str] | None = None,
    *,
    ends_with: Sequence[int] = (0,),
    samples_memory: bool = True,
) -> Ran:
    """Run a program to its end; raises as `run_command` does.

    Sampling the memory of large processes takes time from them: leave it out where seconds count.
    """
    began = time.perf_counter()
    with subprocess.Popen(
        list(words), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as process:
        meter = _Meter(process.pid) if samples_memory else None
        output = process.stdout.read() if process.stdout is not None else ""
        process.wait()
        seconds = time.perf_counter() - began
        memory = meter.stop() if meter is not None else 0.0
    if process.returncode not in ends_with:
        raise RuntimeError(f"{' '.join(words)} ended with {process.returncode}:\n{output[-2000:]}")
    return Ran(seconds, memory, output)


class _Meter:
    """Samples the memory of a process and its children, in a thread, until `stop`."""

    def __init__(self, pid: int) -> None:
        self._pid, self._most = pid, 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def _sample(self) -> None:
        while PROC.exists() and not self._ended.wait(SAMPLE_SECONDS):
            self._most = max(self._most, sum(map(_bytes_of, _tree(self._pid))))

    def stop(self) -> float:
        """Return the most, in GiB."""
        self._ended.set()
        self._thread.join()
        return self._most / 2**30


def _tree(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    found = [pid]
    for one in found:  # grows as it is walked through
        with contextlib.suppress(OSError):
            for task in (PROC / str(one) / "task").iterdir():
                found += map(int, (task / "children").read_text().split())
    return found


def _bytes_of(pid: int) -> int:
    """Return the proportional set size of a process; 0 when it has ended."""
    with contextlib.suppress(OSError):
        for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
