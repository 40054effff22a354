"""What measures cost: figures come out right."""

from types import SimpleNamespace
from unittest import mock

from suite.bench import robustness
from suite.core.errors import InvalidInput
from suite.experiments.trial_config import Trial


def test_seconds_of_corruptions_come_out(monkeypatch):
    missing = mock.Mock(side_effect=InvalidInput("missing"))
    monkeypatch.setattr(robustness, "load_data", missing)
    (found,) = robustness.corrupted(images=20, blocks=2)
    assert found.unit == "s"
    assert found.value > 0
    assert found.what.startswith("accuracy under 30 corruptions of 20 noise")


def test_measures_are_counted_by_what_the_trial_takes_beside_them(monkeypatch):
    now = iter([0.0, 1.0] * 3)
    monkeypatch.setattr(robustness.time, "perf_counter", lambda: next(now))
    record = SimpleNamespace(timing={"seconds": 3.0})

    def run_trial(trial):
        robustness.final_metrics.measure()
        return SimpleNamespace(record=record)

    monkeypatch.setattr(robustness.final_metrics, "measure", lambda: None)
    monkeypatch.setattr(robustness, "run_trial", run_trial)
    (found,) = robustness.added(blocks=2)
    assert found.value == 1.5  # three seconds, of which one is for measures


def test_a_real_trial_gives_a_ratio_above_one():
    trial = Trial.make(task="digits/mlp", method="static", sparsity=0.9, recipe={"epochs": 1})
    (found,) = robustness.added(blocks=1, trial=trial)
    assert found.value > 1
