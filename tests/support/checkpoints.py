"""Trials that are stopped, and started again from their checkpoint."""

from collections.abc import Iterable

import pytest

from suite.core.errors import Interrupted
from suite.experiments.trial_config import Trial
from suite.training.checkpoint import Checkpointer
from suite.training.checkpoint_interval import CheckpointInterval
from suite.training.outcome import Outcome
from suite.training.trial import run_trial


class Memory:
    """Keeps the latest checkpoint in memory, as bytes."""

    content: bytes | None = None
    written = 0

    def read(self) -> bytes | None:
        return self.content

    def write(self, content: bytes) -> None:
        self.content = content
        self.written += 1


class Stop:
    """Asks to stop at a given number of steps from now."""

    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self) -> bool:
        self.left -= 1
        return self.left == 0


def interrupted(of: Trial, stops: Iterable[int]) -> Outcome:
    """Run a trial that is stopped after each of `stops` steps, and started again."""
    memory = Memory()
    for after in stops:
        stop(of, memory, after)
    return finish(of, memory)


def stop(of: Trial, memory: Memory, after: int) -> None:
    """Train from the checkpoint there is, if any, and stop after some steps, at another one."""
    with pytest.raises(Interrupted):
        run_trial(of, checkpointer=Checkpointer(of, memory, CheckpointInterval(None), Stop(after)))


def finish(of: Trial, memory: Memory) -> Outcome:
    """Train from the checkpoint there is to the end."""
    checkpointer = Checkpointer(of, memory, CheckpointInterval(None))
    outcome = run_trial(of, checkpointer=checkpointer)
    assert checkpointer.note == ""
    return outcome


def assert_same(first: Outcome, second: Outcome) -> None:
    """Check that two trials left the same bits, but for the time they took."""
    assert second.record.digests == first.record.digests
    assert second.curves.rows == first.curves.rows
    assert second.files()["curves.parquet"] == first.files()["curves.parquet"]
    timeless = {"timing"}
    assert second.record.model_dump(exclude=timeless) == first.record.model_dump(exclude=timeless)
    assert second.files()["model.safetensors"] == first.files()["model.safetensors"]


STOPS = (17, 23, 1, 30, 77)
"""Steps between stops, of 160 in a round and 40 in an epoch: within epochs, at the end of one (17 +
23), again at once, and near the end."""
