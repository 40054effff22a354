"""How long a study will take: from the times of trials in the store, or from a short probe."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass

from suite.core.errors import Interrupted, InvalidInput, TrialFailed
from suite.execution.checkpoints import Checkpoints
from suite.execution.engines import EngineName, EngineOptions
from suite.execution.local import default_workers, gpu_shares, visible_gpus
from suite.execution.progress import earlier_times, seconds_of
from suite.execution.timings import Timings, finish_time, in_words, kind_of
from suite.execution.worker_handle import WorkerConfig, WorkerHandle, wait_for
from suite.experiments.study import Study
from suite.experiments.trial_config import Trial
from suite.results.record import Record, failed
from suite.results.store import Store

MAX_TRIALS = 10_000
PROBE_SECONDS = 10.0
"""For all probes together, once a worker is ready."""
PROBE_STEPS = 100
WARM_UP_STEPS = 3
"""Steps at the start of a probe that are not timed: they are slower than the others."""
MAX_STORED = 2000
"""Records of other studies that are read for their times."""

Kinds = Sequence[tuple[Trial, int]]
"""Trials with the number of others like each, itself included."""


@dataclass(frozen=True)
class Estimate:
    """How long trials will take.

    Attributes:
        seconds: until all are done; None if nothing is known of some of them.
        workers: trials run at once.
        source: what it is based on, in words.
        start: seconds until a worker is ready, included in `seconds`; None if it is not known.
        left_out: how many other trials there are, of which nothing is known.
    """

    seconds: float | None
    workers: int
    source: str
    start: float | None = None
    left_out: int = 0

    def __str__(self) -> str:
        if self.seconds is None:
            return f"how long they take is not known ({self.source})"
        words = in_words(self.seconds)
        workers = f"{self.workers} worker{'s' * (self.workers != 1)}"
        start = "without their start" if self.start is None else in_words(self.start) + " to start"
        but = f", but for {self.left_out:,} of which nothing is known" if self.left_out else ""
        return f"about {words} with {workers} ({start}){but}, {self.source}"


def estimate(kinds: Kinds, timings: Timings, workers: int) -> float | None:
    """Return in how many seconds the trials are done; None if nothing is known of some of them."""
    known = [(timings.seconds(trial), count) for trial, count in kinds]
    total, longest = 0.0, 0.0
    for seconds, count in known:
        if seconds is None:
            return None
        total += seconds * count
        longest = max(longest, seconds)
    if sum(count for _, count in kinds) > MAX_TRIALS:
        return max(longest, total / workers)
    waiting = [seconds for seconds, count in known if seconds is not None for _ in range(count)]
    return finish_time([], waiting, workers)


def estimate_trials(
    kinds: Kinds,
    done: Sequence[Trial],
    store: Store,
    options: EngineOptions,
    *,
    partly: bool = False,
) -> Estimate:
    """Return how long trials will take, by the store's own times or, failing that, by a probe.

    `done` are finished trials of the same study. Nothing is written. With `partly` trials of which
    nothing is known are left out and counted, unless these are all.

    Raises:
        InvalidInput: the probe finds that one of the trials cannot be run.
    """
    timings, sources = Timings(), list[str]()
    start: float | None = None
    for trial, seconds in earlier_times(done, store):
        timings.add(trial, seconds)
    if _unknown(kinds, timings):
        for trial, seconds in stored_times(store, {trial.task for trial, _ in kinds}):
            timings.add(trial, seconds)
    if missing := _unknown(kinds, timings):
        probed, start = probe(missing, timings, options)
        sources = [_probe_in_words(probed, missing) if probed else "a probe timed none"]
    if len(missing) < len(kinds):
        sources.insert(0, "by trials in the store")
    workers = at_once(options, [trial for trial, _ in kinds])
    known = [(trial, count) for trial, count in kinds if timings.seconds(trial) is not None]
    counted = known if partly and known else kinds
    takes = estimate(counted, timings, workers)
    if takes is not None and start is not None:
        takes += start
    left_out = sum(count for _, count in kinds) - sum(count for _, count in counted)
    return Estimate(takes, workers, " and ".join(sources), start, left_out)


def _probe_in_words(probed: Sequence[Trial], missing: Sequence[Trial]) -> str:
    """Return what was timed, and whether methods are judged by it that were not."""
    what = ", ".join(f"{trial.method} on {trial.task}" for trial in probed)
    others = {trial.method for trial in missing} - {trial.method for trial in probed}
    return f"by a probe of {what}" + (" (other methods may take longer)" if others else "")


def at_once(options: EngineOptions, trials: Iterable[Trial]) -> int:
    """Return how many trials will run at once, as far as that is known before they run."""
    if options.engine is EngineName.INLINE:
        return 1
    if options.workers is not None or options.engine is not EngineName.LOCAL:
        return options.workers or 1
    trials = list(trials)
    workers = default_workers(max((trial.threads for trial in trials), default=1))
    if any(trial.device == "cuda" for trial in trials):
        return min(workers, max(1, len(gpu_shares(visible_gpus(), options.gpus))))
    return workers


def check_size(study: Study, store: Store, options: EngineOptions, max_trials: int) -> None:
    """Refuse a study of more than `max_trials` trials, without making them.

    Raises:
        InvalidInput: it has more; the message says how many, and how long they would take.
    """
    kinds = list(study.kinds())
    count = sum(number for _, number in kinds)
    if count <= max_trials:
        return
    try:
        takes = str(estimate_trials(kinds, [], store, options))
    except InvalidInput as error:
        takes = f"how long they take is not known: {error}"
    raise InvalidInput(
        f"study {study.name} has {count:,} trials, more than --max-trials {max_trials:,} "
        f"({takes}): list fewer tasks, methods, sparsities or seeds, or raise --max-trials"
    )


def kinds_of(trials: Sequence[Trial]) -> Kinds:
    """Return one trial of each kind (differing in the seed only), with their numbers."""
    count = Counter(map(kind_of, trials))
    examples = {kind_of(trial): trial for trial in trials}
    return [(examples[kind], number) for kind, number in count.items()]


def _unknown(kinds: Kinds, timings: Timings) -> list[Trial]:
    return [trial for trial, _ in kinds if timings.seconds(trial) is None]


def stored_times(store: Store, tasks: set[str]) -> Iterable[tuple[Trial, float]]:
    """Yield the finished trials of a store on these tasks, with their seconds.

    Records whose settings are no longer valid are left out, and damaged ones.
    """
    for number, key in enumerate(store.keys()):
        if number == MAX_STORED:
            return
        try:
            record = store.read(key)
            if record is None or record.trial["task"] not in tasks:
                continue
            trial, seconds = Trial.make(**record.trial), seconds_of(record)
        except InvalidInput:
            continue
        if seconds is not None:
            yield trial, seconds


# ---------------------------------------------------------------- the probe


def probe(
    trials: Sequence[Trial], timings: Timings, options: EngineOptions
) -> tuple[list[Trial], float | None]:
    """Train one trial of each task for a few steps, in a worker process; nothing is written.

    Add to `timings` how long each would take in all, and return those that were timed, and the
    seconds until the worker was ready (None if it was not asked to be).

    Raises:
        InvalidInput: one of them cannot be run.
    """
    first = {(t.task, t.device, t.precision, t.execution, t.threads): t for t in reversed(trials)}
    chosen = list(first.values())[::-1]
    function = f"{__name__}:probe_trial"
    timed: list[Trial] = []
    start = None
    began = time.monotonic()
    with closing(WorkerHandle(WorkerConfig(store="memory://probe", function=function))) as handle:
        if PROBE_SECONDS > 0:
            handle.check(chosen)
            start = time.monotonic() - began
        end = time.monotonic() + PROBE_SECONDS
        for number, trial in enumerate(chosen):
            left = end - time.monotonic()
            if left <= 0:
                break
            handle.submit(trial)
            seconds = _probed(handle, left / (len(chosen) - number))
            if seconds is not None:
                timings.add(trial, seconds)
                timed.append(trial)
    return timed, start


def _probed(handle: WorkerHandle, limit: float) -> float | None:
    """Return how long the worker's trial takes by its probe; ask it to stop after `limit`."""
    asked = False
    end = time.monotonic() + limit
    while (ended := handle.poll()) is None:
        left = end - time.monotonic()
        if left <= -limit:  # it has not stopped when it was asked to: it is not within a step
            handle.close()
            return None
        if left <= 0 and not asked:
            handle.stop()
            asked = True
        wait_for([handle], max(0.05, min(left, limit)))
    seconds = ended.record.timing.get("seconds") if ended.record is not None else None
    return float(seconds) if isinstance(seconds, float | int) else None


class StepClock:
    """Asked after each step whether to stop, it measures the time between these calls."""

    def __init__(self, stopping: Callable[[], bool]) -> None:
        """Stop after `PROBE_STEPS` steps, or when `stopping` returns True."""
        self._stopping = stopping
        self._steps = 0
        self._first = self._last = 0.0

    def __call__(self) -> bool:
        """Count a step; return whether there were enough."""
        self._last = time.perf_counter()
        self._steps += 1
        if self._steps == WARM_UP_STEPS:
            self._first = self._last
        return self._steps >= PROBE_STEPS or self._stopping()

    def in_all(self, began: float, steps: int) -> float | None:
        """Return the seconds of `steps` steps and what came before them; None if unknown."""
        timed = self._steps - WARM_UP_STEPS
        if timed <= 0:
            return None
        return self._first - began + (self._last - self._first) / timed * (steps - WARM_UP_STEPS)


def probe_trial(
    trial: Trial, store: Store, *, stopping: Callable[[], bool], **options: object
) -> Record:
    """Train a trial for a few steps; return a record that only says how long it takes in all.

    Its ``timing`` has ``seconds``, unless the trial fails or leaves the loop to a trainer, which
    may have no steps to count.
    """
    from suite.training.checkpoint import Checkpointer
    from suite.training.checkpoint_interval import CheckpointInterval
    from suite.training.trial import count_steps, run_trial

    record = failed(trial, TrialFailed("this is a probe"))
    if trial.trainer:
        return record
    began, clock = time.perf_counter(), StepClock(stopping)
    checkpoint = Checkpoints(store).for_trial(trial.key)
    seconds: float | None
    try:
        outcome = run_trial(
            trial,
            checkpointer=Checkpointer(trial, checkpoint, CheckpointInterval.parse("off"), clock),
        )
        seconds = seconds_of(outcome.record)
    except Interrupted:
        seconds = clock.in_all(began, count_steps(trial) or 0)
    except (Exception, SystemExit):  # the trial will fail, and its record will say why
        seconds = None
    checkpoint.drop()
    return record.model_copy(update={"timing": {} if seconds is None else {"seconds": seconds}})
