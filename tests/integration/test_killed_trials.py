"""`resonance run` and kill -9."""

import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from suite.__main__ import main
from suite.core.leases import Owner
from suite.execution.checkpoints import TrialCheckpoint
from suite.results.store import Store
from tests.support import forked

pytestmark = pytest.mark.kill

LINE = (
    "run digits/mlp lottery_ticket -s 0.9 --execution csr --recipe epochs=2 "
    "--checkpoint-every 15steps --store"
)


def test_a_run_clears_what_a_killed_one_left_half_written(resonance, place):
    (folder := place / "results" / "checkpoints").mkdir(parents=True)
    code = "from suite.core.leases import Owner; print(Owner.current().label())"
    gone = subprocess.run([sys.executable, "-c", code],
                          capture_output=True, text=True, check=True).stdout.strip()  # fmt: skip
    for label in (gone, Owner.current().label()):
        (folder / f".new-{label}").write_bytes(b"half")
    assert resonance("run digits/mlp static --recipe epochs=1").code == 0
    (left,) = folder.glob(".new-*")
    assert f"-{os.getpid()}-" in left.name  # another's, still being written


def start(folder: Path, call: str = "suite.__main__:main") -> forked.ForkedCommand:
    """Start the trial in a process of its own, which writes to `folder`."""
    nowhere = subprocess.DEVNULL
    words = [*LINE.split(), str(folder)]
    return forked.start(words, cwd=Path(), stdout=nowhere, stderr=nowhere, call=call)


def run_to_its_third_checkpoint() -> None:
    """Run the command of `sys.argv`; it is killed when its third checkpoint has been written."""
    written = itertools.count(1)

    def write(self: TrialCheckpoint, content: bytes) -> None:
        whole(self, content)
        if next(written) == 3:
            os.kill(os.getpid(), signal.SIGKILL)

    whole, TrialCheckpoint.write = TrialCheckpoint.write, write
    main()


def test_a_trial_of_many_rounds_that_was_killed_twice_ends_with_the_same_bits(place):
    assert start(place / "whole").wait(timeout=300) == 0
    seen = []
    for _ in range(2):
        killed = start(place / "killed", f"{__name__}:run_to_its_third_checkpoint")
        assert killed.wait(timeout=300) == -signal.SIGKILL
        (path,) = (place / "killed" / "checkpoints").glob("*.safetensors")
        seen.append(path.read_bytes())
    assert seen[0] != seen[1]  # it went on from where it had been killed
    assert start(place / "killed").wait(timeout=300) == 0
    one, other = Store(place / "whole"), Store(place / "killed")
    (key,) = one.keys()
    assert other.keys() == [key]
    for name in ("curves.parquet", "model.safetensors"):
        assert one.load(key, name) == other.load(key, name)
    first, second = one.read(key), other.read(key)
    assert first is not None
    assert second is not None
    assert (first.metrics, first.flops) == (second.metrics, second.flops)
    assert [p for p in (place / "killed").rglob("*") if p.name.startswith(".new")] == []
