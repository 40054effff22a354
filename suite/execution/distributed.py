"""One trial trained by several processes, which torchrun has started.

Each process (one per GPU, or several on a CPU) takes its part of every batch. The first one writes
the record. The number of processes is part of the key, because adding gradients in another order
rounds differently.
"""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from suite.core.errors import InvalidInput

if TYPE_CHECKING:
    import torch

    from suite.experiments.trial_config import Trial
    from suite.results.record import Record
    from suite.results.store import Store


def world_size() -> int:
    """Return how many processes torchrun started; 1 without torchrun."""
    return _number("WORLD_SIZE", default="1")


def rank() -> int:
    """Return this process's rank, from 0; 0 without torchrun.

    Raises:
        InvalidInput: torchrun's environment variables are incomplete.
    """
    return _number("RANK") if world_size() > 1 else 0


def execute_distributed(
    trial: "Trial",
    store: "Store",
    progress: Callable[[int], None] = lambda steps: None,
    every: str = "60s",
) -> "Record":
    """Train one trial together with the other processes; the first one writes its folder.

    Like `suite.execution.runner.execute`, it resumes from the trial's last checkpoint.

    Raises:
        InvalidInput: the trial cannot be trained by so many processes; nothing has been written.
        StoreUnusable: the result or a checkpoint cannot be written.
        Interrupted: a process was asked to stop; a checkpoint was saved.
    """
    from suite.core.stopping import cooperating
    from suite.execution.checkpoints import Checkpoints
    from suite.execution.plan import preflight
    from suite.execution.runner import execute
    from suite.training.parallel import process_group

    with (
        cooperating(patient=True) as asked,
        process_group(_device(trial), asked) as processes,
    ):
        preflight([trial])
        first = processes.rank == 0
        if first:
            store.prepare()
            Checkpoints(store).sweep()
        return execute(trial, store, progress, every, processes.stopping, writes=first)


def _device(trial: "Trial") -> "torch.device":
    """Return this process's device; refuse a machine with fewer GPUs than processes."""
    import torch

    if trial.device == "cpu":
        return torch.device("cpu")
    place, gpus = _number("LOCAL_RANK"), torch.cuda.device_count()
    if place >= gpus:
        raise InvalidInput(
            f"device=cuda: process {place} of this machine has no GPU, torch sees {gpus}; give "
            "torchrun a smaller --nproc-per-node"
        )
    device = torch.device("cuda", place)
    torch.cuda.set_device(device)
    return device


def _number(variable: str, default: str = "") -> int:
    text = os.environ.get(variable) or default
    if not text.isdecimal():
        raise InvalidInput(
            f"{variable}={text}: torchrun sets it to a number (WORLD_SIZE is "
            f"{os.environ.get('WORLD_SIZE')}); start with torchrun, or unset WORLD_SIZE"
        )
    return int(text)
