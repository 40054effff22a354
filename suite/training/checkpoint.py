"""Checkpoints: a trial that was killed resumes, and ends bit for bit as an uninterrupted one.

Data order, learning rate, random masks and dropout are functions of seed and step, so a checkpoint
holds what changes: weights, optimizer, masks, method, curves, the FLOPs charged so far, and how
many steps a `flops_budget` is expected to pay for.
"""

import datetime
import time
from collections.abc import Callable
from typing import Any, Protocol

import torch

from suite.core.errors import Interrupted
from suite.experiments.trial_config import Trial
from suite.sparsity.rounds import TrainingProgress
from suite.training.checkpoint_interval import CheckpointInterval
from suite.training.loop import Training
from suite.training.serialization import pack, unpack
from suite.training.training_code import code_digest

FORMAT = "2"


class CheckpointStore(Protocol):
    """Where one trial's checkpoint is stored; a write is atomic."""

    def read(self) -> bytes | None:
        """Return the checkpoint; None if there is none."""

    def write(self, content: bytes) -> None:
        """Store a checkpoint in place of the last one."""


class Checkpointer:
    """Takes a trial's checkpoints while it trains, and resumes from the last one.

    Of several processes, which need not share a disk, the first reads and writes for all.

    Attributes:
        started: when the trial was first started.
        elapsed: seconds that earlier attempts had taken at the last checkpoint.
        note: why an existing checkpoint is not used; empty if it is used or there is none.
    """

    def __init__(
        self,
        trial: Trial,
        store: CheckpointStore,
        every: CheckpointInterval | None = None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self.store = store
        self.every = every or CheckpointInterval()
        self.stopping = stopping
        self.started = datetime.datetime.now(datetime.UTC)
        self.elapsed = 0.0
        self.note = ""
        self._about = {"format": FORMAT, "trial": trial.key, "code": code_digest(trial)}
        self._began = self._last = time.monotonic()

    def resume(self, training: Training) -> TrainingProgress:
        """Restore fresh training objects to the last checkpoint, if there is one.

        A checkpoint that is damaged, or was taken by other code, is ignored: training starts from
        the beginning, which gives the same result.
        """
        content = self.store.read() if _is_first(training) else None
        if training.processes:
            content = training.processes.broadcast(content)
        if content is None:
            return TrainingProgress()
        try:
            state, about = unpack(content)
        except ValueError as error:
            self.note = str(error)
            return TrainingProgress()
        if about != self._about:
            self.note = "the checkpoint was taken by other code or for another trial"
            return TrainingProgress()
        self.started = datetime.datetime.fromisoformat(state["started"])
        self.elapsed = state["elapsed"]
        return restore(training, state)

    def after_step(self, training: Training, progress: TrainingProgress) -> None:
        """Take a checkpoint if one is due.

        Raises:
            Interrupted: the trial was asked to stop; a checkpoint was taken first.
        """
        stopping = self.stopping()
        now = time.monotonic()
        every = self.every
        due = (every.seconds is not None and now - self._last >= every.seconds) or (
            every.steps is not None and progress.step % every.steps == 0
        )
        if (due or stopping) and _is_first(training):
            state = capture(training, progress)
            state["started"] = self.started.isoformat()
            state["elapsed"] = self.elapsed + time.monotonic() - self._began
            self.store.write(pack(state, self._about))
            self._last = time.monotonic()
        if stopping:
            raise Interrupted(f"stopped at step {progress.step}; a checkpoint is kept")


def _is_first(training: Training) -> bool:
    return training.processes is None or training.processes.rank == 0


def capture(training: Training, progress: TrainingProgress) -> dict[str, Any]:
    """Return the state that changes while a trial trains."""
    t = training
    random = {"cpu": torch.get_rng_state()}
    if t.device.type == "cuda":
        random["device"] = torch.cuda.get_rng_state(t.device)
    return {
        "round": progress.round,
        "step": progress.step,
        "rewind_weights": progress.rewind_weights,
        "model": dict(t.model.state_dict()),
        "optimizer": t.optimizer.state_dict(),
        "sparsifier": t.sparsifier.state_dict(),
        "losses": t.losses,
        "epoch_seconds": t.epoch_seconds,
        "flops": t.ledger.state(),
        "curves": t.curves.state_dict(),
        "random": random,
        "steps": t.steps,
        "budget": t.budget.state() if t.budget else {},
    }


def restore(training: Training, state: dict[str, Any]) -> TrainingProgress:
    """Restore what `capture` returned into fresh training objects; return their progress."""
    t = training
    t.model.load_state_dict(state["model"])
    t.optimizer.load_state_dict(state["optimizer"])
    if t.budget:
        t.plan_steps(state["steps"], 0)
        t.budget.load(state["budget"])
    t.sparsifier.load_state_dict(_to(state["sparsifier"], t.device))
    t.resume_epoch(state["losses"], state["epoch_seconds"])
    t.ledger.restore(state["flops"])
    # Last: attaching and loading a method add the masks that they set to the curves.
    t.curves.load_state_dict(state["curves"])
    progress = TrainingProgress(state["round"], state["step"], state["rewind_weights"])
    t.progress(progress.steps_done(t.sparsifier))
    torch.set_rng_state(state["random"]["cpu"])
    if t.device.type == "cuda":
        torch.cuda.set_rng_state(state["random"]["device"], t.device)
    return progress


def _to(state: Any, device: torch.device) -> Any:
    if isinstance(state, torch.Tensor):
        return state.to(device)
    if isinstance(state, dict):
        return {name: _to(value, device) for name, value in state.items()}
    if isinstance(state, list | tuple):
        return type(state)(_to(value, device) for value in state)
    return state
