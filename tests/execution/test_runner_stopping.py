"""Studies that are stopped or killed, and started again, as a user does it: from outside."""

import itertools
import os
import random
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from suite.__main__ import main
from suite.core import stopping
from suite.execution.checkpoints import Checkpoints
from suite.experiments.study import load_study
from suite.results.store import Store
from tests.conftest import require
from tests.execution import soak, stop_matrix
from tests.support.forked import ForkedCommand, start

pytestmark = pytest.mark.kill

SECONDS = 300.0
"""For what comes soon or not at all, on a machine that is busy."""
HURRY = {"RESONANCE_TEST_HURRY": "1"}
"""For a command that is not stopped: trials that last go on to their ends."""


def command(folder: Path, *words: str, env: Mapping[str, str] | None = None) -> ForkedCommand:
    """Start ``resonance --plugin oddities.py …`` in a folder, in a session of its own."""
    line = ["--plugin", "oddities.py", *words]
    call = "tests.support.patient:main"
    return start(line, cwd=folder, new_session=True, text=True, env=env, call=call)


def until(condition: Callable[[], object]) -> None:
    """Wait for something that happens soon or not at all."""
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


@pytest.fixture
def lasting(trial, tmp_path) -> Path:
    """Return a folder with a study of two trials that last until they are stopped."""
    (tmp_path / "lasting.yaml").write_text(
        "name: lasting\nquestion: Does it stop?\ntasks: [stripes/mlp]\nmethods: [lasts]\n"
        "sparsities: [0.5]\nseeds: 2\nrecipe: {epochs: 4}\n"
    )
    return tmp_path


def test_ctrl_c_keeps_checkpoints_and_the_next_run_goes_on_to_the_same_records(lasting):
    trials = load_study(str(lasting / "lasting.yaml")).trials()
    store = Store(lasting / "results")
    line = ("study", "lasting.yaml", "--workers", "2", "--checkpoint-every")
    first = command(lasting, *line, "1steps")
    until(lambda: len(Checkpoints(store).keys()) == 2)
    first.send_signal(signal.SIGINT)
    out, err = first.communicate(timeout=SECONDS)
    assert first.returncode == 130, err
    assert err == f"{stopping.RESUMABLE}\n"
    assert "0 done · 2 to run" in out
    assert store.keys() == []
    assert Checkpoints(store).keys() == sorted(t.key for t in trials)
    second = command(lasting, *line, "off", env=HURRY)
    out, err = second.communicate(timeout=SECONDS)
    assert second.returncode == 0, err
    assert "2 finished, 0 failed" in out
    assert Checkpoints(store).keys() == []
    whole = command(lasting, *line, "off", "--store", "whole", env=HURRY)
    whole.communicate(timeout=SECONDS)
    assert soak.differences(Store(lasting / "whole"), store) == []


def test_a_second_ctrl_c_ends_everything_at_once(trial, tmp_path, monkeypatch):
    marker = tmp_path / "marker"
    monkeypatch.setenv("RESONANCE_TEST_MARKER", str(marker))
    (tmp_path / "hang.yaml").write_text(
        "name: hang\nquestion: Does it stop?\ntasks: [stripes/mlp]\nmethods: [hangs]\n"
        "sparsities: [0.5]\nseeds: 1\n"
    )
    process = command(tmp_path, "study", "hang.yaml", "--checkpoint-every", "1steps")
    until(marker.exists)  # now it hangs, in step 3, where no stop is heard
    process.deliver(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 130
    assert err == f"{stopping.HARD}\n"
    until(lambda: group_is_gone(process.pid))


def test_workers_end_with_a_study_that_is_killed(lasting):
    line = ("study", "lasting.yaml", "--workers", "2", "--checkpoint-every", "1steps")
    process = command(lasting, *line)
    until(lambda: len(Checkpoints(Store(lasting / "results")).keys()) == 2)
    process.kill()
    process.communicate(timeout=SECONDS)
    until(lambda: group_is_gone(process.pid))


def group_is_gone(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_single_trial_stops_and_goes_on_too(lasting):
    line = ("run", "stripes/mlp", "lasts", "-s", "0.5", "--recipe", "epochs=4")
    store = Store(lasting / "results")
    process = command(lasting, *line, "--checkpoint-every", "1steps")
    until(lambda: Checkpoints(store).keys())
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=SECONDS)
    assert process.returncode == 143
    assert store.keys() == []
    again = command(lasting, *line, env=HURRY)
    assert "test accuracy" in again.communicate(timeout=SECONDS)[0]
    assert Checkpoints(store).keys() == []


def die_writing() -> None:
    """Be the command; a worker kills all of its processes in the midst of writing a file.

    The environment says which: the first, the second, …. All others are then at any moment.
    """
    last, fsync, written = int(os.environ["RESONANCE_TEST_WRITES"]), os.fsync, itertools.count(1)

    def die(descriptor: int) -> None:
        if next(written) == last:
            os.killpg(0, signal.SIGKILL)
        fsync(descriptor)

    os.fsync = die
    main()


def test_a_study_killed_at_random_moments_ends_as_one_that_was_not(tmp_path):
    """The small version of `make soak`."""
    whole = soak.run_whole(tmp_path / "whole", seeds=1)
    assert len(whole.keys()) == 8
    place, choose, resumed = tmp_path / "killed", random.Random(0), 0
    store = Store(place / "results")
    for _ in range(4):
        variables = {"RESONANCE_TEST_WRITES": str(choose.randint(10, 16))}
        killed = soak.start(place, 1, call=f"{__name__}:die_writing", env=variables)
        killed.communicate(timeout=SECONDS)
        assert killed.returncode == -signal.SIGKILL
        until(lambda killed=killed: group_is_gone(killed.pid))
        resumed += len(Checkpoints(store).keys())
    assert resumed > 0
    assert soak.run_whole(place, seeds=1).keys() == store.keys()
    assert soak.differences(whole, store) == []
    assert soak.leftovers(store) == []


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
    ended = stop_matrix.run_case(event, moment, undisturbed, tmp_path / "case", timed=False)
    assert ended.wrong == ()
