"""What a trial does to its worker process, it does to itself alone."""

import os
import time
from types import SimpleNamespace

import pytest

from suite.core.errors import InvalidInput
from suite.execution import local, worker_handle
from suite.execution.checkpoints import Checkpoints
from suite.execution.local import LocalEngine, gpu_shares
from suite.execution.runner import run
from suite.execution.worker_handle import WorkerConfig
from suite.experiments.trial_config import Trial
from suite.results.record import Record

SECONDS = 300.0
"""For what comes soon or not at all, on a machine that is busy."""


def study(trials, store, *, workers=2, retries=0, **settings) -> dict[str, Record]:
    """Run trials on the local engine; return the records as the caller was told of them."""
    told: dict[str, Record] = {}

    def finished(trial: Trial, record: Record) -> None:
        assert trial.key not in told
        told[trial.key] = record

    engine = LocalEngine(WorkerConfig(str(store.location), **settings), workers)
    summary = run(trials, store, engine, finished, retries)
    assert len(told) == len(trials)
    assert summary.done == sum(record.status == "done" for record in told.values())
    for key, record in told.items():
        read = store.read(key)
        assert read is not None
        assert read.to_json() == record.to_json()
    return told


def error_text(store, trial: Trial) -> str:
    return store.load(trial.key, "error.txt").decode()


@pytest.fixture
def whole_dumps(monkeypatch) -> None:
    """Give a worker that is ended for its limits as long as it needs to say where it was."""

    def ask_and_wait(handle: worker_handle.WorkerHandle) -> None:
        dump(handle)
        end = time.monotonic() + SECONDS
        while "in update" not in handle._errors.read_text():
            assert time.monotonic() < end
            time.sleep(0.01)

    dump = worker_handle.WorkerHandle._dump
    monkeypatch.setattr(worker_handle.WorkerHandle, "_dump", ask_and_wait)


def test_each_trial_is_recorded_for_what_it_is_and_the_rest_is_complete(
    trial, store, tmp_path, monkeypatch, whole_dumps
):
    good = [trial("good", seed=seed) for seed in range(4)]
    bad = {
        "raises": trial("raises"),
        "segfaults": trial("segfaults"),
        "exits": trial("exits"),
        "allocates": trial("allocates"),
        "hangs": trial("hangs"),
    }
    hangs = bad["hangs"]
    others = [one for one in [*bad.values(), *good] if one is not hangs]
    told = study(others, store, retries=1, memory=2**30, every="1steps")
    # Its time is over when it hangs, and not before, however slow the machine is.
    marker, now = tmp_path / "marker", time.monotonic
    monkeypatch.setenv("RESONANCE_TEST_MARKER", str(marker))
    clock = SimpleNamespace(monotonic=lambda: now() + 1000 * marker.exists(), sleep=time.sleep)
    monkeypatch.setattr(worker_handle, "time", clock)
    told |= study([hangs], store, retries=1, timeout=1000.0, every="1steps")
    errors = {name: told[t.key].error for name, t in bad.items()}
    assert {name: error["type"] for name, error in errors.items()} == {
        "raises": "RuntimeError",
        "segfaults": "Crashed",
        "exits": "Crashed",
        "allocates": "OutOfMemory",
        "hangs": "TimedOut",
    }
    assert errors["raises"]["message"] == "RuntimeError: the update broke"
    assert "SIGSEGV" in errors["segfaults"]["message"]
    assert "exited with code 7" in errors["exits"]["message"]
    assert "more than 1 GiB" in errors["allocates"]["message"]
    assert "1000 seconds (--timeout)" in errors["hangs"]["message"]
    assert all(told[t.key].status == "done" for t in good)
    # Each says where it was, whoever wrote it down.
    assert "Traceback" in error_text(store, bad["raises"])
    assert "Segmentation fault" in error_text(store, bad["segfaults"])
    for name in ("raises", "segfaults", "allocates", "hangs"):
        assert "in update" in error_text(store, bad[name]), name
    assert store.keys() == sorted(told)
    # What died may go on where it was; what failed by itself starts anew. A limit is met once.
    died = [bad[name] for name in ("segfaults", "exits", "allocates", "hangs")]
    assert Checkpoints(store).keys() == sorted(t.key for t in died)
    for name in ("segfaults", "exits"):
        assert "the last of 2 attempts" in error_text(store, bad[name])
    for name in ("allocates", "hangs"):
        assert "attempts" not in error_text(store, bad[name])


def test_a_trial_that_was_killed_is_tried_again_from_its_checkpoint(
    trial, store, tmp_path, monkeypatch
):
    monkeypatch.setenv("RESONANCE_TEST_MARKER", str(tmp_path / "marker"))
    once = trial("dies_once")
    told = study([once], store, retries=1, every="1steps")
    assert (tmp_path / "marker").exists()
    assert told[once.key].status == "done"
    assert Checkpoints(store).keys() == []


def test_a_trial_that_keeps_dying_has_failed_after_its_retries(trial, store):
    exits = trial("exits")
    told = study([exits], store, retries=2)
    assert told[exits.key].status == "failed"
    assert "the last of 3 attempts" in error_text(store, exits)


def test_what_is_transient_is_tried_again_and_recorded_when_it_stays(
    trial, store, tmp_path, monkeypatch
):
    monkeypatch.setenv("RESONANCE_TEST_MARKER", str(tmp_path / "marker"))
    once = trial("disconnects_once")
    assert study([once], store, retries=1)[once.key].status == "done"
    (tmp_path / "marker").unlink()
    error = study([once], store, retries=0)[once.key].error
    assert error is not None
    assert error["type"] == "Transient"
    assert "ConnectionResetError: the share went away" in error["message"]
    assert "in update" in error_text(store, once)


def test_a_store_that_cannot_be_written_stops_the_study(trial, store):
    (store.root / "checkpoints").write_text("in the way")
    with pytest.raises(InvalidInput, match="checkpoints is not a folder: move it out"):
        study([trial("good")], store, every="1steps")


def test_the_worker_sees_this_process_s_environment_and_its_own_gpu(trial, store, monkeypatch):
    monkeypatch.setenv("RESONANCE_TEST_WORD", "now")
    engine = LocalEngine(
        WorkerConfig(store.location, function="tests.execution.jobs:environment"), 2, ["GPU-a", "3"]
    )
    notes: list[list[str]] = []
    run([trial("good"), trial("good", seed=1)], store, engine, lambda t, r: notes.append(r.notes))
    assert sorted(notes) == [["now", "3", "1"], ["now", "GPU-a", "1"]]


@pytest.mark.parametrize(("threads", "workers"), [(1, 6), (2, 3), (4, 1), (100, 1)])
def test_as_many_workers_as_the_cores_hold(threads, workers, monkeypatch):
    monkeypatch.setattr(local.os, "sched_getaffinity", lambda pid: set(range(6)))
    assert local.default_workers(threads) == workers


@pytest.mark.parametrize(
    ("share", "handles"),
    [(1, ["0", "1"]), (0.5, ["0", "1", "0", "1"]), (0.4, ["0", "1", "0", "1"])],
)
def test_slots_share_gpus_evenly(share, handles):
    assert gpu_shares(["0", "1"], share) == handles


@pytest.mark.parametrize("share", [0, -1, 1.5])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(InvalidInput, match="in \\(0, 1\\]"):
        gpu_shares(["0"], share)


def test_no_worker_outlives_its_engine(trial, store):
    engine = LocalEngine(WorkerConfig(store.location), 1)
    engine.submit(trial("hangs"))
    (handle,) = engine.handles
    process = handle._process
    assert process is not None
    pid = process.pid
    assert pid is not None
    engine.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
