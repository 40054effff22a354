import json
import math
import os
import shutil
import signal

import pytest
import torch

from suite.core import stopping
from suite.core.discovery import load
from suite.core.errors import Interrupted
from suite.evaluation.scores import LabelScores
from suite.execution.plan import Overwrite, schedule
from suite.execution.runner import execute
from suite.results.counts import ClassTotals
from suite.results.store import StoreUnusable


def test_a_finished_trial_leaves_its_configuration_record_curves_and_weights(trial, store):
    good = trial("good")
    record = execute(good, store)
    assert record.status == "done"
    assert record.error is None
    assert record.sparsity == 0.5
    folder = store.folder(good.key)
    assert sorted(path.name for path in folder.iterdir()) == [
        "correct.bits", "curves.parquet", "model.safetensors", "record.json", "trial.json",
    ]  # fmt: skip
    assert json.loads((folder / "trial.json").read_text())["recipe"]["batch_size"] == 8
    read = store.read(good.key)
    assert read is not None
    assert read.to_json() == record.to_json()


def test_a_method_that_raises_leaves_a_failed_record_and_a_traceback(trial, store):
    bad = trial("raises")
    record = execute(bad, store)
    assert record.status == "failed"
    assert record.error == {"type": "RuntimeError", "message": "RuntimeError: the update broke"}
    assert record.metrics == {}
    folder = store.folder(bad.key)
    assert sorted(path.name for path in folder.iterdir()) == [
        "error.txt", "record.json", "trial.json",
    ]  # fmt: skip
    text = (folder / "error.txt").read_text()
    assert text.startswith("Traceback (most recent call last)")
    assert "in update" in text
    assert "on two lines" in text


class OwnError(BaseException):
    """An exception that is no Exception, as a plug-in may define it."""


@pytest.mark.parametrize("error", [OwnError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_whatever_a_method_raises_is_recorded_by_its_name(trial, store, monkeypatch, error):
    bad = trial("raises")

    def update(self, step):
        raise error("no more")

    monkeypatch.setattr(load(bad.method_declaration.implementation, bad.method_declaration.origin),
                        "update", update)  # fmt: skip
    with stopping.cooperating() as asked:
        record = execute(bad, store, stopping=asked)
    assert record.error == {"type": error.__name__, "message": f"{error.__name__}: no more"}
    assert "in update" in (store.folder(bad.key) / "error.txt").read_text()


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_is_no_failure_of_the_trial(trial, store, monkeypatch, times):
    slow = trial("raises")

    def update(self, step):
        for _ in range(times):
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(load(slow.method_declaration.implementation,
                             slow.method_declaration.origin), "update", update)  # fmt: skip
    with (
        pytest.raises(KeyboardInterrupt) as stop,
        stopping.cooperating() as asked,
    ):
        execute(slow, store, stopping=asked)
    assert isinstance(stop.value, Interrupted) == (times == 1)
    assert store.keys() == []


def test_ctrl_c_that_python_handles_is_no_failure_of_the_trial(trial, store, monkeypatch):
    slow = trial("raises")
    monkeypatch.setattr(load(slow.method_declaration.implementation,
                             slow.method_declaration.origin),
                        "update", lambda *_: signal.raise_signal(signal.SIGINT))  # fmt: skip
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            execute(slow, store)
    finally:
        signal.signal(signal.SIGINT, before)
    assert store.keys() == []


def test_a_failed_trial_is_planned_again_and_replaced_once_it_works(trial, store, monkeypatch):
    bad = trial("raises")
    execute(bad, store)
    assert schedule([bad], store, Overwrite.FAILED).to_run == [bad]
    broken = load(bad.method_declaration.implementation, bad.method_declaration.origin)
    monkeypatch.setattr(broken, "update", lambda self, step: None)
    assert execute(bad, store).status == "done"
    assert not (store.folder(bad.key) / "error.txt").exists()
    assert schedule([bad], store, Overwrite.FAILED).done == [bad]


def test_a_method_that_ends_off_its_sparsity_has_failed(trial, store):
    record = execute(trial("misses"), store)
    assert record.status == "failed"
    assert record.error is not None
    assert record.error["type"] == "TrialFailed"
    assert "misses did not end at its sparsity" in record.error["message"]


def test_a_record_that_json_cannot_hold_is_a_failure_of_its_trial(trial, store, monkeypatch):
    import suite.training.final_metrics as training

    scores = LabelScores(torch.tensor([True, False]), math.nan, 0.0, ClassTotals([2], [2], [1]))
    monkeypatch.setattr(training, "evaluate", lambda model, split: scores)
    record = execute(trial("good"), store)
    assert record.status == "failed"
    assert store.read(record.key) is not None


def test_a_store_that_fills_up_stops_the_study_instead_of_failing_a_trial(
    trial, store, monkeypatch
):
    def no_space(descriptor: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(StoreUnusable):
        execute(trial("good"), store)
    monkeypatch.undo()
    assert store.keys() == []


def test_a_store_that_vanished_is_made_again(trial, store):
    shutil.rmtree(store.root)
    record = execute(trial("good"), store)
    assert store.keys() == [record.key]


def test_every_step_is_reported_as_progress(trial, store):
    steps: list[int] = []
    execute(trial("good"), store, steps.append)
    assert sum(steps) == 2 * (32 // 8)
