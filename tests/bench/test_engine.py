"""What an engine costs per trial: the job that does nothing, and what is counted."""

import pytest

from suite.bench import engine
from suite.results.store import Store


def test_a_job_leaves_the_record_of_its_own_trial(tmp_path):
    store = Store(tmp_path)
    store.prepare()
    trials = [engine._trial(seed) for seed in (3, 4)]
    for trial in trials:
        assert engine.nothing(trial, store, every="60s").key == trial.key
    records = {record.key: record for record in store.records()}
    assert {key: one.trial["seed"] for key, one in records.items()} == {
        trial.key: trial.seed for trial in trials
    }
    assert all(record.status == "done" for record in records.values())


def test_only_what_ends_after_the_warm_up_is_counted(monkeypatch):
    now = iter(range(0, 1000, 5))
    monkeypatch.setattr(engine.time, "perf_counter", lambda: float(next(now)))

    def run(trials, store, made, finished):
        for trial in trials:
            engine.nothing(trial, store)
            finished(trial, None)
        return type("Summary", (), {"done": len(trials), "failed": []})

    monkeypatch.setattr(engine, "run", run)
    (found,) = engine.local(trials=4, warm_up=2)
    assert found.value == 5000.0  # milliseconds from one end to the next


def test_a_figure_comes_out_of_real_workers():
    (found,) = engine.local(trials=2, warm_up=2)
    assert found.unit == "ms"
    assert found.value > 0


def test_trials_that_fail_give_no_figure(monkeypatch):
    class Summary:
        done, failed = 0, [("trial", "why")]

    monkeypatch.setattr(engine, "run", lambda *given: Summary)
    with pytest.raises(RuntimeError, match="why"):
        list(engine.local(trials=1, warm_up=1))


def test_without_ray_there_is_no_figure(monkeypatch):
    monkeypatch.setattr(engine.importlib.util, "find_spec", lambda name: None)
    assert list(engine.ray()) == []
