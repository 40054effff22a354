"""Runs many inputs in worker processes with a limit of memory, and ends one that takes too long."""

import multiprocessing
import resource
import shutil
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from tests.fuzz.kinds import KINDS, clear, make

MAX_SECONDS = 5.0
"""Longest time of a processor for an input: other programs on the machine do not count."""
STUCK_SECONDS = 30.0
"""After so long a worker that has not answered is ended: it waits for something."""
MAX_BYTES = 500 * 10**6
"""Most memory that reading an input may add to what the process had before."""
GIVEN_BYTES = 2 * 2**30
"""Address space that a worker may add: more is refused by the system, and is a finding."""
FORK = multiprocessing.get_context("fork")


@dataclass
class Tally:
    """What became of the inputs of a kind."""

    accepted: int = 0
    refused: int = 0
    findings: list[tuple[int, str]] = field(default_factory=list)
    """Number of the input, and what is wrong."""

    @property
    def attempts(self) -> int:
        """How many inputs were read."""
        return self.accepted + self.refused + len(self.findings)


Outcome = tuple[str, str]
"""accepted, refused or finding; and what is wrong."""


def try_input(kind: str, folder: Path) -> Outcome:
    """Read the input in a folder, and say what became of it."""
    _forget_peak()
    before, began = _memory("VmHWM"), time.process_time()
    try:
        outcome: Outcome = ("accepted" if KINDS[kind].read(folder) else "refused", "")
    except KINDS[kind].refusals as error:
        is_line = str(error).count("\n") == 0 and len(str(error)) < 20_000
        outcome = ("refused", "") if is_line else ("finding", f"no line: {error!s:.200}")
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(last.filename).name}:{last.lineno}"
        outcome = ("finding", f"{type(error).__name__}: {error!s:.200} ({where})")
    seconds, used = time.process_time() - began, _memory("VmHWM") - before
    if seconds > MAX_SECONDS:
        return "finding", f"it took {seconds:.1f} s"
    if used > MAX_BYTES:
        return "finding", f"it took {used / 1e6:.0f} MB"
    return outcome


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _memory(which: str) -> int:
    """Return bytes of memory of this process: VmHWM (its peak) or VmSize (addresses)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(which)).split()[1]) * 1024


def _work(answers: Connection, kinds: Sequence[str], numbers: range, seed: int) -> None:
    """Try inputs, one kind after the other; before each say which, after it what became of it."""
    soft = _memory("VmSize") + GIVEN_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (soft, resource.getrlimit(resource.RLIMIT_AS)[1]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    try:
        for number in numbers:
            kind = kinds[number % len(kinds)]
            clear(folder)
            make(kind, number, seed, folder)
            answers.send((kind, number, None))
            answers.send((kind, number, try_input(kind, folder)))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Worker:
    """A worker process, and what it is doing."""

    def __init__(self, kinds: Sequence[str], numbers: range, seed: int) -> None:
        self.numbers = numbers
        self.at: tuple[str, int] | None = None
        self.since = time.monotonic()
        self.answers, end = FORK.Pipe(duplex=False)
        self._process = FORK.Process(target=_work, args=(end, kinds, numbers, seed), daemon=True)
        self._process.start()
        end.close()

    def stop(self) -> int | None:
        """End it; return its exit code."""
        self._process.kill()
        self._process.join()
        self.answers.close()
        return self._process.exitcode


def run(
    kinds: Sequence[str],
    seed: int,
    jobs: int,
    attempts: int | None,
    seconds: float | None,
    found: Callable[[str, int, str], Any] = lambda kind, number, what: None,
) -> dict[str, Tally]:
    """Try `attempts` inputs, or as many as there is time for; call `found` for each finding."""
    tallies = {kind: Tally() for kind in kinds}
    last = 10**12 if attempts is None else attempts
    ends = time.monotonic() + (10**9 if seconds is None else seconds)
    workers = [_Worker(kinds, range(one, last, jobs), seed) for one in range(jobs)]

    def note(kind: str, number: int, outcome: Outcome) -> None:
        tally, (what, detail) = tallies[kind], outcome
        tally.accepted += what == "accepted"
        tally.refused += what == "refused"
        if what == "finding":
            tally.findings.append((number, detail))
            found(kind, number, detail)

    def replace(worker: _Worker, detail: str) -> None:
        """Note what a worker was at when it ended, and let another one go on behind it."""
        workers.remove(worker)
        code = worker.stop()
        if worker.at is not None:
            kind, number = worker.at
            note(kind, number, ("finding", detail or f"the process ended (exit code {code})"))
            rest = range(number + jobs, last, jobs)
            if rest:
                workers.append(_Worker(kinds, rest, seed))

    while workers and time.monotonic() < ends:
        by_end = {worker.answers: worker for worker in workers}
        for end in wait(list(by_end), timeout=0.2):
            worker = by_end[end]  # type: ignore[index]
            try:
                kind, number, outcome = worker.answers.recv()
            except EOFError:
                replace(worker, "")
                continue
            worker.since, worker.at = time.monotonic(), (kind, number) if outcome is None else None
            if outcome is not None:
                note(kind, number, outcome)
        for worker in list(workers):
            if worker.at is not None and time.monotonic() - worker.since > STUCK_SECONDS:
                replace(worker, f"it had not ended after {STUCK_SECONDS:.0f} s")
    for worker in workers:
        worker.stop()
    return tallies


def summary(tallies: dict[str, Tally]) -> list[str]:
    """Return a table of what became of the inputs, and what was found how often."""
    lines = [f"{'kind':12}{'attempts':>10}{'accepted':>10}{'refused':>10}{'findings':>10}"]
    for kind, one in tallies.items():
        numbers = (one.attempts, one.accepted, one.refused, len(one.findings))
        lines.append(f"{kind:12}" + "".join(f"{number:>10,}" for number in numbers))
    for kind, one in tallies.items():
        for what, count in Counter(what for _, what in one.findings).most_common(20):
            number = next(number for number, other in one.findings if other == what)
            lines.append(f"{kind}: {what} (input {number}{f', {count} times' * (count > 1)})")
    return lines
