"""Who owns a temporary file: what is certain, and what only age can tell."""

import dataclasses
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from suite.core import leases
from suite.core.files import remove_unfinished
from suite.core.leases import (
    MIN_AGE_SECONDS,
    Heartbeat,
    Owner,
    file_system_time,
    is_abandoned,
    temporary_name,
)
from tests.support.pid_namespaces import in_new_namespace

HERE = Owner.current()


def ended() -> Owner:
    process = subprocess.Popen([sys.executable, "-S", "-c", ""])
    process.wait()
    return dataclasses.replace(HERE, pid=process.pid)


def test_a_label_names_its_process_and_is_unique():
    assert Owner.parse(f".new-0123456789abcdef-{HERE.label()}") == HERE
    assert Owner.parse(HERE.label()) == HERE
    assert HERE.label() != HERE.label()
    assert HERE.pid == os.getpid()


@pytest.mark.parametrize(
    "name",
    ["", ".new-host-7-abcd1234", ".new-0123456789ab-7-abcd1234", "study.json", "-" * 9, ".new-"],
)
def test_other_names_have_no_owner(name):
    assert Owner.parse(name) is None


@pytest.mark.parametrize(
    ("owner", "alive"),
    [
        (lambda: HERE, True),
        (ended, False),
        (lambda: dataclasses.replace(HERE, pid=2**63), False),
        (lambda: dataclasses.replace(HERE, started="1"), False),  # the number was given out again
        (lambda: dataclasses.replace(HERE, started=""), None),
        (lambda: dataclasses.replace(HERE, place="0a1b2c3d4e5f"), None),
        (lambda: dataclasses.replace(ended(), place="0a1b2c3d4e5f"), None),
        (lambda: dataclasses.replace(ended(), place="0" * 12), None),  # /proc was no help
    ],
)
def test_a_process_is_gone_only_where_that_is_certain(owner, alive):
    assert owner().is_alive() is alive


def test_another_boot_is_another_place(monkeypatch):
    read = Path.read_text
    before = Owner.current().place
    monkeypatch.setattr(
        Path,
        "read_text",
        lambda self: "another boot" if self.name == "boot_id" else read(self),
    )
    assert Owner.current().place not in (before, "0" * 12)


@pytest.mark.parametrize("missing", ["self", "pid"])
def test_without_a_proc_of_its_own_a_process_knows_nothing_for_sure(monkeypatch, missing):
    read = Path.readlink

    def other(self: Path) -> Path:
        if self.name != missing:
            return read(self)
        if missing == "self":  # that of another namespace
            return Path("1234567")
        raise FileNotFoundError

    monkeypatch.setattr(Path, "readlink", other)
    assert Owner.current().place == "0" * 12
    assert Owner.current().is_alive() is None


def test_age_counts_only_where_nothing_is_certain():
    elsewhere = dataclasses.replace(HERE, place="0a1b2c3d4e5f")
    old, young = MIN_AGE_SECONDS + 1, MIN_AGE_SECONDS - 1
    for owner, silent, abandoned in (
        (HERE, old, False),
        (ended(), young, True),
        (elsewhere, young, False),
        (elsewhere, old, True),
    ):
        name = f".new-{owner.label()}"
        assert is_abandoned(name, lambda silent=silent: silent) is abandoned
    assert is_abandoned(".new-host-7-abcd1234", lambda: old)


def test_the_time_of_a_file_system_is_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 0.0)
    times = []
    for name in ("before", "after"):
        (tmp_path / name).touch()
        times += [(tmp_path / name).stat().st_mtime, file_system_time(tmp_path)]
    assert times == sorted(times)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["after", "before"]


def test_unfinished_files_are_removed_unless_they_may_be_in_work(tmp_path):
    elsewhere = dataclasses.replace(HERE, place="0a1b2c3d4e5f")
    kept = [tmp_path / temporary_name(), tmp_path / f".new-{elsewhere.label()}"]
    removed = [tmp_path / f".new-{ended().label()}", tmp_path / f".new-{elsewhere.label()}"]
    for path in kept + removed:
        path.write_bytes(b"half")
    os.utime(removed[1], (time.time() - MIN_AGE_SECONDS - 60,) * 2)
    os.utime(kept[0], (0, 0))
    remove_unfinished(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(kept)


def test_a_heart_beats_until_it_is_stopped_whatever_the_beat_raises():
    beats = threading.Semaphore(0)

    def beat() -> None:
        beats.release()
        raise OSError

    heart = Heartbeat(beat, seconds=0.001)
    for _ in range(3):
        assert beats.acquire(timeout=300)
    heart.stop()
    assert not heart._thread.is_alive()


def test_a_process_of_another_pid_namespace_is_not_judged_by_its_number(tmp_path):
    code = "from suite.core.leases import Owner; print(Owner.current().label())"
    with in_new_namespace(code) as process:
        label, _ = process.communicate(timeout=300)
    owner = Owner.parse(label.strip())
    assert owner is not None
    assert owner.place not in (HERE.place, leases._UNKNOWN)
    assert owner.is_alive() is None
