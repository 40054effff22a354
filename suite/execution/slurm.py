"""The Slurm engine: each trial is a job, submitted through submitit.

A job supervises one worker process, as a Ray task does. A job that is preempted or reaches its
time limit lets its trial take a checkpoint and is queued again. submitit stores a job's call as a
pickle, so those files are kept in a folder that only their owner can open, never in the store;
the result of a trial is read from the store.
"""

import contextlib
import os
import shlex
import sys
import time
from pathlib import Path
from typing import Any

from suite.core.errors import InvalidInput
from suite.core.own_packages import start_options
from suite.execution.failures import AttemptResult, Crashed, Lost
from suite.execution.plan import planned
from suite.execution.runner import write_failure
from suite.execution.worker_handle import WorkerConfig, WorkerHandle, wait_for
from suite.experiments import registry
from suite.experiments.trial_config import Trial
from suite.results.store import Store

FOLDER = Path.home() / ".cache" / "resonance-bench" / "slurm"
MAX_JOBS = 100
ENDED_BY_ITSELF = ("COMPLETED", "FINISHED")
NUMBERS = ("timeout_min", "mem_gb")
NAMES = ("partition", "account", "qos", "constraint")


def parse_options(text: str) -> dict[str, Any]:
    """Parse ``partition=gpu,timeout_min=240``, the options that jobs are submitted with.

    Raises:
        InvalidInput: no such option, or not a number where there must be one.
    """
    options: dict[str, Any] = {}
    for part in filter(None, text.split(",")):
        name, _, value = part.partition("=")
        if name in NAMES and value:
            options[f"slurm_{name}"] = value
        elif name in NUMBERS and value.isdigit():
            options[name] = int(value)
        else:
            raise InvalidInput(
                f"--address {part}: give Slurm options as name=value, of {', '.join(NAMES)}, "
                f"{', '.join(NUMBERS)} (whole numbers)"
            )
    return options


class SlurmJob:
    """A job: one trial in a worker process of the node."""

    def __init__(
        self,
        trial: dict[str, Any],
        settings: WorkerConfig,
        plugins: list[str],
        as_planned: dict[str, Any],
    ) -> None:
        self.trial, self.settings, self.plugins = trial, settings, plugins
        self.planned = as_planned

    def __call__(self) -> None:
        """Run the trial; its result is in the store."""
        registry.use_plugins(self.plugins)
        self.handle = WorkerHandle(self.settings)
        self.handle.submit(Trial.make(**self.trial), self.planned)
        ended = self.handle.result()
        self.handle.close()
        if ended.error is not None:
            write_failure(ended, 1, Store(self.settings.store))

    def checkpoint(self) -> Any:
        """Let the trial take a checkpoint; return what submitit queues again."""
        import submitit

        with contextlib.suppress(AttributeError):  # the trial has not begun
            self.handle.stop()
            until = time.monotonic() + 60
            while self.handle.poll() is None and time.monotonic() < until:
                wait_for([self.handle], 0.2)
            self.handle.close()
        return submitit.helpers.DelayedSubmission(
            SlurmJob(self.trial, self.settings, self.plugins, self.planned)
        )


class SlurmEngine:
    """Submits trials as Slurm jobs, and reads their records from the store."""

    def __init__(
        self,
        settings: WorkerConfig,
        options: dict[str, Any],
        threads: int,
        gpus: int,
        most: int | None,
        cluster: str | None = None,
    ) -> None:
        """Prepare to submit; `cluster` is submitit's name of the executor (tests use ``local``).

        Raises:
            InvalidInput: submitit is not installed, or there is no Slurm here.
        """
        try:
            import submitit
        except ImportError as error:
            raise InvalidInput(
                "--engine slurm needs submitit: pip install 'resonance-bench[slurm]'"
            ) from error
        FOLDER.mkdir(parents=True, exist_ok=True)
        FOLDER.chmod(0o700)
        python = shlex.join([sys.executable, "-u", *start_options()])
        try:
            self._executor = submitit.AutoExecutor(
                FOLDER / "%j",
                cluster=cluster or "slurm",
                slurm_python=python,
                local_python=python,
            )
        except RuntimeError as error:
            raise InvalidInput(
                "--engine slurm: there is no Slurm here (no sbatch): run it on a login node"
            ) from error
        resources: dict[str, Any] = {"cpus_per_task": threads, "name": "resonance-bench"}
        if gpus:
            resources["gpus_per_node"] = gpus
        self._executor.update_parameters(**resources | {"timeout_min": 24 * 60} | options)
        self._settings, self._most = settings, most or MAX_JOBS
        self._store = Store(settings.store)
        self._running: dict[str, tuple[Trial, Any]] = {}
        self._stopped = False

    def free(self) -> int:
        """Return how many more jobs may be queued."""
        return self._most - len(self._running)

    def submit(self, trial: Trial) -> None:
        """Submit a trial as a job."""
        plugins = [os.path.abspath(path) for path in registry.plugins()]  # noqa: PTH100
        job = SlurmJob(trial.model_dump(), self._settings, plugins, planned(trial))
        self._running[trial.key] = (trial, self._executor.submit(job))

    def wait(self, seconds: float) -> list[AttemptResult]:
        """Return the trials whose jobs have ended."""
        done = [key for key, (_, job) in self._running.items() if job.done()]
        if not done:
            time.sleep(seconds)
        return [self._result_of(*self._running.pop(key)) for key in done]

    def _result_of(self, trial: Trial, job: Any) -> AttemptResult:
        if self._stopped:
            return AttemptResult(trial, stopped=True)
        if job.state in ("NODE_FAIL", "PREEMPTED", "BOOT_FAIL"):
            return AttemptResult(trial, error=Lost(f"Slurm job {job.job_id} ended as {job.state}"))
        # If a job died, the record in the store may be that of an earlier run.
        record = self._store.read(trial.key) if job.state in ENDED_BY_ITSELF else None
        if record is not None:
            return AttemptResult(trial, record=record)
        details = (job.stderr() or "")[-5000:]
        message = f"Slurm job {job.job_id} ended as {job.state} and left no record"
        return AttemptResult(trial, error=Crashed(message), details=details)

    def stop(self) -> None:
        """Cancel the jobs; their checkpoints are kept."""
        self._stopped = True
        for _, job in self._running.values():
            job.cancel(check=False)

    def close(self) -> None:
        """Cancel the remaining jobs."""
        self.stop()
        self._running.clear()
