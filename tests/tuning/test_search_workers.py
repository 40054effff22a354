"""Two processes that share one search, one of which is killed."""

import os
import subprocess
import time
from pathlib import Path

import optuna
import pytest

from suite.core.leases import Owner
from suite.results.store import Store
from suite.tuning.schema import load_tuning
from suite.tuning.shared_study import ABANDONED_ATTR, NUMBER_ATTR, WORKER_ATTR
from suite.tuning.storage import open_storage
from tests.support import forked
from tests.tuning.postgres import PASSWORD, server

BUDGET = 6
HELD = """
import os
import time

from suite.core.declarations import Method
from suite.core.hyperparameters import DROP_FRACTION, LAYERWISE, UPDATE_END, UPDATE_EVERY
from suite.sparsity.drop_grow import GradientGrowth

METHOD = Method(
    "held", "this test", title="held", summary="waits, if it is told to", implementation="Held",
    family="test", hyperparameters=(*LAYERWISE, UPDATE_EVERY, DROP_FRACTION, UPDATE_END),
)


class Held(GradientGrowth):
    def observe(self, step):
        if folder := os.environ.get("RESONANCE_TEST_HOLD"):
            open(f"{folder}/held", "w").close()
            while not os.path.exists(f"{folder}/go"):
                time.sleep(0.01)
        super().observe(step)
"""
"""A method whose training stands still in its first step until there is a file ``go``."""


@pytest.fixture(params=["journal", "postgresql"])
def storage(request, tmp_path):
    """Return where a study is kept: a file, and a real database."""
    if request.param == "journal":
        yield str(tmp_path / "shared.journal")
    else:
        with server() as url:
            yield url


def start(
    storage: str, folder: Path, log: Path, method: str = "rigl", *, hold: bool = False
) -> forked.ForkedCommand:
    """Start a search; its first training stands still if it is of `HELD` and told to hold."""
    (folder / "held.py").write_text(HELD)
    words = (
        f"--plugin held.py tune {method} --task digits/mlp --name shared --seeds 1 "
        f"--recipe epochs=1 --final-seeds 1 --engine inline --workers 1 --budget {BUDGET}"
    )
    with log.open("wb") as file:
        line = [*words.split(), "--storage", storage]
        return forked.start(
            line,
            cwd=folder,
            stdout=file.fileno(),
            stderr=subprocess.STDOUT,
            env={"RESONANCE_TEST_HOLD": str(folder)} if hold else {},
        )


def trials(storage: str, method: str = "rigl") -> list[optuna.trial.FrozenTrial]:
    """Look into the storage from outside, and leave no connection open."""
    opened = open_storage(storage)
    try:
        study = optuna.load_study(study_name=f"shared/{method}", storage=opened)
        return study.get_trials(deepcopy=False)
    except KeyError:  # not there yet
        return []
    finally:
        if "://" in storage:
            opened.remove_session()
            opened.engine.dispose()


def worker_of(attributes):
    """Return the process that holds a trial; None if none does."""
    owner = Owner.parse(attributes.get(WORKER_ATTR, ""))
    return owner and owner.pid


def wait_until_it_holds_a_trial(storage: str, process: forked.ForkedCommand, folder: Path) -> None:
    until = time.monotonic() + 200
    while not (folder / "held").exists():
        assert process.poll() is None, "it ended before its first training"
        assert time.monotonic() < until, "it never held a trial"
        time.sleep(0.02)
    running = [t for t in trials(storage, "held") if t.state == optuna.trial.TrialState.RUNNING]
    assert [worker_of(t.user_attrs) for t in running] == [process.pid]


@pytest.mark.kill
def test_a_killed_worker_leaves_a_search_that_ends_in_full(storage, tmp_path):
    logs = [tmp_path / name for name in ("victim.log", "other.log")]
    victim = start(storage, tmp_path, logs[0], "held", hold=True)
    other = None
    try:
        wait_until_it_holds_a_trial(storage, victim, tmp_path)
        victim.kill()
        victim.wait()
        other = start(storage, tmp_path, logs[1], "held")
        assert other.wait(240) == 0, logs[1].read_text()
    finally:
        for process in (victim, other):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()
    found = trials(storage, "held")
    complete = [t for t in found if t.state == optuna.trial.TrialState.COMPLETE]
    assert sorted(t.user_attrs[NUMBER_ATTR] for t in complete) == list(range(BUDGET))
    assert [t for t in found if t.user_attrs.get(ABANDONED_ATTR)], "nothing was given up"
    tuning = load_tuning(Store(tmp_path / "results"), "shared")
    assert [trial.state for trial in tuning.methods["held"].trials] == ["complete"] * BUDGET
    written = [p for p in (tmp_path / "results").rglob("*") if p.is_file()]
    assert not [p for p in [*written, *logs] if PASSWORD.encode() in p.read_bytes()]


@pytest.mark.slow
@pytest.mark.parametrize("storage", ["postgresql"], indirect=True)  # what workers share for real
def test_two_workers_share_a_search_and_find_what_one_finds(storage, tmp_path):
    folders = [tmp_path / "both", tmp_path / "alone"]
    for folder in folders:
        folder.mkdir()
    pair = [start(storage, folders[0], tmp_path / f"{n}.log") for n in range(2)]
    alone = start(str(tmp_path / "alone.journal"), folders[1], tmp_path / "alone.log")
    try:
        assert [process.wait(300) for process in (*pair, alone)] == [0, 0, 0]
    finally:
        for process in (*pair, alone):
            if process.poll() is None:
                process.kill()
                process.wait()
    attributes = [trial.user_attrs for trial in trials(storage)]
    workers = {worker_of(one) for one in attributes if NUMBER_ATTR in one and WORKER_ATTR in one}
    assert workers <= {process.pid for process in pair}
    shared, single = (load_tuning(Store(folder / "results"), "shared") for folder in folders)
    assert shared.methods == single.methods


@pytest.mark.kill
def test_a_database_that_is_lost_ends_the_search_in_one_line(tmp_path):
    log = tmp_path / "log"
    process = None
    try:
        with server() as url:
            process = start(url, tmp_path, log, "held", hold=True)
            wait_until_it_holds_a_trial(url, process, tmp_path)
        (tmp_path / "go").touch()
        assert process.wait(240) == 2, log.read_text()
    finally:
        if process is not None and process.poll() is None:
            process.kill()
            process.wait()
    *progress, line = log.read_text().splitlines()
    assert line.startswith("error: --storage postgresql://")
    assert "run the same command to resume" in line
    assert all(one.startswith("[") or " done, " in one for one in progress), progress
    assert PASSWORD not in log.read_text()


def test_a_database_that_cannot_be_reached_is_refused_without_its_password(resonance):
    url = f"postgresql://tuner:{PASSWORD}@127.0.0.1:1/postgres"
    result = resonance("tune rigl --task digits/mlp --recipe epochs=1 --engine inline", "--storage",
                       url)  # fmt: skip
    assert "cannot be opened" in result.complaint
    assert PASSWORD not in result.err
    assert not os.path.exists("results")  # noqa: PTH110
