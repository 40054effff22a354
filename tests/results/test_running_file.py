"""The file of a trial that is being trained: written by one process, read by others."""

import dataclasses
import json
import os
import subprocess
import sys
import time

import pytest

from suite.core.leases import Owner
from suite.results.running_file import (
    MAX_SILENT_SECONDS,
    RunningFile,
    RunningFileReader,
    live_headings,
    running_path,
    sweep,
)
from suite.results.store import Store

KEY = "0123456789abcdef"
ABOUT = {
    "key": KEY,
    "task": "digits/mlp",
    "method": "rigl",
    "sparsity": 0.9,
    "seed": 0,
    "title": "digits/mlp rigl s=0.9 seed=0",
    "steps": 100,
    "started": 1.0,
    "configuration": {"recipe": {"epochs": 2}},
}


def begun(root) -> RunningFile:
    file = RunningFile(root, KEY)
    file.begin(**ABOUT)
    return file


def edit_heading(root, **changes: object) -> None:
    path = running_path(root, KEY)
    heading, *rest = path.read_text().splitlines(keepends=True)
    path.write_text("".join([json.dumps(json.loads(heading) | changes) + "\n", *rest]))


def ended_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_the_file_says_what_is_trained_by_whom_and_then_what_is_appended(tmp_path):
    file = begun(tmp_path)
    file.add(10, 0.5, 1.5, [(0, 10, "train_loss", "", 0, 1.5)])
    ((path, heading),) = live_headings(tmp_path)
    assert (heading.key, heading.steps) == (KEY, 100)
    assert Owner.parse(heading.owner) == Owner.current()
    with RunningFileReader(path) as reader:
        assert reader.read() == [
            {"rows": [[0, 10, "train_loss", "", 0, 1.5]]},
            {"step": 10, "seconds": 0.5, "loss": 1.5},
        ]
    file.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_half_written_last_line_is_left_for_the_next_reading(tmp_path):
    file = begun(tmp_path)
    file.add(1, 0.1, None)
    path = running_path(tmp_path, KEY)
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    with RunningFileReader(path) as reader:
        assert reader.read() == []
        with path.open("ab") as appended:
            appended.write(whole[-5:])
        assert reader.read() == [{"step": 1, "seconds": 0.1, "loss": None}]
        assert reader.read() == []


def test_a_reader_keeps_to_its_attempt_also_when_the_file_is_replaced_or_removed(tmp_path):
    first = begun(tmp_path)
    with RunningFileReader(first.path) as reader:
        first.add(1, 0.1, None)
        assert reader.is_current()
        second = begun(tmp_path)
        second.add(7, 0.7, None)
        assert not reader.is_current()
        assert reader.read() == [{"step": 1, "seconds": 0.1, "loss": None}]
    with RunningFileReader(second.path) as other:
        second.remove()
        assert not other.is_current()
        assert other.read() == [{"step": 7, "seconds": 0.7, "loss": None}]


@pytest.mark.parametrize("at", ["running", f"running/{KEY}.jsonl"])
def test_what_cannot_be_written_is_left_out(tmp_path, at):
    obstacle = tmp_path / at
    if at == "running":
        obstacle.write_text("in the way")
    else:
        obstacle.mkdir(parents=True)
    file = begun(tmp_path)
    file.add(1, 0.1, None)
    file.remove()
    assert obstacle.exists()


def test_after_a_write_that_failed_nothing_more_is_written(tmp_path, monkeypatch):
    file = begun(tmp_path)
    path = running_path(tmp_path, KEY)
    before = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda descriptor, content: 3)
        file.add(1, 0.1, None)
    file.add(2, 0.2, None)
    assert path.read_bytes() == before
    file.remove()
    assert not path.exists()


def test_a_secret_in_the_settings_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setenv("SOME_API_KEY", "0a1b2c3d4e5f6071")
    file = RunningFile(tmp_path, KEY)
    file.begin(**ABOUT | {"configuration": {"path": "/data/0a1b2c3d4e5f6071"}})
    assert b"0a1b2c3d4e5f6071" not in running_path(tmp_path, KEY).read_bytes()


@pytest.mark.parametrize("what", ["ended", "number given to another process"])
def test_a_file_of_a_dead_process_is_not_listed_and_is_swept(tmp_path, what):
    begun(tmp_path)
    change = {"pid": ended_process()} if what == "ended" else {"started": "1"}
    edit_heading(tmp_path, owner=dataclasses.replace(Owner.current(), **change).label())
    assert list(live_headings(tmp_path)) == []
    Store(tmp_path).prepare()
    assert not (tmp_path / "running").exists()


def test_a_file_of_another_machine_counts_while_it_is_written_and_is_swept_after_a_day(tmp_path):
    begun(tmp_path)
    edit_heading(tmp_path, owner=Owner("0a1b2c3d4e5f", ended_process(), "1").label())
    path = running_path(tmp_path, KEY)
    assert len(list(live_headings(tmp_path))) == 1
    for seconds, remains in ((MAX_SILENT_SECONDS, True), (86_401, False)):
        os.utime(path, (time.time() - seconds - 1,) * 2)
        assert list(live_headings(tmp_path)) == []
        sweep(tmp_path)
        assert path.exists() == remains


def test_the_file_of_another_process_that_trains_the_trial_is_not_removed(tmp_path):
    first, second = begun(tmp_path), begun(tmp_path)
    first.remove()
    assert len(list(live_headings(tmp_path))) == 1
    second.remove()
    assert list(tmp_path.iterdir()) == []


def test_the_file_of_a_running_trial_is_not_swept(tmp_path):
    begun(tmp_path)
    sweep(tmp_path)
    assert len(list(live_headings(tmp_path))) == 1


@pytest.mark.parametrize("content", ["", "{", "[]", '{"key": 3}\n', "\xff\xfe"])
def test_a_file_that_cannot_be_read_is_passed_over(tmp_path, content):
    path = running_path(tmp_path, KEY)
    path.parent.mkdir()
    path.write_bytes(content.encode("latin-1"))
    assert list(live_headings(tmp_path)) == []
