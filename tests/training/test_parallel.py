"""One trial on two processes (gloo, on the CPU), started by torchrun as a user does it."""

import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from safetensors.torch import load

from suite.core.errors import InvalidInput
from suite.execution.checkpoints import Checkpoints
from suite.experiments.trial_config import Trial
from suite.results.store import Store
from suite.training.trial import run_trial
from tests.support.helpers import trial

ROOT = Path(__file__).parents[2]
RESONANCE = ("resonance", {"window": 8, "update_every": 5, "bits": 1})
RIGL = ("rigl", {"update_every": 10})


def torchrun(store: Path, method: str, options: dict, *more: str, processes: int = 2):
    """Train `method` on the digits for 2 epochs; return the finished command."""
    words = [f"--set={name}={value}" for name, value in options.items()]
    return subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node",
         str(processes), "-m", "suite.distributed", "digits/mlp", method, "-s", "0.8",
         "--recipe", "epochs=2", "--store", str(store), *words, *more],
        cwd=ROOT, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("method", "options"), [RIGL, RESONANCE], ids=["rigl", "resonance"])
def test_two_processes_train_as_one_does_to_rounding(tmp_path, method, options):
    done = torchrun(tmp_path, method, options)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "on 2 processes: test accuracy" in done.stdout
    store = Store(tmp_path)
    (record,) = store.records()
    alone = run_trial(trial(method, sparsity=0.8, hyperparameters=options, recipe={"epochs": 2}))
    assert record.trial["processes"] == 2
    assert record.key != alone.record.key
    assert record.sparsity == alone.record.sparsity
    assert record.flops["training"] == pytest.approx(alone.record.flops["training"], rel=1e-3)
    kept = load(store.load(record.key, "model.safetensors"))
    masks = [name for name in kept if name.startswith("mask/")]
    same = sum(int((kept[name] == alone.tensors[name]).sum()) for name in masks)
    # Rounding decides some ties otherwise; the rest is the same decisions on the same gradients.
    assert same >= 0.98 * sum(kept[name].numel() for name in masks)
    losses = pl.read_parquet(store.load(record.key, "curves.parquet")).filter(
        pl.col("series") == "train_loss"
    )["value"]
    expected = [row[-1] for row in alone.curves.rows if row[2] == "train_loss"]
    assert losses.to_list() == pytest.approx(expected, rel=0.02)


@pytest.mark.slow
def test_two_processes_go_on_from_a_checkpoint_to_the_same_bits(tmp_path):
    method, options = RIGL
    assert torchrun(tmp_path / "whole", method, options).returncode == 0
    (whole,) = Store(tmp_path / "whole").records()
    stopped = Store(tmp_path / "stopped")
    stopped.prepare()
    asked = torchrun(
        tmp_path / "stopped", "stops", options, "--checkpoint-every", "7steps",
        "--plugin", str(write_plugin(tmp_path)),
    )  # fmt: skip
    assert asked.returncode != 0
    (key,) = Checkpoints(stopped).keys()
    assert stopped.keys() == []
    again = torchrun(tmp_path / "stopped", "stops", options, "--plugin", str(tmp_path / "stops.py"))
    assert again.returncode == 0, again.stderr[-3000:]
    (record,) = stopped.records()
    assert record.key == key
    assert record.digests == whole.digests
    assert record.metrics == whole.metrics


def write_plugin(folder: Path) -> Path:
    """Write RigL that asks its second process to stop at step 30, the first time."""
    path = folder / "stops.py"
    path.write_text(f"""
import dataclasses
import os
import signal
from pathlib import Path

from baselines.rigl import METHOD as RIGL
from baselines.rigl import RigL

METHOD = dataclasses.replace(RIGL, name="stops", implementation="Stops")


class Stops(RigL):
    def after_step(self, step):
        super().after_step(step)
        marker = Path({str(folder / "marker")!r})
        if step == 30 and os.environ.get("RANK") == "1" and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGTERM)
""")
    return path


def test_more_processes_than_were_started_are_refused():
    with pytest.raises(InvalidInput, match="torchrun --nproc-per-node 2"):
        run_trial(trial("dense", processes=2))


def test_the_number_of_processes_is_in_the_key_only_where_there_are_several():
    one, two = trial("dense"), trial("dense", processes=2)
    assert "processes" not in one.model_dump()
    assert one.key == trial("dense", processes=1).key != two.key
    assert Trial.make(**two.model_dump()) == two
    assert two.command().startswith("torchrun --nproc-per-node 2 -m suite.distributed digits/mlp")


@pytest.mark.slow
def test_a_batch_that_cannot_be_shared_is_refused(tmp_path):
    refused = torchrun(tmp_path, *RIGL, "--recipe", "batch_size=33")
    assert refused.returncode != 0
    assert "cannot be shared evenly by 2 processes" in refused.stderr


@pytest.mark.slow
def test_without_torchrun_the_command_says_how(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "suite.distributed", "digits/mlp", "dense"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("error: suite.distributed is started by torchrun")
