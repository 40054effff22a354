"""What the local engine costs per trial, beside the trial: submitting, writing, telling."""

import tempfile
import time

from suite.execution.local import LocalEngine
from suite.execution.runner import run
from suite.execution.worker_handle import WorkerConfig
from suite.results.store import Store
from tests.support.helpers import trial

TRIALS = 1000
WORKERS = 2
BAR_MILLISECONDS = 50.0


def overhead() -> bool:
    """Print the time per trial of 1,000 trials that do nothing; return whether its bar is met."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        store.prepare()
        trials = [trial("static", seed=seed) for seed in range(TRIALS + WORKERS)]
        engine = LocalEngine(WorkerConfig(folder, function="tests.execution.jobs:nothing"), WORKERS)
        began = 0.0
        ended = 0

        def finished(*_: object) -> None:
            nonlocal began, ended
            ended += 1
            if ended == WORKERS:  # the workers have started, once for all trials
                began = time.perf_counter()

        summary = run(trials, store, engine, finished)
        each = 1000 * (time.perf_counter() - began) / TRIALS
        assert summary.done == len(store.keys()) == TRIALS + WORKERS
    met = each <= BAR_MILLISECONDS
    verdict = "ok" if met else "MISSED"
    what = f"local engine, {TRIALS} trials that do nothing, record written"
    print(f"{what:<58} {each:6.2f} ms  bar ≤ {BAR_MILLISECONDS:g} ms  {verdict}", flush=True)
    return met
