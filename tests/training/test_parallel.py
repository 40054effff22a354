"""One trial on two processes (gloo, on the CPU), started as torchrun does it."""

import sys
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
from safetensors.torch import load

from suite.core.errors import InvalidInput
from suite.execution.checkpoints import Checkpoints
from suite.experiments import registry
from suite.experiments.trial_config import Trial
from suite.results.record import Record
from suite.results.store import Store
from suite.training import parallel
from suite.training.trial import run_trial
from tests.support import forked
from tests.support.helpers import trial
from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]
RESONANCE = ("resonance", {"window": 8, "update_every": 5, "bits": 1})
RIGL = ("rigl", {"update_every": 10})


def words_of(store: Path, method: str, options: dict, more: tuple[str, ...]) -> list[str]:
    """Return the words after ``resonance``: train `method` on the digits for 2 epochs."""
    given = [f"--set={name}={value}" for name, value in options.items()]
    task = ["run", "digits/mlp", method, "-s", "0.8", "--recipe", "epochs=2"]
    return [*task, "--store", str(store), *given, *more]


def torchrun(store: Path, method: str, options: dict) -> tuple[int, str, str]:
    """Train as torchrun does, with its own agent; return code, out and err.

    Only the two Pythons that it would start are forked from one that has imported torch instead.
    """
    agent = forked.start(
        words_of(store, method, options, ()), cwd=ROOT, text=True, call=f"{__name__}:agent"
    )
    out, err = agent.communicate(timeout=240)
    return agent.wait(), out, err


def agent() -> None:
    """Be ``torchrun --standalone --nproc-per-node 2 -m suite``, which forks `rank` instead."""
    from torch.distributed import run

    launch, words = run.elastic_launch, sys.argv
    run.elastic_launch = lambda config, entrypoint: lambda *command: launch(config, rank)(words)
    run.main(["--standalone", "--nproc-per-node=2", "--start-method=fork", "-m", "suite"])


def rank(words: list[str]) -> None:
    """Be one of the two processes."""
    from suite.__main__ import main

    sys.argv = words
    try:
        main()
    except SystemExit as end:
        if end.code:
            raise


def two_ranks(store: Path, method: str, options: dict, *more: str, plugin: tuple[str, ...] = ()):
    """Start what torchrun starts: two processes with its environment; return code, out and err."""
    words = [*plugin, *words_of(store, method, options, more)]
    with free_port() as port:
        group = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        ranks = [
            forked.start(
                words, cwd=ROOT, text=True, env=group | {"RANK": str(rank), "LOCAL_RANK": str(rank)}
            )
            for rank in range(2)
        ]
        texts = [rank.communicate(timeout=240) for rank in ranks]
    out, err = map("".join, zip(*texts, strict=True))
    return max(abs(rank.wait()) for rank in ranks), out, err


def assert_as_one_process(store: Path, method: str, options: dict) -> Record:
    """Compare the only record of a store with training in this process; return it."""
    (record,) = Store(store).records()
    alone = run_trial(trial(method, sparsity=0.8, hyperparameters=options, recipe={"epochs": 2}))
    assert record.trial["processes"] == 2
    assert record.key != alone.record.key
    assert record.sparsity == alone.record.sparsity
    assert record.flops["training"] == pytest.approx(alone.record.flops["training"], rel=1e-3)
    kept = load(Store(store).load(record.key, "model.safetensors"))
    masks = [name for name in kept if name.startswith("mask/")]
    same = sum(int((kept[name] == alone.tensors[name]).sum()) for name in masks)
    # Rounding decides some ties otherwise; the rest is the same decisions on the same gradients.
    assert same >= 0.98 * sum(kept[name].numel() for name in masks)
    losses = pl.read_parquet(Store(store).load(record.key, "curves.parquet")).filter(
        pl.col("series") == "train_loss"
    )["value"]
    expected = [row[-1] for row in alone.curves.rows if row[2] == "train_loss"]
    assert losses.to_list() == pytest.approx(expected, rel=0.02)
    return record


@pytest.mark.slow
def test_two_processes_train_as_one_does_and_go_on_from_a_checkpoint_to_the_same_bits(tmp_path):
    method, options = RIGL
    code, out, err = torchrun(tmp_path / "whole", method, options)
    assert code == 0, err[-3000:]
    assert out.count("test accuracy") == 1
    assert "on 2 processes\n  test accuracy" in out
    whole = assert_as_one_process(tmp_path / "whole", method, options)
    stopped = Store(tmp_path / "stopped")
    stopped.prepare()
    asked, _, _ = two_ranks(
        tmp_path / "stopped", "stops", options, "--checkpoint-every", "7steps",
        plugin=("--plugin", str(write_plugin(tmp_path))),
    )  # fmt: skip
    assert asked != 0
    (key,) = Checkpoints(stopped).keys()
    assert stopped.keys() == []
    plugin = ("--plugin", str(tmp_path / "stops.py"))
    again, _, err = two_ranks(tmp_path / "stopped", "stops", options, plugin=plugin)
    assert again == 0, err[-3000:]
    (record,) = stopped.records()
    assert record.key == key
    assert record.digests == whole.digests
    assert record.metrics == whole.metrics


@pytest.mark.slow
def test_two_processes_train_resonance_as_one_does_and_auto_is_masked(tmp_path):
    method, options = RESONANCE
    code, out, err = two_ranks(tmp_path, method, options, "--execution", "auto")
    assert code == 0, err[-3000:]
    assert out.count("test accuracy") == 1
    record = assert_as_one_process(tmp_path, method, options)
    assert record.trial["execution"] == "auto"
    assert any("every layer masked: 2 processes" in note for note in record.notes)


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
    with pytest.raises(InvalidInput, match="torchrun --no-python --nproc-per-node 2 resonance run"):
        run_trial(trial("dense", processes=2))


def test_the_number_of_processes_is_in_the_key_only_where_there_are_several():
    one, two = trial("dense"), trial("dense", processes=2)
    assert "processes" not in one.model_dump()
    assert one.key == trial("dense", processes=1).key != two.key
    assert Trial.make(**two.model_dump()) == two
    launcher = "torchrun --no-python --nproc-per-node 2"
    assert two.command() == f"{launcher} {one.command()}"


@pytest.mark.slow
def test_a_batch_that_cannot_be_shared_is_refused(tmp_path):
    code, _, err = two_ranks(tmp_path, *RIGL, "--recipe", "batch_size=33")
    assert code != 0
    assert "cannot be divided evenly among 2 processes" in err
    assert Store(tmp_path).keys() == []


def test_sparse_execution_is_refused(monkeypatch):
    monkeypatch.setattr(parallel, "_current", SimpleNamespace(size=2))
    with pytest.raises(InvalidInput, match="execution=csr: 2 processes cannot average the grad"):
        run_trial(trial("rigl", processes=2, execution="csr"))


def test_a_published_protocol_trains_in_one_process():
    (trainer, *_) = registry.trainers()
    (task, *_), (method, *_) = trainer.tasks, trainer.methods
    given = {"task": task, "method": method, "trainer": trainer.name, "processes": 2}
    with pytest.raises(InvalidInput, match=f"trainer {trainer.name} trains in one process"):
        Trial.make(**given)


@pytest.mark.parametrize(
    ("environment", "command", "complaint"),
    [
        ({"WORLD_SIZE": "2"}, "run digits/mlp dense", "RANK=: torchrun sets it to a number"),
        ({"WORLD_SIZE": "two"}, "run digits/mlp dense", "WORLD_SIZE=two: torchrun sets it"),
        ({"WORLD_SIZE": "2", "RANK": "0"}, "study quickstart", "can only start `resonance run`"),
    ],
)
def test_what_torchrun_did_not_start_or_cannot_start_is_refused(
    environment, command, complaint, resonance, monkeypatch
):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert complaint in resonance(command).complaint


def test_without_torchrun_or_in_a_single_process_of_it_the_trial_is_the_ordinary_one(
    resonance, monkeypatch, tmp_path
):
    for name, value in {"WORLD_SIZE": "1", "RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    done = resonance("run digits/mlp dense --recipe epochs=1 --store", tmp_path)
    assert done.code == 0, done.err
    (key,) = Store(tmp_path).keys()
    assert key == trial("dense", recipe={"epochs": 1}).key
