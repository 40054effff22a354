"""The Ray engine: each trial is a Ray task that supervises a worker process on its node.

A trial that crashes, hangs or exceeds its memory is therefore recorded as by the local engine, and
Ray handles lost nodes. The store must be a folder that all nodes share, or a URL.
"""

import contextlib
import math
import os
import re
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from suite.core import stopping, temporary
from suite.core.errors import InvalidInput
from suite.core.own_packages import ROOT
from suite.execution.failures import TRANSIENT, AttemptResult, Lost, OutOfMemory, Transient
from suite.execution.plan import planned
from suite.execution.worker_handle import WorkerConfig
from suite.experiments import registry
from suite.experiments.trial_config import Trial
from suite.results.store import StoreUnusable

AHEAD = 2
"""Tasks submitted per task that the cluster can run at once, so that nodes never wait."""
RESOURCES_SECONDS = 1.0
"""How long what a cluster has is not asked for again: asking takes as long as a small task."""
CONNECT_SECONDS = 5.0
LONGEST_FOLDER = 40
"""Longest path of Ray's files: sockets, whose names are long, may have 107 characters."""
PASSED_ON = ("RESONANCE_DATA",)
"""Environment variables of this process that are passed on to every node."""


class RayEngine:
    """Runs trials as tasks of an existing Ray cluster, or of one started on this machine."""

    def __init__(
        self,
        settings: WorkerConfig,
        address: str | None,
        threads: int,
        gpus: float,
        most: int | None,
        retries: int,
    ) -> None:
        """Connect; `most` limits the trials at once, `retries` how often one is retried.

        Raises:
            InvalidInput: Ray is not installed, or there is no cluster at `address`.
        """
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            import ray
        except ImportError as error:
            raise InvalidInput(
                "--engine ray needs Ray: pip install 'resonance-bench[ray]'"
            ) from error
        self._ray: Any = ray
        _check_address(address)
        self._owns = not ray.is_initialized()
        own: dict[str, Any] = {} if address else {"include_dashboard": False} | _own_folder()
        try:
            ray.init(address=address, ignore_reinit_error=True, log_to_driver=False, **own)
        except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
            raise _no_cluster(address, error) from error
        stopping.take_over()  # Ray handles SIGTERM itself
        self._threads, self._gpus, self._most = threads, gpus, most
        self._task = ray.remote(task_function(str(ROOT), str(Path.cwd()))).options(
            num_cpus=threads,
            num_gpus=gpus,
            max_retries=retries,
            retry_exceptions=list(TRANSIENT),
        )
        passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        self._settings = replace(settings, environment={**settings.environment, **passed})
        self._running: dict[Any, Trial] = {}
        self._stopped = False
        self._room, self._asked = 0, -math.inf

    def free(self) -> int:
        """Return how many more tasks may be submitted, up to `AHEAD` per task that can run."""
        if time.monotonic() - self._asked > RESOURCES_SECONDS:
            self._room, self._asked = self._places(), time.monotonic()
        most = AHEAD * self._room
        return min(most, self._most or most) - len(self._running)

    def _places(self) -> int:
        """Return how many tasks the cluster can run at once, at least 1; nodes come and go."""
        resources: dict[str, float] = self._ray.cluster_resources()
        room = resources.get("CPU", 0.0) / self._threads
        if self._gpus:
            room = min(room, resources.get("GPU", 0.0) / self._gpus)
        return max(1, int(room))

    def submit(self, trial: Trial) -> None:
        """Submit a trial as a task."""
        settings = asdict(self._settings)
        task = self._task.remote(trial.model_dump(), settings, registry.plugins(), planned(trial))
        self._running[task] = trial

    def wait(self, seconds: float) -> list[AttemptResult]:
        """Return the attempts that have ended, after at most `seconds`."""
        running = list(self._running)
        ready, _ = self._ray.wait(running, num_returns=1, timeout=seconds)
        if ready:  # perhaps there are more
            ready, _ = self._ray.wait(running, num_returns=len(running), timeout=0)
        return [self._result_of(task) for task in ready]

    def stop(self) -> None:
        """Interrupt all tasks; each lets its trial take a checkpoint."""
        self._stopped = True
        for task in self._running:
            self._ray.cancel(task)

    def close(self) -> None:
        """Cancel what still runs, and disconnect from the cluster."""
        for task in self._running:
            with contextlib.suppress(Exception):
                self._ray.cancel(task, force=True)
        self._running.clear()
        if self._owns:
            self._ray.shutdown()

    def _result_of(self, task: Any) -> AttemptResult:
        trial = self._running.pop(task)
        try:
            ended: AttemptResult = self._ray.get(task)
            return ended
        except self._ray.exceptions.TaskCancelledError:
            return AttemptResult(trial, stopped=True)
        except self._ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, StoreUnusable):
                raise error.cause from None
            if self._stopped:  # interrupted before it had begun
                return AttemptResult(trial, stopped=True)
            message = str(error.cause or error).splitlines()[0]
            return AttemptResult(trial, error=Transient(message), details=str(error))
        except self._ray.exceptions.OutOfMemoryError as error:
            return AttemptResult(trial, error=OutOfMemory(str(error).splitlines()[0]))
        except self._ray.exceptions.RayError as error:
            message = f"Ray lost the task: {type(error).__name__}: {str(error).splitlines()[0]}"
            return AttemptResult(trial, error=Lost(message))


def _own_folder() -> dict[str, Any]:
    """Return the setting that puts a cluster's files where they are removed when the study ends."""
    folder = temporary.folder() / "ray"
    return {"_temp_dir": str(folder)} if len(str(folder)) <= LONGEST_FOLDER else {}


def _check_address(address: str | None) -> None:
    """Refuse an address without a server: Ray itself would retry for five minutes."""
    match = re.fullmatch(r"(?:ray://)?\[?([^\]]+?)\]?:(\d+)", address or "")
    if match is None:
        return
    try:
        socket.create_connection((match[1], int(match[2])), CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise _no_cluster(address, error) from error


def _no_cluster(address: str | None, error: Exception) -> InvalidInput:
    what = " ".join(str(error).split())
    return InvalidInput(
        f"--address {address}: no Ray cluster answers there ({what:.200}): start one with "
        "`ray start --head`, or leave --address out for one on this machine"
    )


def task_function(
    root: str, folder: str
) -> "Callable[[dict[str, Any], dict[str, Any], list[str], dict[str, Any]], AttemptResult]":
    """Return what a Ray task runs: `run_task` of the packages in `root`, if the node has them.

    Ray lets its processes search the driver's working `folder` first, which may hold a package of
    the same name. So the function is a local one, which Ray sends as code and not as the name of a
    module, and its arguments are of built-in types.
    """

    def task(
        trial: dict[str, Any],
        settings: dict[str, Any],
        plugins: list[str],
        as_planned: dict[str, Any],
    ) -> "AttemptResult":
        searched = list(sys.path)
        sys.path[:] = [root, *(place for place in searched if place != folder)]
        from suite.execution.ray_task import run_task

        sys.path[:] = searched
        return run_task(trial, settings, plugins, as_planned)

    return task
