import itertools
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from suite.bench import growth, store, synthetic_store
from suite.bench.commands import Ran
from suite.results.record_index import FOLDER
from suite.results.store import Store
from tests.support import forked

pytestmark = pytest.mark.slow
SECONDS = itertools.count(1)
"""What commands take: each another time."""


@pytest.fixture(autouse=True)
def few_cells(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Have two cells, and one place for the stores of all sizes."""
    monkeypatch.setattr(synthetic_store, "METHODS", {"dense": {}, "static": {}})
    monkeypatch.setattr(store, "MANY", (0.9,))
    monkeypatch.setenv("RESONANCE_BENCH_STORES", str(tmp_path))
    monkeypatch.setattr(store, "run_process", run_process)
    monkeypatch.setattr(store, "run_command", run_command)
    monkeypatch.setattr(growth, "run_command", run_command)


def run_process(words: Sequence[str], environment: Mapping[str, str] | None = None) -> Ran:
    """Run Python in a forked process: what it measures does not count here."""
    return ran(forked.start(list(words[1:]), cwd=Path.cwd(), env=environment, text=True,
                            call="tests.support.forked:run_python"))  # fmt: skip


def run_command(words: Sequence[str], environment: Mapping[str, str] | None = None) -> Ran:
    """Run the command in a forked process."""
    return ran(forked.start(list(words), cwd=Path.cwd(), env=environment, text=True))


def ran(process: forked.ForkedCommand) -> Ran:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return Ran(float(next(SECONDS)), 1.0, out)


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
