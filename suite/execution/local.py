"""The local engine: one worker process per slot."""

import multiprocessing
import os
import signal
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from suite import registry
from suite.config import Trial
from suite.errors import TrialFailed
from suite.execution.runner import Finished, Summary, execute
from suite.results.record import Record
from suite.results.store import Store


def default_workers(threads: int) -> int:
    """Return how many workers of `threads` threads this machine's cores hold."""
    return max(1, len(os.sched_getaffinity(0)) // threads)


def run(trials: Sequence[Trial], store: Store, workers: int, finished: Finished) -> Summary:
    """Run the trials in `workers` processes; call `finished` for each as it ends.

    Raises:
        StoreUnusable: results cannot be written.
        TrialFailed: a worker was killed; what had finished is in the store.
    """
    failures: list[tuple[Trial, str]] = []
    done = 0
    pool = ProcessPoolExecutor(
        min(workers, max(1, len(trials))),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_worker,
        initargs=(registry.plugins(),),
    )
    try:
        waiting: dict[Future[Record], Trial] = {
            pool.submit(_work, trial.model_dump(), str(store.root)): trial for trial in trials
        }
        for future in as_completed(waiting):
            record, trial = future.result(), waiting[future]
            if record.error is not None:
                failures.append((trial, record.error["message"]))
            else:
                done += 1
            finished(trial, record)
    except BrokenProcessPool as error:
        raise TrialFailed(
            "a worker process was killed (out of memory?); what had finished is kept: run the same "
            "command again, with fewer --workers"
        ) from error
    except BaseException:
        for process in list((pool._processes or {}).values()):
            process.terminate()
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return Summary(done, failures)


def _start_worker(plugins: list[str]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    registry.use_plugins(plugins)


def _work(trial: dict[str, Any], root: str) -> Record:
    return execute(Trial.make(**trial), Store(root))
