"""Checkpoints of a trial that several machines train: none removes another's."""

import dataclasses
import datetime
import os
import time

import pytest

from suite.core.leases import MIN_AGE_SECONDS, Owner
from suite.execution.checkpoints import FOLDER, Checkpoints
from suite.results.local_store import LocalStore
from suite.results.store import Store
from tests.support.pid_namespaces import in_new_namespace
from tests.support.sample_records import done, make_trial

TRIAL = make_trial()
KEY = TRIAL.key
ELSEWHERE = Owner("0a1b2c3d4e5f", 7, "1234")


@pytest.fixture(params=["folder", "memory"])
def store(tmp_path, request) -> Store:
    where = tmp_path / "results" if request.param == "folder" else f"memory://{tmp_path}/results"
    store = Store(where)
    store.prepare()
    return store


def finish(store: Store) -> None:
    store.write(KEY, {"record.json": done(TRIAL).to_json()})


def lease_elsewhere(store: Store, age: float) -> None:
    """Hold the checkpoint on another machine, which gave its last sign `age` seconds ago."""
    name = f"{FOLDER}/{KEY}-{ELSEWHERE.label()}.lease"
    store.backend.save_shared(name, b"held\n")
    if isinstance(store.backend, LocalStore):
        os.utime(store.root / name, (time.time() - age,) * 2)
    else:
        store.backend._fs.store[f"{store.backend._root}/{name}"].modified -= datetime.timedelta(
            seconds=age
        )


def left(store: Store) -> list[str]:
    return store.backend.shared_names(FOLDER)


def test_of_two_that_train_a_trial_the_first_to_end_leaves_the_checkpoint_to_the_other(store):
    checkpoints = Checkpoints(store)
    with checkpoints.for_trial(KEY) as one, checkpoints.for_trial(KEY) as other:
        one.write(b"one")
        assert other.read() == b"one"
        one.write(b"one, later")
        finish(store)
        one.drop()
        checkpoints.sweep()  # a third process starts
        assert other.read() == b"one, later"
        other.drop()
    assert left(store) == []


def test_who_stops_leaves_the_checkpoint_and_no_lease(store):
    with Checkpoints(store).for_trial(KEY) as stopped:
        stopped.write(b"half")
    assert left(store) == [f"{KEY}.safetensors"]
    with Checkpoints(store).for_trial(KEY) as resumed:
        assert resumed.read() == b"half"
        resumed.drop()
    assert left(store) == []


def test_a_trial_without_a_checkpoint_takes_no_lease(store):
    with Checkpoints(store).for_trial(KEY) as checkpoint:
        assert checkpoint.read() is None
        assert left(store) == []
        checkpoint.drop()


@pytest.mark.parametrize(
    ("age", "stays"), [(MIN_AGE_SECONDS - 60, True), (MIN_AGE_SECONDS + 60, False)]
)
def test_a_checkpoint_in_use_elsewhere_stays_until_its_lease_has_expired(store, age, stays):
    with Checkpoints(store).for_trial(KEY) as checkpoint:
        checkpoint.write(b"state")
        lease_elsewhere(store, age)
        finish(store)
        checkpoint.drop()
        assert bool(Checkpoints(store).keys()) == stays
    Checkpoints(store).sweep()
    assert bool(left(store)) == stays


def test_what_a_killed_process_of_this_machine_held_is_removed_at_once(store, tmp_path):
    dead = dataclasses.replace(Owner.current(), pid=2**22 + 1)
    store.backend.save_shared(f"{FOLDER}/{KEY}-{dead.label()}.lease", b"held\n")
    Checkpoints(store).for_trial(KEY).write(b"state")
    finish(store)
    Checkpoints(store).sweep()
    assert left(store) == []


WRITER = """
import os, sys
from suite.execution.checkpoints import Checkpoints
from suite.results.store import Store
store, key = Store(sys.argv[1]), sys.argv[2]
with Checkpoints(store).for_trial(key) as checkpoint:
    checkpoint.write(b"mine")
    fsync = os.fsync
    def pause(descriptor):
        os.fsync = fsync
        print("half", flush=True)
        sys.stdin.readline()
    os.fsync = pause
    store.write(key, {"record.json": sys.stdin.readline().encode()})
    print("stored", flush=True)
    sys.stdin.readline()
    assert checkpoint.read() == b"mine"
    checkpoint.drop()
"""
SWEEPER = """
import sys
from suite.execution.checkpoints import Checkpoints
from suite.results.store import Store
store, key = Store(sys.argv[1]), sys.argv[2]
store.prepare()
checkpoints = Checkpoints(store)
checkpoints.sweep()
with checkpoints.for_trial(key) as checkpoint:
    assert checkpoint.read() == b"mine"
    checkpoint.drop()
"""


def test_a_container_removes_nothing_of_another_one_that_lives(tmp_path):
    """Two PID namespaces, one host name, one store; the writer's number is unknown to the other."""
    store = Store(tmp_path / "results")
    store.prepare()
    record = done(TRIAL).to_json().decode().replace("\n", " ")

    def sweep() -> None:
        with in_new_namespace(SWEEPER, store.root, KEY) as sweeper:
            sweeper.communicate(timeout=300)
        assert sweeper.returncode == 0

    with in_new_namespace(WRITER, store.root, KEY, later=True) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        writer.stdin.write(record + "\n")
        writer.stdin.flush()
        assert writer.stdout.readline() == "half\n"
        sweep()
        assert len(list(store.trials.glob(".new-*"))) == 1
        writer.stdin.write("\n")
        writer.stdin.flush()
        assert writer.stdout.readline() == "stored\n"
        sweep()  # there is a record now
        writer.communicate("\n", timeout=300)
    assert writer.returncode == 0
    assert store.keys() == [KEY]
    assert left(store) == []
    assert list(store.trials.glob(".*")) == []
