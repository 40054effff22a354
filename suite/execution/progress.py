"""Shows trials while they run: in place in a terminal, else as lines of a log.

In a terminal: a bar with the time that is likely left, and a line for each running trial. In a
pipe or a file: a line for each finished trial, and one every 30 seconds.
"""

import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from suite.core.console import in_place, say
from suite.execution.plan import Schedule
from suite.execution.timings import Timings, finish_time, in_words, kind_of
from suite.experiments.trial_config import Trial
from suite.results.metrics import KNOWN
from suite.results.record import Record
from suite.results.running_trials import RunningTrial, running_trials
from suite.results.store import Store

LINE_SECONDS = 30.0
"""Seconds between two lines in a log."""
REFRESH_SECONDS = 0.5
MAX_EARLIER = 3
"""Finished trials of each kind in the store whose times are read before a study starts."""
ENOUGH = 0.1
"""From this fraction on, a running trial's own speed says more than other trials'."""


@dataclass(frozen=True)
class Line:
    """A running trial: what it is, and how far it is as far as that is known."""

    trial: Trial
    seconds: float
    live: RunningTrial | None

    @property
    def title(self) -> str:
        """Task, method, sparsity and seed."""
        sparsity = "" if self.trial.method_declaration.dense else f" s={self.trial.sparsity:g}"
        return f"{self.trial.task} {self.trial.method}{sparsity} seed={self.trial.seed}"

    @property
    def state(self) -> str:
        """Steps done and loss, or for how long nothing has been reported."""
        if self.live is None:
            return f"starting ({in_words(self.seconds)})"
        loss = "" if self.live.loss is None else f", loss {self.live.loss:.4g}"
        return f"step {self.live.step:,}/{self.live.steps:,}{loss}"

    @property
    def fraction(self) -> float:
        """Which part of its steps is done, as many as were forecast; 0 if that is not known."""
        if self.live is None or self.live.steps == 0:
            return 0.0
        return min(1.0, self.live.step / self.live.steps)

    @property
    def whole(self) -> float | None:
        """Seconds that it will take in all at its speed so far; None if that is not known."""
        done = self.fraction
        return self.live.seconds / done if self.live is not None and done > 0 else None


class Progress:
    """What runs, what is done, and how long the rest is likely to take; an `Observer` of trials.

    Other units than trials (the configurations of a tuning) are counted by `advance`. The methods
    may be called from several threads.
    """

    def __init__(
        self,
        store: Store,
        total: int = 0,
        unit: str = "trials",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Count nothing yet; `total` is the number of units other than trials."""
        self.total, self.unit = total, unit
        self.done: float = 0
        self.failed = 0
        self._first: float | None = None
        self._store, self._clock = store, clock
        self._began = clock()
        self._waiting: dict[str, str] = {}
        self._examples: dict[str, Trial] = {}
        self._running: dict[str, tuple[Trial, float]] = {}
        self._workers = 1
        self._timings = Timings()
        self._overheads: list[float] = []
        self._lock = threading.RLock()

    def planned(self, plan: Schedule) -> None:
        """Count the trials of a plan; the times of finished ones like them are read."""
        with self._lock:
            if self.unit == "trials":
                self.total += len(plan.to_run)
            for trial in plan.to_run:
                kind = kind_of(trial)
                self._waiting[trial.key] = kind
                self._examples.setdefault(kind, trial)
            for trial, seconds in earlier_times(plan.done, self._store):
                self._timings.add(trial, seconds)

    def started(self, trial: Trial) -> None:
        """Move a trial from those that wait to those that run."""
        with self._lock:
            self._waiting.pop(trial.key, None)
            self._running[trial.key] = (trial, self._clock())
            self._workers = len(self._running)

    def dropped(self, trial: Trial) -> None:
        """Forget a trial that has ended without a record."""
        with self._lock:
            self._running.pop(trial.key, None)

    def finished(self, trial: Trial, record: Record) -> None:
        """Count a trial that has ended, and learn from the time that it took."""
        with self._lock:
            _, began = self._running.pop(trial.key, (trial, self._clock()))
            if self.unit == "trials":
                self.done += 1
            self.failed += record.error is not None
            if (seconds := seconds_of(record)) is not None:
                self._timings.add(trial, seconds)
                self._overheads.append(max(0.0, self._clock() - began - seconds))

    def advance(self, done: float) -> None:
        """Take `done` as the number of units that are done; a pruned one may count in part."""
        with self._lock:
            if self._first is None:
                self._first = done
            self.done = done

    @property
    def count(self) -> str:
        """How many are done, of how many: ``3/75``."""
        return f"{round(self.done, 1):g}/{self.total}"

    def running(self) -> list[Line]:
        """Return the running trials, in the order in which they were started."""
        live = {one.key: one for one in running_trials(self._store)}
        with self._lock:
            now = self._clock()
            running = self._running.items()
            return [Line(trial, now - began, live.get(key)) for key, (trial, began) in running]

    def fraction(self, running: Sequence[Line]) -> float:
        """Return which fraction is done, with the steps of running trials."""
        parts = sum(line.fraction for line in running) if self.unit == "trials" else 0.0
        return min(1.0, (self.done + parts) / self.total) if self.total else 0.0

    def seconds_left(self, running: Sequence[Line]) -> float | None:
        """Return how long the rest is likely to take; None while nothing is known."""
        with self._lock:
            if self.unit == "trials":
                return self._trials_left(running)
            done = self.done - (self._first or 0.0)  # in this run
            spent = self._clock() - self._began
            return spent / done * (self.total - self.done) if done > 0 else None

    def _trials_left(self, running: Sequence[Line]) -> float | None:
        current = Timings()  # where no trial like it has finished, those that run are a guide
        for line in running:
            if line.whole is not None:
                current.add(line.trial, line.whole)

        def likely(trial: Trial) -> float | None:
            known = self._timings.seconds(trial)
            return current.seconds(trial) if known is None else known

        left = []
        for line in running:
            own = line.whole if line.fraction >= ENOUGH else None
            whole = likely(line.trial) if own is None else own
            if whole is None:
                return None
            left.append(whole - (line.seconds if line.live is None else line.live.seconds))
        overhead = statistics.median(self._overheads) if self._overheads else 0.0
        each: dict[str, float] = {}
        for kind in dict.fromkeys(self._waiting.values()):
            seconds = likely(self._examples[kind])
            if seconds is None:
                return None
            each[kind] = seconds + overhead
        waiting = [each[kind] for kind in self._waiting.values()]
        return finish_time(left, waiting, max(self._workers, len(left), 1))


def seconds_of(record: Record) -> float | None:
    """Return how long a finished trial took; None for one that failed."""
    seconds = record.timing.get("seconds")
    known = record.error is None and isinstance(seconds, float | int)
    return float(seconds) if known and isinstance(seconds, float | int) else None


def earlier_times(done: Sequence[Trial], store: Store) -> Iterator[tuple[Trial, float]]:
    """Yield finished trials and their seconds, at most `MAX_EARLIER` of each kind."""
    count: dict[str, int] = {}
    for trial in done:
        kind = kind_of(trial)
        count[kind] = count.get(kind, 0) + 1
        if count[kind] <= MAX_EARLIER:
            record = store.read(trial.key)
            if record is not None and (seconds := seconds_of(record)) is not None:
                yield trial, seconds


class Display:
    """Shows a `Progress`: as an `Observer` of trials it passes on to it what it is told."""

    def __init__(
        self,
        what: str,
        progress: Progress,
        show: Callable[[str, float, str, Sequence[str]], None] | None,
        *,
        log: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Show it in place through `show`, if given, and with `log` as lines."""
        self.progress = progress
        self._what, self._show, self._log, self._clock = what, show, log, clock
        self._last_line = clock()

    def planned(self, plan: Schedule) -> None:
        """Show how much there is to do."""
        self.progress.planned(plan)
        self.refresh()

    def started(self, trial: Trial) -> None:
        """Show a trial among those that run."""
        self.progress.started(trial)

    def dropped(self, trial: Trial) -> None:
        """Show a trial no longer."""
        self.progress.dropped(trial)

    def finished(self, trial: Trial, record: Record) -> None:
        """Show that a trial has ended."""
        self.progress.finished(trial, record)
        if self._log:
            say(f"{self._count()} {trial.describe()}: {outcome(record)}")
        self.refresh()

    def advance(self, done: float) -> None:
        """Show that `done` units other than trials are done in all."""
        self.progress.advance(done)
        self.refresh()

    def refresh(self) -> None:
        """Show the state of now; in a log, if the last such line is 30 seconds old."""
        due = self._log and self._clock() - self._last_line >= LINE_SECONDS
        if self._show is None and not due:
            return
        progress = self.progress
        running = progress.running()
        left = progress.seconds_left(running)
        if self._show is not None:
            words = [f"{progress.count} {progress.unit}", *_more(progress, left)]
            lines = [f"{line.title}  {line.state}" for line in running]
            self._show(self._what, progress.fraction(running), ", ".join(words), lines)
        if due:
            self._last_line = self._clock()
            words = [f"{len(running)} running" if running else "preparing", *_more(progress, left)]
            only = f": {running[0].title}, {running[0].state}" if len(running) == 1 else ""
            say(f"{self._count()} {', '.join(words)}{only}")

    def _count(self) -> str:
        return f"[{self.progress.count}]"


def _more(progress: Progress, left: float | None) -> list[str]:
    failed = [f"{progress.failed} failed"] if progress.failed else []
    if progress.done == progress.total:
        return failed
    return [*failed, "time left unknown" if left is None else f"about {in_words(left)} left"]


def outcome(record: Record) -> str:
    """Return how a trial ended, in a few words: what its task ranks by, and seconds."""
    seconds = record.timing.get("seconds")
    took = f", {seconds:.1f} s" if isinstance(seconds, float | int) else ""
    if record.error is not None:
        return f"failed{took}"
    split = record.trial.get("evaluate", "test")
    scored = KNOWN.get(f"{split}_{record.metric}")
    if scored is not None and scored.name in record.metrics:
        return f"{scored.title} {scored.text(record.score)}{took}"
    name, value = next(iter(record.metrics.items()), ("done", 0.0))
    return f"{name.replace('_', ' ')} {value:.4g}{took}"


@contextmanager
def shown(
    what: str,
    store: Store,
    total: int = 0,
    unit: str = "trials",
    *,
    visible: bool = True,
) -> Iterator[Display]:
    """Show progress while the block runs: in place on a terminal, else as lines of a log.

    Lines go to standard output, unless both it and standard error are terminals.

    Args:
        what: name of the study.
        store: where the trials that run report their steps.
        total: number of units, where these are not trials.
        unit: what is counted.
        visible: whether anything is shown.
    """
    progress = Progress(store, total, unit)
    if not visible:
        yield Display(what, progress, None, log=False)
        return
    log = not (sys.stdout.isatty() and sys.stderr.isatty())
    with in_place() as show:
        display = Display(what, progress, show, log=log)
        ended = threading.Event()
        thread = threading.Thread(target=_keep_showing, args=(display, ended), daemon=True)
        thread.start()
        try:
            yield display
        finally:
            ended.set()
            thread.join()


def _keep_showing(display: Display, ended: threading.Event) -> None:
    while not ended.wait(REFRESH_SECONDS):
        display.refresh()
