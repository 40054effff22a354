"""The local engine: worker processes on this machine."""

import os
import time
from collections.abc import Sequence
from dataclasses import replace

from suite.core.errors import InvalidInput
from suite.execution.failures import AttemptResult
from suite.execution.worker_handle import JOIN_SECONDS, WorkerConfig, WorkerHandle, wait_for
from suite.experiments.trial_config import Trial


def default_workers(threads: int) -> int:
    """Return how many workers of `threads` threads fit on this machine's cores."""
    return max(1, cores() // threads)


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class LocalEngine:
    """Runs trials on this machine, each in a worker process."""

    def __init__(
        self, settings: WorkerConfig, workers: int, gpus: Sequence[str] = (), per_trial: float = 1.0
    ) -> None:
        """Prepare workers. Each sees one of `gpus`; up to 1 / `per_trial` workers share a GPU."""
        each = [settings] * workers
        if gpus:
            visible = gpu_shares(gpus, per_trial)[:workers]
            each = [replace(settings, environment={"CUDA_VISIBLE_DEVICES": gpu}) for gpu in visible]
        self.handles = [WorkerHandle(own) for own in each]

    def free(self) -> int:
        """Return how many workers are idle."""
        return sum(handle.trial is None for handle in self.handles)

    def submit(self, trial: Trial) -> None:
        """Send a trial to an idle worker."""
        next(handle for handle in self.handles if handle.trial is None).submit(trial)

    def wait(self, seconds: float) -> list[AttemptResult]:
        """Return the attempts that have ended, after at most `seconds`."""
        wait_for(self.handles, seconds)
        return [ended for handle in self.handles if (ended := handle.poll()) is not None]

    def stop(self) -> None:
        """Ask all trials to take a checkpoint and end."""
        for handle in self.handles:
            handle.stop()

    def close(self) -> None:
        """End all workers: together, so that idle ones do not wait for each other."""
        for handle in self.handles:
            handle.begin_close()
        end = time.monotonic() + JOIN_SECONDS
        for handle in self.handles:
            handle.close(max(0.0, end - time.monotonic()))


def gpu_shares(gpus: Sequence[str], per_trial: float) -> list[str]:
    """Return the GPU of each worker: all GPUs once, then again while a fraction is left.

    Raises:
        InvalidInput: `per_trial` is not in (0, 1].
    """
    if not 0 < per_trial <= 1:
        raise InvalidInput(f"--gpus-per-trial {per_trial:g}: give a fraction of a GPU in (0, 1]")
    return list(gpus) * int(1 / per_trial + 1e-9)


def visible_gpus() -> list[str]:
    """Return the GPUs that this process sees, as ``CUDA_VISIBLE_DEVICES`` names them."""
    import torch

    count = torch.cuda.device_count()
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = [name.strip() for name in named.split(",")] if named else list(map(str, range(count)))
    return names[:count]
