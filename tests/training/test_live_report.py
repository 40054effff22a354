"""What a trial reports while it trains is what its record will hold."""

import json

import pytest
import torch

from suite.core.errors import Interrupted
from suite.execution.runner import execute
from suite.results.running_file import RunningFile, RunningFileReader, running_path
from suite.results.running_trials import RunningTrial, running_trials
from suite.results.store import Store
from suite.sparsity.rounds import TrainingProgress
from suite.training import live_report
from suite.training.curves import Curves
from suite.training.live_report import LiveReport
from suite.training.trial import run_trial
from tests.support.helpers import make, trained
from tests.support.helpers import trial as short_trial

METHODS = {"resonance": 0.9, "lottery_ticket": 0.36, "dense": 0.0}
"""With their sparsity: that of the lottery ticket takes two rounds."""


@pytest.fixture
def at_once(monkeypatch) -> None:
    """Report after every step."""
    monkeypatch.setattr(live_report, "PROGRESS_SECONDS", 0.0)
    monkeypatch.setattr(live_report, "EPOCH_SECONDS", 0.0)


def lines_of(root, trial) -> list:
    with RunningFileReader(running_path(root, trial.key)) as reader:
        return reader.read()


def rows_in(lines) -> list:
    return [tuple(row) for line in lines for row in line.get("rows", ())]


@pytest.mark.parametrize("method", METHODS)
def test_the_curves_are_those_of_the_outcome_and_the_steps_end_at_the_total(
    tmp_path, method, at_once
):
    trial = short_trial(method, sparsity=METHODS[method])
    outcome = run_trial(trial, live=LiveReport(RunningFile(tmp_path, trial.key)))
    lines = lines_of(tmp_path, trial)
    with RunningFileReader(running_path(tmp_path, trial.key)) as reader:
        heading = reader.heading
    assert rows_in(lines) == outcome.curves.rows
    steps = [line["step"] for line in lines if "step" in line]
    assert steps == list(range(heading.steps + 1))
    assert heading.configuration == json.loads(json.dumps(trial.resolved()))


@pytest.mark.parametrize("method", ["resonance", "lottery_ticket"])
def test_reporting_changes_no_result(tmp_path, method, at_once):
    trial = short_trial(method, sparsity=METHODS[method])
    watched = run_trial(trial, live=LiveReport(RunningFile(tmp_path, trial.key)))
    alone = trained(trial)
    assert watched.record.digests == alone.record.digests
    assert watched.curves.rows == alone.curves.rows


def test_short_epochs_are_reported_together_and_the_last_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(live_report, "PROGRESS_SECONDS", 1e9)
    monkeypatch.setattr(live_report, "EPOCH_SECONDS", 1e9)
    trial = short_trial("rigl")
    outcome = run_trial(trial, live=LiveReport(RunningFile(tmp_path, trial.key)))
    lines = lines_of(tmp_path, trial)
    assert [line["step"] for line in lines if "step" in line] == [0, outcome.curves.rows[-1][1]]
    assert rows_in(lines) == outcome.curves.rows


def test_a_trial_is_listed_while_it_trains_and_not_after(tmp_path, at_once):
    store, trial = Store(tmp_path), short_trial("rigl")
    seen: list[RunningTrial] = []
    execute(trial, store, progress=lambda steps: seen.extend(running_trials(store)))
    assert {one.key for one in seen} == {trial.key}
    assert seen[-1].loss is not None
    assert 0 < seen[-1].step < seen[-1].steps
    assert running_trials(store) == []
    assert [path.name for path in tmp_path.iterdir()] == ["trials"]


@pytest.mark.slow
def test_a_resumed_trial_reports_its_curves_from_the_beginning(tmp_path, at_once):
    store, trial = Store(tmp_path), short_trial("resonance")
    calls: list[int] = []

    def stopping() -> bool:
        calls.append(1)
        return len(calls) == 70

    with pytest.raises(Interrupted):
        execute(trial, store, stopping=stopping)
    assert running_trials(store) == []
    kept: list = []

    def keep(steps: int) -> None:
        kept[:] = lines_of(tmp_path, trial)

    execute(trial, store, progress=keep)
    progress = [line["step"] for line in kept if "step" in line]
    assert progress[0] == 70
    rows = rows_in(kept)
    assert rows == run_trial(trial).curves.rows[: len(rows)]
    assert rows[0][1] < 70 < rows[-1][1]


def test_the_steps_of_a_trainer_are_counted(tmp_path, monkeypatch):
    report = LiveReport(RunningFile(tmp_path, "0" * 16))
    trial = short_trial("dense")
    report.begin(trial, 100)
    monkeypatch.setattr(live_report, "EPOCH_SECONDS", 0.0)
    report.count(10)
    report.count(10)
    with RunningFileReader(running_path(tmp_path, "0" * 16)) as reader:
        lines = reader.read()
    assert [line["step"] for line in lines] == [10, 20]


def test_a_failed_trial_leaves_no_file(tmp_path, monkeypatch):
    store, trial = Store(tmp_path), short_trial("rigl", recipe={"learning_rate": 1e6})
    record = execute(trial, store)
    assert record.status == "failed"
    assert not (tmp_path / "running").exists()


def test_the_loss_of_a_step_is_read_only_where_it_is_on_the_host(tmp_path):
    class OnDevice:
        def __getitem__(self, index):
            raise AssertionError("read from the device")

        def __len__(self) -> int:
            return 1

    class Nowhere:
        device = torch.device("cuda")
        losses = OnDevice()
        budget = None

    trial = short_trial("dense")
    report = LiveReport(RunningFile(tmp_path, trial.key))
    report.begin(trial, 100)
    training = Nowhere()
    training.curves = Curves()
    training.sparsifier = make("static")
    report.resumed(training, TrainingProgress(0, 5), 0.0)
    assert lines_of(tmp_path, trial)[-1]["loss"] is None
