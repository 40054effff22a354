"""From the command's options to the `Engine` that runs a study, and its limits."""

import math
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from suite.core.errors import InvalidInput
from suite.execution.local import LocalEngine, default_workers, visible_gpus
from suite.execution.plan import preflight
from suite.execution.runner import RETRIES, Engine, Inline
from suite.execution.worker_handle import WorkerConfig, WorkerHandle
from suite.experiments.trial_config import Trial
from suite.results.store import Store

if TYPE_CHECKING:
    from suite.training.epoch_bounds import EpochBounds


class EngineName(StrEnum):
    """Where trials run: here, in this process, on a Ray cluster, as Slurm jobs."""

    LOCAL = "local"
    INLINE = "inline"
    RAY = "ray"
    SLURM = "slurm"


@dataclass(frozen=True)
class EngineOptions:
    """The engine options of a command.

    Attributes:
        workers: trials run at once; None for as many as fit.
        address: of the Ray cluster, or options of Slurm jobs as ``name=value,…``.
        timeout: seconds an attempt of a trial may take.
        memory: GiB an attempt of a trial may use.
        every: how often a checkpoint is taken.
        retries: how often a trial whose process died is retried.
        gpus: GPUs of a trial on device cuda, at most 1.
    """

    engine: EngineName = EngineName.LOCAL
    workers: int | None = None
    address: str | None = None
    timeout: float | None = None
    memory: float | None = None
    every: str = "60s"
    retries: int = RETRIES
    gpus: float = 1.0

    def check(self) -> None:
        """Check the options before anything runs.

        Raises:
            InvalidInput: the first thing found.
        """
        from suite.training.checkpoint_interval import CheckpointInterval

        CheckpointInterval.parse(self.every)
        for name in ("timeout", "memory", "gpus"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                shown = "gpus-per-trial" if name == "gpus" else name
                raise InvalidInput(f"--{shown} {value:g}: give a number above 0")
        if self.address is not None and self.engine not in (EngineName.RAY, EngineName.SLURM):
            raise InvalidInput(
                f"--address {self.address}: the {self.engine} engine takes none; leave it out"
            )
        if self.engine is EngineName.INLINE and (self.timeout or self.memory):
            raise InvalidInput(
                "--engine inline runs trials in this process, which --timeout and --memory cannot "
                "end: use --engine local"
            )

    def preflight(self, trials: Sequence[Trial]) -> None:
        """Check that the trials can run: in a separate process, unless the engine is inline.

        Raises:
            InvalidInput: the first thing found that cannot be used.
        """
        if self.engine is EngineName.INLINE:
            preflight(trials)
            return
        with closing(WorkerHandle(WorkerConfig(store=""))) as handle:
            handle.check(trials)

    def make(
        self,
        store: Store,
        device: str,
        threads: int,
        bounds: "Mapping[str, EpochBounds] | None" = None,
    ) -> Engine:
        """Return the engine, ready for trials on `device` with `threads` CPU threads each.

        A trial whose key is in `bounds` ends early if its scores are too low.

        Raises:
            InvalidInput: it is not installed, or cannot be reached.
        """
        if self.engine is EngineName.INLINE:
            return Inline(store, self.every, bounds)
        memory = int(self.memory * 2**30) if self.memory is not None else None
        given = {key: asdict(one) for key, one in (bounds or {}).items()}
        settings = WorkerConfig(absolute(store), self.every, self.timeout, memory, bounds=given)
        gpus = self.gpus if device == "cuda" else 0.0
        if self.engine is EngineName.RAY:
            from suite.execution.ray import RayEngine

            return RayEngine(settings, self.address, threads, gpus, self.workers, self.retries)
        if self.engine is EngineName.SLURM:
            from suite.execution.slurm import SlurmEngine, parse_options

            options = parse_options(self.address or "")
            return SlurmEngine(settings, options, threads, math.ceil(gpus), self.workers)
        workers = self.workers or default_workers(threads)
        return LocalEngine(settings, workers, visible_gpus() if gpus else (), self.gpus)


def absolute(store: Store) -> str:
    """Return a location of the store that a process in another folder can open.

    Raises:
        InvalidInput: it is in this process's memory.
    """
    location = store.location
    if location.startswith("memory:"):
        raise InvalidInput(
            f"store {location} is in the memory of this process, where workers cannot reach it: "
            "use --engine inline, or another store"
        )
    return location if "://" in location else str(Path(location).resolve())
