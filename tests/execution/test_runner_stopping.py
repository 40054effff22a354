"""Studies that are stopped or killed, and started again, as a user does it: from outside."""

import os
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from suite.execution.checkpoints import Checkpoints
from suite.experiments.study import load_study
from suite.results.store import Store
from tests.conftest import require
from tests.execution import stop_matrix
from tests.execution.soak import differences, kill_and_restart, run_whole
from tests.support.forked import ForkedCommand, start

pytestmark = pytest.mark.kill

SECONDS = 60.0
HURRY = {"RESONANCE_TEST_HURRY": "1"}
"""For a command that is not stopped: slow trials are not slow."""


def command(folder: Path, *words: str, env: Mapping[str, str] | None = None) -> ForkedCommand:
    """Start ``resonance --plugin oddities.py …`` in a folder, in a session of its own."""
    line = ["--plugin", "oddities.py", *words]
    return start(line, cwd=folder, new_session=True, text=True, env=env)


def until(condition: Callable[[], object]) -> None:
    """Wait for something, which comes within a minute or not at all."""
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


@pytest.fixture
def slow(trial, tmp_path) -> Path:
    """Return a study file of two slow trials (4 steps of 0.1 s an epoch), beside the plug-in."""
    (tmp_path / "slow.yaml").write_text(
        "name: slow\nquestion: Does it stop?\ntasks: [stripes/mlp]\nmethods: [slow]\n"
        "sparsities: [0.5]\nseeds: 2\nrecipe: {epochs: 40}\n"
    )
    return tmp_path


def test_ctrl_c_keeps_checkpoints_and_the_next_run_goes_on_to_the_same_records(slow):
    trials = load_study(str(slow / "slow.yaml")).trials()
    store = Store(slow / "results")
    line = ("study", "slow.yaml", "--workers", "2", "--checkpoint-every")
    first = command(slow, *line, "1steps")
    until(lambda: len(Checkpoints(store).keys()) == 2)
    first.send_signal(signal.SIGINT)
    out, err = first.communicate(timeout=SECONDS)
    assert first.returncode == 130, err
    assert err == "stopped; finished trials are stored: run the same command again to resume\n"
    assert "0 done · 2 to run" in out
    assert store.keys() == []
    assert Checkpoints(store).keys() == sorted(t.key for t in trials)
    second = command(slow, *line, "off", env=HURRY)
    out, err = second.communicate(timeout=SECONDS)
    assert second.returncode == 0, err
    assert "2 finished, 0 failed" in out
    assert Checkpoints(store).keys() == []
    whole = command(slow, *line, "off", "--store", "whole", env=HURRY)
    whole.communicate(timeout=SECONDS)
    assert differences(Store(slow / "whole"), store) == []


def test_a_second_ctrl_c_ends_everything_at_once(trial, tmp_path, monkeypatch):
    marker = tmp_path / "marker"
    monkeypatch.setenv("RESONANCE_TEST_MARKER", str(marker))
    (tmp_path / "hang.yaml").write_text(
        "name: hang\nquestion: Does it stop?\ntasks: [stripes/mlp]\nmethods: [hangs]\n"
        "sparsities: [0.5]\nseeds: 1\n"
    )
    process = command(tmp_path, "study", "hang.yaml", "--checkpoint-every", "1steps")
    until(marker.exists)  # now it hangs, in step 3, where no stop is heard
    process.send_signal(signal.SIGINT)
    time.sleep(1.0)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 130
    assert "Traceback" not in err
    until(lambda: group_is_gone(process.pid))


def test_workers_end_with_a_study_that_is_killed(slow):
    process = command(slow, "study", "slow.yaml", "--workers", "2", "--checkpoint-every", "1steps")
    until(lambda: len(Checkpoints(Store(slow / "results")).keys()) == 2)
    process.kill()
    process.communicate(timeout=SECONDS)
    until(lambda: group_is_gone(process.pid))


def group_is_gone(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_single_trial_stops_and_goes_on_too(slow):
    line = ("run", "stripes/mlp", "slow", "-s", "0.5", "--recipe", "epochs=40")
    store = Store(slow / "results")
    process = command(slow, *line, "--checkpoint-every", "1steps")
    until(lambda: Checkpoints(store).keys())
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=SECONDS)
    assert process.returncode == 143
    assert store.keys() == []
    again = command(slow, *line, env=HURRY)
    assert "test accuracy" in again.communicate(timeout=SECONDS)[0]
    assert Checkpoints(store).keys() == []


def test_a_study_killed_at_random_moments_ends_as_one_that_was_not(tmp_path):
    """The small version of `make soak`."""
    whole = run_whole(tmp_path / "whole", seeds=1)
    killed = kill_and_restart(tmp_path / "killed", seeds=1, kills=4, random_seed=0)
    assert len(whole.keys()) == 8
    assert killed.kills == 4
    assert killed.resumed > 0
    assert differences(whole, killed.store) == []
    assert killed.leftovers() == []


SELECTION = (
    ("INT", "loading"), ("TERM", "step"), ("HUP", "record"), ("USR1", "ending"),
    ("QUIT", "checkpoint"), ("STOP, INT", "step"), ("STOP, KILL parent", "step"),
    ("KILL worker", "record"), ("full disk, INT", "checkpoint"),
)  # fmt: skip


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Store:
    """Return the store of the matrix's study, run without an event."""
    return stop_matrix.run_whole(tmp_path_factory.mktemp("undisturbed") / "whole")


@pytest.mark.parametrize(("name", "moment"), SELECTION)
def test_a_study_ends_as_documented_whatever_ends_it_and_when(name, moment, undisturbed, tmp_path):
    """A selection; `make soak` with ``--matrix`` runs all."""
    if name in stop_matrix.FULL_DISK:
        require("mount", stop_matrix.can_mount(), "run as root, to mount a small disk")
    (event,) = (event for event in stop_matrix.EVENTS if event.name == name)
    ended = stop_matrix.run_case(event, moment, undisturbed, tmp_path / "case")
    assert ended.wrong == ()
