"""How long trials take, judged by others like them: pure functions, no torch."""

import heapq
import statistics
from collections.abc import Iterable, Sequence

from suite.experiments.trial_config import Trial

MACHINE = ("device", "precision", "threads", "execution", "processes", "trainer")
"""Settings on which the time of a step depends."""


def kind_of(trial: Trial) -> str:
    """Return what trials that differ only in their seed have in common."""
    return trial.model_copy(update={"seed": 0}).model_dump_json()


class Timings:
    """Seconds of trials, from which those of others are estimated.

    In this order: the median of trials that differ in the seed; else, in proportion to their
    steps, of the same method on the same task; else of all methods on that task. Trials on other
    kinds of device, with another thread count and so on are never compared.
    """

    def __init__(self) -> None:
        self._same: dict[str, list[float]] = {}
        self._rates: dict[tuple[object, ...], list[float]] = {}

    def add(self, trial: Trial, seconds: float) -> None:
        """Take note that a trial took that long."""
        self._same.setdefault(kind_of(trial), []).append(seconds)
        if steps := _steps(trial):
            for group in _groups(trial):
                self._rates.setdefault(group, []).append(seconds / steps)

    def seconds(self, trial: Trial) -> float | None:
        """Return how long a trial is likely to take; None if nothing like it is known."""
        if same := self._same.get(kind_of(trial)):
            return statistics.median(same)
        steps = _steps(trial)
        for group in _groups(trial):
            if steps and (rates := self._rates.get(group)):
                return statistics.median(rates) * steps
        return None


def _steps(trial: Trial) -> int | None:
    """Return the steps of one round; trials of more rounds are compared among themselves first.

    None where no forecast of what a `flops_budget` pays for is remembered: none is made here.
    """
    from suite.training.planned_steps import known_steps

    steps = known_steps(trial)
    return None if steps is None else max(1, steps)


def _groups(trial: Trial) -> Iterable[tuple[object, ...]]:
    machine = tuple(getattr(trial, name) for name in MACHINE)
    yield (trial.task, *machine, trial.method)
    yield (trial.task, *machine)


def finish_time(running: Iterable[float], waiting: Sequence[float], workers: int) -> float:
    """Return in how many seconds all are done, if each worker takes the next that waits.

    Args:
        running: seconds that are left of each running trial.
        waiting: seconds of each trial that has not been started, in order.
        workers: trials run at once, at least those that run now.
    """
    ends = [max(0.0, left) for left in running]
    ends += [0.0] * (workers - len(ends))
    heapq.heapify(ends)
    for seconds in waiting:
        heapq.heapreplace(ends, ends[0] + seconds)
    return max(ends, default=0.0)


def in_words(seconds: float) -> str:
    """Return a duration for a person: ``40 s``, ``12 min``, ``3.4 h``, ``5,300 h``."""
    if seconds < 59.5:
        return f"{max(1, round(seconds))} s"
    if seconds < 59.5 * 60:
        return f"{round(seconds / 60)} min"
    hours = seconds / 3600
    return f"{hours:.1f} h" if hours < 99.95 else f"{hours:,.0f} h"
