"""`resonance run` and kill -9."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from suite.core.leases import Owner
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


def start(folder: Path) -> forked.ForkedCommand:
    """Start the trial in a process of its own, which writes to `folder`."""
    nowhere = subprocess.DEVNULL
    return forked.start([*LINE.split(), str(folder)], cwd=Path(), stdout=nowhere, stderr=nowhere)


def test_a_trial_of_many_rounds_that_was_killed_twice_ends_with_the_same_bits(place):
    whole = start(place / "whole")
    assert whole.wait(timeout=300) == 0
    kills, seen = 0, set[int]()
    while True:
        process = start(place / "killed")
        while process.poll() is None and kills < 2:
            for path in (place / "killed" / "checkpoints").glob("[0-9a-f]*"):
                try:
                    when = path.stat().st_mtime_ns
                except FileNotFoundError:
                    continue
                if when not in seen:  # it came further than the one before
                    seen.add(when)
                    process.send_signal(signal.SIGKILL)
            time.sleep(0.001)
        if process.wait(timeout=300) == 0:
            break
        kills += 1
    one, other = Store(place / "whole"), Store(place / "killed")
    (key,) = one.keys()
    assert kills == 2
    assert other.keys() == [key]
    for name in ("curves.parquet", "model.safetensors"):
        assert one.load(key, name) == other.load(key, name)
    first, second = one.read(key), other.read(key)
    assert first is not None
    assert second is not None
    assert (first.metrics, first.flops) == (second.metrics, second.flops)
    assert [p for p in (place / "killed").rglob("*") if p.name.startswith(".new")] == []
