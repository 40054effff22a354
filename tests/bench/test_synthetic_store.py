"""A synthetic store is one that training could have left."""

from pathlib import Path

import pytest

from suite.bench import synthetic_store
from suite.bench.synthetic_store import fill, study_of
from suite.execution.plan import Overwrite, schedule
from suite.results.store import Store
from suite.results.verify import verify
from suite.training.trial import run_trial

FEW = (0.9,)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    methods = {"dense": {}, "static": {}}
    monkeypatch.setattr(synthetic_store, "METHODS", methods)


def test_it_is_intact_and_finished(tmp_path: Path, small: None) -> None:
    store = Store(tmp_path)
    keys = fill(store, 10, FEW)
    report = verify(store)
    assert (report.checked, report.sound, report.findings) == (10, 10, [])
    study = study_of(10, FEW)
    plan = schedule(study.trials(), store, Overwrite.FAILED)
    assert [trial.key for trial in plan.done] == keys
    assert not plan.to_run


def test_its_records_are_those_of_training(tmp_path: Path, small: None) -> None:
    store = Store(tmp_path)
    fill(store, 10, FEW)
    for trial in study_of(10, FEW).trials()[:4]:
        outcome = run_trial(trial)
        copy = store.read(trial.key)
        assert copy is not None
        different = {"timing": {}, "digests": {}, "integrity": None}
        trained = outcome.record.model_copy(update=different)
        if trial.seed < synthetic_store.TRAINED:
            assert copy.model_copy(update=different).to_json() == trained.to_json()
        assert store.load(trial.key, "trial.json") == outcome.files()["trial.json"]


def test_trials_differ_in_weights_and_results(tmp_path: Path, small: None) -> None:
    store = Store(tmp_path)
    fill(store, 10, FEW)
    records = list(store.records())
    assert len({record.digests["model"] for record in records}) == 10
    assert len({record.score for record in records}) > 2


def test_trials_that_are_there_are_kept(tmp_path: Path, small: None) -> None:
    store = Store(tmp_path)
    first = fill(store, 4, FEW)
    before = store.backend.versions()
    assert fill(store, 6, FEW)[:4] == first
    after = store.backend.versions()
    assert len(after) == 6
    assert before.items() <= after.items()


@pytest.mark.parametrize(
    ("sparsities", "cells"), [(synthetic_store.FEW, 37), (synthetic_store.MANY, 100)]
)
def test_cells(sparsities: tuple[float, ...], cells: int) -> None:
    assert len(study_of(cells * 3, sparsities).trials()) == cells * 3
