import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from suite.bench import growth, store, synthetic_store
from suite.results.record_index import FOLDER
from suite.results.store import Store

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def few_cells(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Have two cells, and one place for the stores of all sizes."""
    monkeypatch.setattr(synthetic_store, "METHODS", {"dense": {}, "static": {}})
    monkeypatch.setattr(store, "MANY", (0.9,))
    monkeypatch.setenv("RESONANCE_BENCH_STORES", str(tmp_path))


def test_records_are_read_with_and_without_an_index() -> None:
    found = list(store.records(trials=6, runs=2))
    assert [one.bar is not None for one in found] == [True, True, False]
    assert all(one.value > 0 and one.spread is not None for one in found)


def test_commands_find_every_trial_of_the_study(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = []
    run = store.run_command

    def noted(words, *more):
        done = run(words, *more)
        ran.append((words[0], done.output))
        return done

    monkeypatch.setattr(store, "run_command", noted)
    found = list(store.commands(trials=6, runs=1))
    assert {one.unit for one in found} == {"s", "GiB"}
    assert len(found) == 10
    outputs = dict(ran)
    assert "6 done, 0 failed" in outputs["status"]
    assert "6 done · 0 to run" in outputs["study"]
    assert len(outputs["list"].splitlines()) >= 6


def test_a_prepared_store_is_kept_and_indexed_anew(tmp_path: Path) -> None:
    with store.prepared(4) as (first, file):
        before = first.backend.versions()
        shutil.rmtree(first.root / FOLDER)
    with store.prepared(4) as (second, again):
        assert (second.location, again) == (first.location, file)
        assert second.backend.versions() == before
        assert (second.root / FOLDER).exists()


def test_growth_is_fitted_between_the_last_two_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    status: dict[str, Callable[[Store, str, Path], list[str]]] = {
        "status": growth.COMMANDS["status"]
    }
    monkeypatch.setattr(growth, "COMMANDS", status)
    *measured, fitted = growth.growth(sizes=(2, 4), commands=("status",))
    seconds = [one.value for one in measured if one.unit == "s"]
    assert fitted.value == pytest.approx(growth.exponent((2, 4), seconds))
    assert fitted.bar is not None
    assert [one.unit for one in measured] == ["s", "GiB"] * 2
