"""What an engine costs per trial beside the trial: submitting it, writing its record, telling."""

import functools
import importlib.util
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any

from suite.bench.measurement import Bar, Measurement
from suite.execution.local import LocalEngine
from suite.execution.runner import Engine, run
from suite.execution.worker_handle import WorkerConfig
from suite.experiments.trial_config import Trial
from suite.results.record import Record, to_json
from suite.results.store import Store

TRIALS = 1000
WORKERS = 2
WARM_UP = 50
"""Trials that end before the clock starts: by then all workers have started."""
JOB = f"{__name__}:nothing"


def local(trials: int = TRIALS, warm_up: int = WARM_UP) -> Iterator[Measurement]:
    """Yield milliseconds per trial that does nothing, on worker processes of this machine."""
    yield _measure("local engine", _local, trials, warm_up, Bar(9.0), f"{WORKERS} workers")


def ray(trials: int = TRIALS, warm_up: int = WARM_UP) -> Iterator[Measurement]:
    """Yield the same on Ray, on a cluster of this machine; nothing without Ray."""
    if importlib.util.find_spec("ray") is None:
        return
    note = f"a cluster of {WORKERS} CPUs, Ray {version('ray')}"
    yield _measure("Ray engine", _ray, trials, warm_up, Bar(30.0), note)


def _local(settings: WorkerConfig) -> Engine:
    return LocalEngine(settings, WORKERS)


def _ray(settings: WorkerConfig) -> Engine:
    from suite.execution.ray import RayEngine

    return RayEngine(settings, address=None, threads=1, gpus=0, most=None, retries=0)


def _measure(
    what: str,
    make: Callable[[WorkerConfig], Engine],
    trials: int,
    warm_up: int,
    bar: Bar,
    note: str,
) -> Measurement:
    """Return the time between the ends of trial `warm_up` and of the last one, per trial."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        store.prepare()
        ends: list[float] = []
        given = [_trial(seed) for seed in range(warm_up + trials)]
        engine = make(WorkerConfig(folder, function=JOB))
        summary = run(given, store, engine, lambda *_: ends.append(time.perf_counter()))
        if summary.done != len(given) or len(store.keys()) != len(given):
            raise RuntimeError(f"{what}: {summary.failed[:1]}")
    each = 1000 * (ends[-1] - ends[warm_up - 1]) / trials
    return Measurement(f"{what}, a trial that does nothing", each, "ms", None, bar, note)


def _trial(seed: int) -> Trial:
    recipe = {"epochs": 1}
    return Trial.make(task="digits/mlp", method="static", sparsity=0.9, seed=seed, recipe=recipe)


def nothing(trial: Trial, store: Store, **_: Any) -> Record:
    """Write, in a worker, a record as training leaves it; without any training."""
    of_trial = {"key": trial.key, "trial": trial.model_dump(mode="json")}
    record = _trained().model_copy(update=of_trial)
    files = {"record.json": record.to_json(), "trial.json": to_json(trial.resolved())}
    store.write(trial.key, files)
    return record


@functools.cache
def _trained() -> Record:
    """Return the record of a trial, trained once in a process."""
    from suite.training.trial import run_trial

    return run_trial(_trial(0)).record
