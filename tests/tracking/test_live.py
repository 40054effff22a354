"""Runs that follow trials while they train: real wandb, offline, read back."""

import itertools
import math
import subprocess
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from suite.__main__ import main
from suite.core.errors import Interrupted
from suite.execution.runner import execute
from suite.experiments.trial_config import Trial
from suite.results.running_file import RunningFile
from suite.results.store import Store
from suite.tracking import live
from suite.tracking.live import LiveRuns, cells, history, missing_rows
from suite.tracking.wandb import JobType, Mode, WandbConfig
from suite.training import live_report
from tests.support.forked import start
from tests.support.helpers import trial as short_trial
from tests.tracking.transaction_log import OfflineRun, read_run, read_run_once, read_run_so_far


@pytest.fixture(autouse=True)
def at_once(monkeypatch) -> None:
    """Trials report after every step."""
    monkeypatch.setattr(live_report, "PROGRESS_SECONDS", 0.0)
    monkeypatch.setattr(live_report, "EPOCH_SECONDS", 0.0)


@pytest.fixture
def runs(store) -> LiveRuns:
    settings = WandbConfig.for_store(store, mode=Mode.OFFLINE, group="mine", job_type=JobType.STUDY)
    return LiveRuns(store, settings)


def folders(store: Store, key: str) -> list[Path]:
    return sorted((store.root / "wandb").glob(f"offline-run-*-{key}"))


def curves_of(store: Store, key: str) -> list[tuple]:
    """Return the record's curves, histograms left out: (round, step, name, value)."""
    frame = pl.read_parquet(store.folder(key) / "curves.parquet")
    at = ["round", "step", "series", "layer"]
    single = frame.filter(pl.len().over(at) == 1)
    return sorted(
        (number, step, f"{series}/{layer}" if layer else series, value)
        for number, step, series, layer, _, value in single.rows()
    )


def logged_in(run: OfflineRun) -> list[tuple]:
    """Return the run's history, histograms and pictures left out."""
    return sorted(
        (row["round"], row["step"], name, value)
        for row in run.history
        for name, value in row.items()
        if name not in ("round", "step") and name[0] != "_" and not isinstance(value, dict)
    )


@pytest.mark.parametrize("method", ["resonance", "lottery_ticket"])
def test_a_run_is_live_and_at_the_end_holds_the_records_curves_once(store, runs, method):
    trial = short_trial(method, recipe={"epochs": 3})
    seen: list[int] = []

    def poll(steps: int) -> None:
        runs.poll()
        for folder in folders(store, trial.key):
            seen.append(len(list(folder.glob("*.wandb"))))

    runs.start(trial.key)
    execute(trial, store, poll)
    open_run = runs._open[trial.key]
    before = len(open_run._logged)
    where = runs.finish(trial.key)
    assert seen, "the run began while the trial trained"
    run = read_run(Path(where))
    assert logged_in(run) == curves_of(store, trial.key)
    assert before > 0
    assert (run.about.run_id, run.about.run_group, run.about.job_type) == (
        trial.key, "mine", "study",
    )  # fmt: skip
    assert run.exit_code == 0
    record = store.read(trial.key)
    assert run.summary["test_accuracy"] == record.metrics["test_accuracy"]
    assert run.config["environment"] == record.environment
    assert "done" in run.about.tags
    assert folders(store, trial.key) == [Path(where)]


def test_the_time_of_a_live_run_is_that_of_the_training(store, runs):
    trial = short_trial("rigl")
    runs.start(trial.key)
    execute(trial, store, lambda steps: runs.poll())
    run = read_run(Path(runs.finish(trial.key)))
    seconds = store.read(trial.key).timing["seconds"]
    assert run.summary["_runtime"] == seconds
    assert run.summary["_wandb"] == {"runtime": seconds}
    clock = [row["_runtime"] for row in run.history]
    assert clock == sorted(clock)
    assert clock[0] < clock[-1] == seconds


def test_values_are_in_the_runs_file_while_the_trial_trains(store, runs):
    trial = short_trial("rigl", recipe={"epochs": 2})
    seen: list[OfflineRun] = []

    def poll(steps: int) -> None:
        runs.poll()
        if seen or not runs._open[trial.key]._logged:
            return
        (folder,) = folders(store, trial.key)
        seen.append(read_run_once(folder, lambda run: run.history))

    runs.start(trial.key)
    execute(trial, store, poll)
    assert seen
    assert seen[0].exit_code is None
    assert {"round", "step", "_runtime"} <= seen[0].history[0].keys()
    runs.finish(trial.key)


def test_two_trials_at_once_are_two_runs(store, runs):
    first, second = (short_trial("rigl", seed=seed, recipe={"epochs": 2}) for seed in (0, 1))
    for trial in (first, second):
        runs.start(trial.key)
    for trial in (first, second):
        execute(trial, store, lambda steps: runs.poll())
        runs.poll()
    where = [runs.finish(trial.key) for trial in (second, first)]
    assert len(set(where)) == 2
    for trial, place in zip((second, first), where, strict=True):
        assert logged_in(read_run(Path(place))) == curves_of(store, trial.key)


def test_a_trial_that_is_interrupted_and_resumed_is_one_run_without_repetitions(store, runs):
    trial = short_trial("resonance")
    calls = itertools.count(1)
    runs.start(trial.key)
    with pytest.raises(Interrupted):
        execute(trial, store, lambda steps: runs.poll(), stopping=lambda: next(calls) == 90)
    runs.poll()
    runs.start(trial.key)  # a retry
    execute(trial, store, lambda steps: runs.poll())
    where = runs.finish(trial.key)
    assert folders(store, trial.key) == [Path(where)]
    assert logged_in(read_run(Path(where))) == curves_of(store, trial.key)


def test_a_run_that_is_not_what_the_record_says_is_written_again(store, runs):
    trial = short_trial("rigl", recipe={"epochs": 2})
    runs.start(trial.key)
    wrong = RunningFile(store.root, trial.key)
    live_report.LiveReport(wrong).begin(trial, 10)
    wrong.add(1, 0.1, 9.0, [(0, 40, "train_loss", "", 0, 9.0)])
    runs.poll()
    assert folders(store, trial.key)
    execute(trial, store)
    time.sleep(1.1)  # wandb names folders by the second
    where = runs.finish(trial.key)
    assert folders(store, trial.key) == [Path(where)]
    assert logged_in(read_run(Path(where))) == curves_of(store, trial.key)


def test_where_a_live_run_fails_the_trial_is_published_at_its_end(store, runs, monkeypatch):
    trial = short_trial("rigl", recipe={"epochs": 2})
    runs.start(trial.key)
    with monkeypatch.context() as patch:
        patch.setattr(live, "open_run", lambda *given: 1 / 0)
        execute(trial, store, lambda steps: runs.poll())
    where = runs.finish(trial.key)
    assert logged_in(read_run(Path(where))) == curves_of(store, trial.key)


def test_a_failed_trial_is_a_failed_run_with_its_curves_so_far(store, runs):
    trial = short_trial("rigl", recipe={"learning_rate": 1e6})
    runs.start(trial.key)
    record = execute(trial, store, lambda steps: runs.poll())
    assert record.status == "failed"
    run = read_run(Path(runs.finish(trial.key)))
    assert run.exit_code == 1
    assert run.summary["status"] == "failed"


def test_a_trial_that_was_pruned_is_a_finished_run_without_a_record(store, runs):
    trial = short_trial("rigl", recipe={"epochs": 2})
    runs.start(trial.key)
    file = RunningFile(store.root, trial.key)
    live_report.LiveReport(file).begin(trial, 80)
    file.add(40, 0.5, 0.7, [(0, 40, "train_loss", "", 0, 0.7)])
    runs.poll()
    file.remove()
    run = read_run(Path(runs.prune(trial.key)))
    assert run.exit_code == 0
    assert run.curve("train_loss") == [(40, 0.7)]
    assert run.summary["status"] == "pruned"
    assert run.summary["_runtime"] == 0.5
    assert runs.prune(trial.key) is None


def test_only_so_many_runs_are_open_at_once(store, runs, monkeypatch):
    monkeypatch.setattr(live, "MAX_OPEN", 1)
    first, second = (short_trial("static", seed=seed, recipe={"epochs": 1}) for seed in (0, 1))
    for trial in (first, second):
        runs.start(trial.key)
    assert list(runs._open) == [first.key]
    for trial in (first, second):
        execute(trial, store, lambda steps: runs.poll())
        read_run(Path(runs.finish(trial.key)))


# ---------------------------------------------------------------- which rows are missing

ROWS = [
    (0, 10, "loss", "", 0, 1.0),
    (0, 10, "density", "fc", 0, 0.1),
    (0, 20, "loss", "", 0, math.nan),
    (0, 20, "spectrum", "fc", 0, 1.0),
    (0, 20, "spectrum", "fc", 1, 2.0),
    (0, 20, "spectrum", "fc", 2, 3.0),
]
WHOLE = [
    {"round": 0, "step": 10, "loss": 1.0, "density/fc": 0.1},
    {"round": 0, "step": 20, "loss": math.nan, "spectrum/fc": [1.0, 2.0, 3.0]},
]


def test_rows_are_put_together_by_step():
    assert repr(history(ROWS)) == repr(WHOLE)


def test_what_has_been_logged_is_not_missing():
    logged = cells(WHOLE[0])
    assert repr(missing_rows(WHOLE, logged)) == repr(WHOLE[1:])
    del logged[0, 10, "loss"]
    assert missing_rows(WHOLE, logged)[0] == {"round": 0, "step": 10, "loss": 1.0}
    assert missing_rows(WHOLE, cells(WHOLE[0]) | cells(WHOLE[1])) == []


@pytest.mark.parametrize("wrong", [{(0, 10, "loss"): 2.0}, {(0, 30, "loss"): 1.0}])
def test_a_history_with_something_else_has_no_missing_rows(wrong):
    assert missing_rows(WHOLE, cells(WHOLE[0]) | wrong) is None


# ---------------------------------------------------------------- killed


LINE = "run digits/mlp rigl -s 0.9 --recipe epochs=2"


def run_and_wait() -> None:
    """Be the command, whose trial waits for ever once it has reported the first of its curves."""
    report = live_report.LiveReport._report

    def and_wait(self: live_report.LiveReport, training: Any, progress: Any) -> None:
        report(self, training, progress)
        while self._rows:
            time.sleep(60)

    live_report.EPOCH_SECONDS = 0.0
    live_report.LiveReport._report = and_wait  # type: ignore[method-assign]
    main()


def test_a_run_whose_trial_was_killed_is_replaced_by_a_push(resonance, place):
    """The command is killed midway; W&B's own process ends by itself, its run unfinished."""
    key = Trial.make(task="digits/mlp", method="rigl", sparsity=0.9, recipe={"epochs": 2}).key
    store = Store(place / "results")
    process = start(
        [*LINE.split(), "--wandb", "offline"],
        cwd=place,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        call="tests.tracking.test_live:run_and_wait",
    )
    try:
        while not any(read_run_so_far(folder).history for folder in folders(store, key)):
            assert process.poll() is None, "the trial ended before it was seen"
            time.sleep(0.02)
    finally:
        process.kill()
        process.wait()
    assert store.read(key) is None
    (died,) = folders(store, key)
    assert read_run(died).exit_code == 1
    assert resonance(LINE).code == 0
    time.sleep(1.1)  # wandb names folders by the second
    result = resonance("wandb push --offline")
    assert result.code == 0, result.err
    (whole,) = folders(store, key)
    assert whole != died
    run = read_run(whole)
    assert run.exit_code == 0
    assert logged_in(run) == curves_of(store, key)
