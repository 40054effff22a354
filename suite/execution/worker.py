"""The main loop of a worker process: it receives trials, one at a time, and returns results.

Messages are JSON in both directions: nothing is unpickled. Standard error while a trial runs (a
native crash, a traceback that the engine requests) goes to a file, which becomes the details of a
failure.
"""

import contextlib
import faulthandler
import json
import os
import pkgutil
import signal
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from suite.core import stopping
from suite.core.child_process import follow_parent
from suite.core.errors import Interrupted, InvalidInput, TrialPruned
from suite.core.own_packages import START_ENVIRONMENT
from suite.execution.failures import Transient
from suite.execution.plan import check_unchanged, preflight
from suite.experiments import registry
from suite.experiments.trial_config import Trial
from suite.results.record import Record
from suite.results.store import Store, StoreUnusable

if TYPE_CHECKING:
    from suite.training.epoch_bounds import EpochBounds

EXECUTE = "suite.execution.runner:execute"
DUMP_TRACEBACK_SIGNAL = signal.SIGUSR1
"""Makes a worker write its traceback to its error file."""


def main(
    connection: Connection, errors: str, plugins: list[str], environment: dict[str, str]
) -> None:
    """Work until the other end of `connection` is closed."""
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: asked.append(number))
    follow_parent()
    for name in START_ENVIRONMENT:  # set for the start alone
        os.environ.pop(name, None)
    os.environ.update(environment)
    descriptor = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(descriptor, 2)
    faulthandler.enable(2)
    faulthandler.register(DUMP_TRACEBACK_SIGNAL, 2, all_threads=False)
    stopping.unblock()
    with contextlib.suppress(OSError):  # out of memory, the kernel kills this, not the parent
        Path("/proc/self/oom_score_adj").write_text("500")
    registry.use_plugins(plugins)
    while True:
        try:
            job = json.loads(connection.recv_bytes())
        except (EOFError, OSError):
            return
        os.ftruncate(2, 0)
        connection.send_bytes(json.dumps(_do(job, lambda: bool(asked))).encode())


def _do(job: dict[str, Any], asked: Callable[[], bool]) -> dict[str, Any]:
    """Run a job; return the reply."""
    try:
        if "check" in job:
            preflight([Trial.make(**trial) for trial in job["check"]])
            return {"checked": True}
        function: Callable[..., Record] = pkgutil.resolve_name(job["function"])
        trial = Trial.make(**job["trial"])
        if "planned" in job:
            check_unchanged(trial, **job["planned"])
        record = function(
            trial,
            Store(job["store"]),
            every=job["every"],
            stopping=asked,
            raise_transient=True,
            bounds=parse_bounds(job["bounds"]),
        )
    except TrialPruned as end:
        return {"pruned": end.scores}
    except Interrupted:
        return {"stopped": True}
    except StoreUnusable as error:
        return {"unusable": str(error)}
    except InvalidInput as error:
        return {"refused": str(error)}
    except Transient as error:
        return {"transient": str(error), "details": traceback.format_exc()}
    return {"record": record.to_json().decode()}


def parse_bounds(given: dict[str, Any] | None) -> "EpochBounds | None":
    """Return the bounds of a job's trial; None if it has none."""
    from suite.training.epoch_bounds import EpochBounds

    return None if given is None else EpochBounds(tuple(given["lowest"]), given["best"])
