"""One worker process, supervised from outside: a trial can only break its own worker."""

import contextlib
import json
import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from suite.core import stopping, temporary
from suite.core.errors import InvalidInput, TrialFailed
from suite.core.own_packages import clean_start, replaced
from suite.execution import plan, worker
from suite.execution.failures import (
    AttemptResult,
    OutOfMemory,
    TimedOut,
    Transient,
    count_oom_kills,
    describe_exit,
)
from suite.experiments import registry
from suite.experiments.trial_config import Trial
from suite.results.record import Record
from suite.results.store import StoreUnusable

PRELOAD = [
    "suite.execution.worker",
    "suite.execution.runner",
    "suite.training.trial",
    # torch and the loaders import these when a first trial runs, which takes seconds.
    "torch._dynamo",
    "torch.utils.flop_counter",
    "sklearn.datasets",
    "sklearn.model_selection",
]
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS")
MAX_DETAILS = 20_000
POLL_SECONDS = 0.2
DUMP_SECONDS = 0.5
JOIN_SECONDS = 2.0
"""For an idle worker to end on its own, and for a process that has closed its end to be gone."""


@dataclass(frozen=True)
class WorkerConfig:
    """The configuration of a worker: the same for every trial of an engine.

    Attributes:
        store: location of the store.
        every: how often a checkpoint is taken, as `CheckpointInterval.parse` reads it.
        timeout: seconds an attempt may take.
        memory: bytes of memory an attempt may use.
        environment: variables of the worker process (which GPU it sees).
        bounds: of the trials that end early if their scores are too low, by key, as JSON.
        function: ``module:function`` that runs a trial, as `runner.execute` does.
    """

    store: str
    every: str = "60s"
    timeout: float | None = None
    memory: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    bounds: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    function: str = worker.EXECUTE


class WorkerHandle:
    """One worker process, started when it is first needed and again after it has died."""

    def __init__(self, settings: WorkerConfig) -> None:
        self.settings = settings
        self.trial: Trial | None = None
        self._process: BaseProcess | None = None
        self._connection: Connection | None = None
        self._errors = Path()
        self._checking = self._asked = False
        self._began = 0.0
        self._oom_kills = 0

    def submit(self, trial: Trial, planned: Mapping[str, Any] | None = None) -> None:
        """Send the worker a trial; it must have none.

        `planned` is `plan.planned` of the process that planned it, if that is another one: the
        worker refuses the trial if its code or data have changed since.
        """
        assert self.trial is None
        if self._process is None or not self._process.is_alive():
            self._discard()
            self._start()
        assert self._connection is not None
        self.trial, self._asked = trial, False
        job = {
            "trial": trial.model_dump(),
            "store": self.settings.store,
            "every": self.settings.every,
            "function": self.settings.function,
            "bounds": self.settings.bounds.get(trial.key),
            "planned": dict(planned or plan.planned(trial)),
        }
        self._oom_kills = count_oom_kills()
        self._began = time.monotonic()
        with contextlib.suppress(OSError):  # it has just died, which `poll` reports
            self._connection.send_bytes(json.dumps(job).encode())

    def check(self, trials: Sequence[Trial]) -> None:
        """Let the worker check that the trials can run (`plan.preflight`), and wait for it.

        This process then need not import what only training needs. If the worker
        crashes during the check, that is ignored: the trials will fail when they run.

        Raises:
            InvalidInput: the first thing found that cannot be used.
        """
        if self._process is None:
            self._start()
        assert self._connection is not None
        job = {"check": [trial.model_dump() for trial in trials]}
        self._checking = True  # until it has answered, `close` kills it
        try:
            self._connection.send_bytes(json.dumps(job).encode())
            reply = json.loads(self._connection.recv_bytes())
        except (EOFError, OSError):
            self._discard()
            return
        self._checking = False
        if "refused" in reply:
            raise InvalidInput(reply["refused"])

    def waitables(self) -> list[Any]:
        """Return the objects that become ready when `poll` may have a result."""
        if self.trial is None or self._process is None or self._connection is None:
            return []
        return [self._connection, self._process.sentinel]

    def poll(self) -> AttemptResult | None:
        """Return how the trial ended, or None while it runs; enforces the limits.

        Raises:
            StoreUnusable: the worker could not write its result.
        """
        if self.trial is None or self._process is None or self._connection is None:
            return None
        try:
            if self._connection.poll():
                return self._reply(json.loads(self._connection.recv_bytes()))
        except (EOFError, OSError):
            self._process.join(JOIN_SECONDS)
        if not self._process.is_alive():
            oom_kills = count_oom_kills() - self._oom_kills
            return self._died(describe_exit(self._process.exitcode or 0, oom_kills))
        limit, used = self.settings.timeout, time.monotonic() - self._began
        if limit is not None and used > limit:
            self._dump()
            return self._died(TimedOut(f"it had not ended after {limit:g} seconds (--timeout)"))
        most = self.settings.memory
        if most is not None and resident_bytes(self._process.pid) > most:
            self._dump()
            return self._died(
                OutOfMemory(f"it used more than {most / 2**30:.3g} GiB of memory (--memory)")
            )
        return None

    def result(self) -> AttemptResult:
        """Wait until the trial has ended; raises as `poll` does."""
        while (ended := self.poll()) is None:
            wait_for([self], POLL_SECONDS)
        return ended

    def stop(self) -> None:
        """Ask the trial to take a checkpoint and end."""
        if self._process is not None and self.trial is not None:
            self._asked = True
            self._process.terminate()

    def begin_close(self) -> None:
        """Let the worker end: it is killed in the middle of a trial or check, else told to end."""
        if self._process is not None and (self.trial is not None or self._checking):
            self._kill()
        if self._connection is not None:
            self._connection.close()

    def close(self, seconds: float = JOIN_SECONDS) -> None:
        """End the worker, as `begin_close` does; wait for it, an idle one for up to `seconds`."""
        self.begin_close()
        self._discard(seconds)

    def _start(self) -> None:
        warm_up()
        try:
            descriptor, name = tempfile.mkstemp(prefix="worker-", dir=temporary.folder())
        except OSError as error:
            raise temporary.unusable(error) from error
        os.close(descriptor)
        self._errors = Path(name)
        # The environment as it is now, not as the server process found it.
        inherited = {name: value for name, value in os.environ.items() if name not in THREADS}
        variables = inherited | dict(self.settings.environment)
        context = _context()
        self._connection, theirs = context.Pipe()
        self._process = context.Process(
            target=worker.main,
            args=(theirs, str(self._errors), registry.plugins(), variables),
            daemon=True,
        )
        with clean_start(), stopping.blocked():
            self._process.start()
        theirs.close()

    def _reply(self, reply: dict[str, Any]) -> AttemptResult:
        assert self.trial is not None
        trial, self.trial = self.trial, None
        if "unusable" in reply and self._asked:
            self._discard()
            return AttemptResult(trial, stopped=True, unsaved=reply["unusable"])
        if "unusable" in reply:
            raise StoreUnusable(reply["unusable"])
        if "stopped" in reply:
            self._discard()  # it knows that it was asked to stop, and would stop again
            return AttemptResult(trial, stopped=True)
        if "pruned" in reply:
            return AttemptResult(trial, pruned=tuple(reply["pruned"]))
        if "refused" in reply:
            return AttemptResult(trial, error=TrialFailed(reply["refused"]))
        if "transient" in reply:
            return AttemptResult(
                trial, error=Transient(reply["transient"]), details=reply["details"]
            )
        where = f"the result of {trial.describe()}"
        record = Record.from_json(reply["record"].encode(), where, stored=False)
        return AttemptResult(trial, record=record)

    def _died(self, error: Any) -> AttemptResult:
        assert self.trial is not None
        self._kill()
        trial, self.trial = self.trial, None
        details = ""
        with contextlib.suppress(OSError):
            details = self._errors.read_text(encoding="utf-8", errors="replace")[-MAX_DETAILS:]
        self._discard()
        return AttemptResult(trial, error=error, details=details)

    def _dump(self) -> None:
        """Let the worker write its traceback; it may be too busy in native code to do so."""
        assert self._process is not None
        if self._process.pid is None:
            return
        before = self._errors.stat().st_size
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, worker.DUMP_TRACEBACK_SIGNAL)
        until = time.monotonic() + DUMP_SECONDS
        while time.monotonic() < until and self._errors.stat().st_size == before:
            time.sleep(0.01)
        time.sleep(0.02)

    def _kill(self) -> None:
        """Kill the worker, if it was started."""
        if self._process is not None and self._process.pid is not None:
            self._process.kill()

    def _discard(self, seconds: float = JOIN_SECONDS) -> None:
        if self._connection is not None:
            self._connection.close()
        if self._process is not None and self._process.pid is not None:
            self._process.join(seconds)
            if self._process.is_alive():
                self._process.kill()
                self._process.join()
            self._process.close()
        self._process = self._connection = None
        self._checking = False
        if self._errors.name:
            self._errors.unlink(missing_ok=True)
            self._errors = Path()


def wait_for(handles: list[WorkerHandle], seconds: float) -> None:
    """Wait until one of the workers may have a result, at most `seconds`."""
    wait([waitable for handle in handles for waitable in handle.waitables()], seconds)


def resident_bytes(pid: int | None) -> int:
    """Return the resident memory of a process; 0 where the system does not say."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def warm_up() -> None:
    """Start the server process that workers are forked from: it imports what they need.

    A worker then starts within milliseconds, also after a crash.
    """
    context = _context()
    if context.get_start_method() != "forkserver":
        return
    context.set_forkserver_preload(PRELOAD)
    # Thread counts are read when a library is imported; each trial sets torch's. A process that
    # has initialised CUDA cannot be forked from, so devices are looked up through NVML instead.
    changes = dict.fromkeys(THREADS, "1") | {"PYTORCH_NVML_BASED_CUDA_CHECK": "1"}
    _keep_sockets_in(temporary.folder())
    with replaced(os.environ, changes), clean_start(), stopping.blocked() as block_again:
        resource_tracker.ensure_running()  # unblocks some signals
        block_again()
        forkserver.ensure_running()
    stopping.at_end(_end_server)


def _keep_sockets_in(folder: Path) -> None:
    """Let multiprocessing put its sockets into a folder of ours, which is removed with them.

    Its own folder would be removed by a function of its own, which fails where ours is gone first.
    """
    configuration = multiprocessing.current_process()._config  # type: ignore[attr-defined]
    there = Path(configuration.get("tempdir") or folder / "none").is_dir()
    if not there and len(str(folder)) <= temporary.LONGEST_FOLDER:
        configuration["tempdir"] = tempfile.mkdtemp(prefix="sockets-", dir=folder)


def _end_server() -> None:
    """Kill the server process, which may still be importing; the system kills its workers."""
    server = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
    if server is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(server, signal.SIGKILL)


def _context() -> Any:
    methods = multiprocessing.get_all_start_methods()
    return multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
