import dataclasses
import errno
import os
import re
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import suite.results.store as store_module
from suite.core.errors import InvalidInput
from suite.core.leases import MIN_AGE_SECONDS, Owner
from suite.results.record import checksum_files
from suite.results.store import Store, StoreUnusable
from tests.support.sample_records import done, make_trial

KEY = "0123456789abcdef"


@pytest.fixture
def store(tmp_path) -> Store:
    store = Store(tmp_path / "results")
    store.prepare()
    return store


def files(note: str, companions: int = 0, key: str = KEY) -> dict[str, bytes]:
    """Return a trial's files: a record that carries `note`, and files that repeat it."""
    record = done(make_trial()).model_copy(update={"notes": [note], "key": key})
    extra = {f"{number}.txt": note.encode() for number in range(companions)}
    return {**extra, "record.json": record.to_json()}


def notes(store: Store, key: str = KEY) -> list[str]:
    record = store.read(key)
    assert record is not None
    return record.notes


def everything(store: Store) -> list[str]:
    return sorted(path.name for path in store.trials.iterdir())


ELSEWHERE = Owner("0a1b2c3d4e5f", 7, "1234")
"""A process of another machine, of another container, or from before this machine was booted."""


def dead() -> Owner:
    process = subprocess.Popen([sys.executable, "-S", "-c", ""])
    process.wait()
    return dataclasses.replace(Owner.current(), pid=process.pid)


def reused() -> Owner:
    """Return a process that has ended, whose number another one has now."""
    return dataclasses.replace(Owner.current(), started="1")


def living() -> Owner:
    return Owner.current()


def leftover(
    store: Store, kind: str, owner: Owner, note: str, age: float = 0, written: float = 0
) -> Path:
    """Make what a killed process leaves; it was last written to `age` seconds ago."""
    folder = store.trials / f".{kind}-{KEY}-{owner.label()}"
    folder.mkdir(parents=True)
    for name, content in checksum_files(files(note))[0].items():
        (folder / name).write_bytes(content)
        os.utime(folder / name, (time.time() - max(age, written),) * 2)
    os.utime(folder, (time.time() - age,) * 2)
    return folder


def test_what_is_written_is_read_back(store):
    trial = make_trial()
    store.write(trial.key, {"record.json": done(trial).to_json(), "curves.parquet": b"PAR1"})
    record = store.read(trial.key)
    assert record is not None
    assert record.key == trial.key
    assert (store.folder(trial.key) / "curves.parquet").read_bytes() == b"PAR1"
    assert [r.key for r in store.records()] == [trial.key]
    assert everything(store) == [trial.key]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_all_records_are_read_whatever_the_size_of_a_batch(store, monkeypatch, size):
    monkeypatch.setattr(store_module, "BATCH_SIZE", size)
    for seed in range(5):
        trial = make_trial(seed=seed)
        store.write(trial.key, {"record.json": done(trial).to_json()})
    assert [record.key for record in store.records()] == store.keys()
    assert len(store.keys()) == 5


def test_what_was_never_written_is_not_there(store):
    assert store.read(KEY) is None
    assert store.keys() == []
    assert list(store.records()) == []
    assert Store(store.root / "nowhere").keys() == []


def test_a_trial_written_again_replaces_all_of_the_older_one(store):
    store.write(KEY, files("old", companions=3))
    store.write(KEY, files("new", companions=1))
    assert notes(store) == ["new"]
    assert sorted(path.name for path in store.folder(KEY).iterdir()) == ["0.txt", "record.json"]
    assert everything(store) == [KEY]


def no_space(*arguments: object, **options: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("where", ["fsync", "rename", "mkdir"])
def test_a_full_disk_leaves_nothing_half_written(store, monkeypatch, where):
    owner = os if where == "fsync" else Path
    monkeypatch.setattr(owner, where, no_space)
    with pytest.raises(StoreUnusable, match=r"cannot be written \(No space left on device\)"):
        store.write(KEY, files("new"))
    monkeypatch.undo()
    assert everything(store) == []
    assert store.read(KEY) is None


def test_a_full_disk_leaves_the_older_result_of_a_trial_as_it_was(store, monkeypatch):
    store.write(KEY, files("old"))
    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(StoreUnusable):
        store.write(KEY, files("new"))
    assert notes(store) == ["old"]
    assert everything(store) == [KEY]


@pytest.mark.parametrize("name", ["", "trials"])
def test_a_store_whose_place_is_taken_by_a_file_is_unusable(tmp_path, name):
    place = tmp_path / "results" / name
    place.parent.mkdir(exist_ok=True)
    place.write_text("not a folder")
    with pytest.raises(StoreUnusable, match="choose another folder with --store"):
        Store(tmp_path / "results").prepare()
    assert place.read_text() == "not a folder"


def test_a_store_that_cannot_be_written_to_is_unusable_before_anything_runs(store, monkeypatch):
    def read_only(*arguments: object, **options: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "mkdir", read_only)
    with pytest.raises(StoreUnusable, match="Read-only file system"):
        store.prepare()


def test_preparing_a_store_changes_nothing_in_it(store):
    store.write(KEY, files("kept"))
    store.prepare()
    assert everything(store) == [KEY]
    assert notes(store) == ["kept"]


def test_a_damaged_record_is_refused_with_its_place(store):
    store.write(KEY, files("cut"))
    path = store.folder(KEY) / "record.json"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InvalidInput, match=f"{KEY}/record.json is not a record"):
        store.read(KEY)


def test_files_without_a_record_are_not_written(store):
    with pytest.raises(ValueError, match="without a record"):
        store.write(KEY, {"error.txt": b"?"})
    assert everything(store) == []


def test_a_folder_without_a_record_is_no_result(store):
    store.folder(KEY).mkdir()
    (store.folder(KEY) / "error.txt").write_text("?")
    assert store.read(KEY) is None
    assert list(store.records()) == []


# ---------------------------------------------------------------- leftovers of killed processes


def test_what_is_being_written_is_not_a_key(store):
    store.write(KEY, files("done"))
    leftover(store, "new", living(), "half")
    assert store.keys() == [KEY]
    assert [record.notes for record in store.records()] == [["done"]]


@pytest.mark.parametrize("owner", [dead, reused])
def test_what_a_killed_process_left_half_written_is_cleared_at_once(store, owner):
    leftover(store, "new", owner(), "half")
    store.prepare()
    assert everything(store) == []


def test_what_a_killed_process_had_moved_away_is_put_back(store):
    leftover(store, "old", dead(), "older")
    leftover(store, "new", dead(), "half")
    store.prepare()
    assert everything(store) == [KEY]
    assert notes(store) == ["older"]


def test_of_several_that_were_moved_away_the_newest_is_put_back(store):
    for note, seconds in (("second", 50), ("newest", 40), ("oldest", 60)):
        leftover(store, "old", dead(), note, written=seconds)
    store.prepare()
    assert everything(store) == [KEY]
    assert notes(store) == ["newest"]


def test_nothing_is_put_back_while_a_living_process_replaces_the_trial(store):
    moved = [
        leftover(store, "old", living(), "newest", written=40),
        leftover(store, "old", dead(), "older", written=50),
    ]
    store.prepare()
    assert everything(store) == sorted(path.name for path in moved)


def test_what_was_moved_away_and_replaced_is_cleared(store):
    store.write(KEY, files("newer"))
    leftover(store, "old", dead(), "older")
    store.prepare()
    assert everything(store) == [KEY]
    assert notes(store) == ["newer"]


def test_what_was_moved_away_is_kept_where_no_record_has_taken_its_place(store):
    (store.folder(KEY) / "half a copy").mkdir(parents=True)
    folder = leftover(store, "old", dead(), "older")
    store.prepare()
    assert everything(store) == sorted([folder.name, KEY])


@pytest.mark.parametrize("kind", ["new", "old"])
@pytest.mark.parametrize(
    ("owner", "age", "stays"),
    [
        (living(), 30 * 86_400, True),
        (ELSEWHERE, MIN_AGE_SECONDS - 60, True),
        (ELSEWHERE, MIN_AGE_SECONDS + 60, False),
    ],
)
def test_what_may_be_in_work_is_left_alone(store, kind, owner, age, stays):
    folder = leftover(store, kind, owner, "in work", age)
    store.prepare()
    left = [folder.name] if stays else [KEY] if kind == "old" else []
    assert everything(store) == left


def test_a_folder_counts_as_written_to_while_one_of_its_files_is(store):
    folder = leftover(store, "new", ELSEWHERE, "in work", MIN_AGE_SECONDS + 60)
    os.utime(folder / "record.json")
    store.prepare()
    assert everything(store) == [folder.name]


@pytest.mark.parametrize("ahead", [-1, 1])
def test_a_clock_that_is_wrong_by_days_expires_nothing(store, monkeypatch, ahead):
    folder = leftover(store, "new", ELSEWHERE, "in work", MIN_AGE_SECONDS - 60)
    old = leftover(store, "new", ELSEWHERE, "abandoned", MIN_AGE_SECONDS + 60)
    wrong = time.time() + ahead * 3 * 86_400
    monkeypatch.setattr(time, "time", lambda: wrong)
    store.prepare()
    assert everything(store) == [folder.name]
    assert not old.exists()


@pytest.mark.parametrize("name", [f".new-{KEY}-host-7-abcd1234", ".new-host-7-abcd1234"])
def test_what_earlier_versions_left_is_cleared_by_its_age(store, name):
    folder = store.trials / name
    folder.mkdir()
    store.prepare()
    assert folder.exists()
    os.utime(folder, (time.time() - MIN_AGE_SECONDS - 60,) * 2)
    store.prepare()
    assert everything(store) == []


def test_a_trial_is_moved_away_with_a_new_age_so_that_others_leave_it_alone(store, monkeypatch):
    store.write(KEY, files("old"))
    os.utime(store.folder(KEY), (0, 0))
    times: list[float] = []
    rename = Path.rename

    def look(self: Path, target: Path) -> Path:
        moved = rename(self, target)
        if target.name.startswith(".old-"):
            times.append(target.stat().st_mtime)
        return moved

    monkeypatch.setattr(Path, "rename", look)
    probe = store.root / "probe"
    probe.touch()
    store.write(KEY, files("new"))
    (moved_at,) = times
    assert moved_at >= probe.stat().st_mtime


def test_a_writer_whose_folder_was_taken_for_abandoned_writes_again(store, monkeypatch):
    fsync, swept = os.fsync, []

    def sweep_once(descriptor: int) -> None:
        fsync(descriptor)
        if not swept:
            (folder,) = store.trials.glob(".new-*")
            swept.append(folder.rename(folder.with_name(".new-away")))

    monkeypatch.setattr(os, "fsync", sweep_once)
    store.write(KEY, files("new", companions=2))
    assert notes(store) == ["new"]
    assert everything(store) == [".new-away", KEY]
    assert len(list(store.folder(KEY).iterdir())) == 3


# ---------------------------------------------------------------- durability


def test_files_and_folder_are_on_the_disk_before_a_record_is_visible_and_its_name_is_then(
    tmp_path, monkeypatch
):
    """The order is what counts: after a power failure there is all of a trial or none of it."""
    done: list[str] = []
    fsync, rename, mkdir = os.fsync, Path.rename, Path.mkdir

    def name(path: str | Path) -> str:
        relative = os.path.relpath(path, tmp_path)
        return re.sub(rf"\.(new|old)-{KEY}-[^/]*", r"\1", relative)

    def record_fsync(descriptor: int) -> None:
        fsync(descriptor)
        done.append(f"fsync {name(Path(f'/proc/self/fd/{descriptor}').readlink())}")

    def record_rename(self: Path, target: Path) -> Path:
        done.append(f"rename {name(self)} {name(target)}")
        return rename(self, target)

    def record_mkdir(self: Path, *given: Any, **options: Any) -> None:
        mkdir(self, *given, **options)
        done.append(f"mkdir {name(self)}")

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(Path, "rename", record_rename)
    monkeypatch.setattr(Path, "mkdir", record_mkdir)
    store = Store(tmp_path / "a" / "results")
    store.write(KEY, files("first", companions=1))
    folders = ["a", "a/results", "a/results/trials"]
    made = [f"{step}" for f in folders for step in (f"mkdir {f}", f"fsync {Path(f).parent}")]
    trials = "a/results/trials"
    written = [f"mkdir {trials}/new"]
    written += [f"fsync {trials}/new/{file}" for file in ("0.txt", "record.json", "")]
    written = [step.removesuffix("/") for step in written]
    placed = [f"rename {trials}/new {trials}/{KEY}"]
    assert done == [*made, *written, *placed, f"fsync {trials}"]

    done.clear()
    store.write(KEY, files("second", companions=1))
    moved = [f"rename {trials}/{KEY} {trials}/old"]
    removed = [f"rename {trials}/old {trials}/new"]
    assert done == [*written, *placed, *moved, *placed, f"fsync {trials}", *removed]

    done.clear()
    store.backend.save_shared("study/one.json", b"{}")
    synced = [step for step in done if step.startswith("fsync")]
    assert synced[0] == "fsync a/results"
    assert synced[1].startswith("fsync a/results/study/.new-")
    assert synced[2:] == ["fsync a/results/study"]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP])
def test_a_file_system_that_cannot_sync_folders_is_used_as_it_is(store, monkeypatch, number):
    fsync = os.fsync

    def no_folders(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", no_folders)
    store.write(KEY, files("new"))
    assert notes(store) == ["new"]


# ---------------------------------------------------------------- several at once


def test_a_trial_that_is_being_written_is_not_seen(store, monkeypatch):
    seen: list[Any] = []

    def look(descriptor: int) -> None:
        seen.append((store.keys(), store.read(KEY), list(store.records())))

    monkeypatch.setattr(os, "fsync", look)
    store.write(KEY, files("new", companions=3))
    before = [([], None, [])] * 5  # four files and their folder
    assert seen[:-1] == before
    assert seen[-1][0] == [KEY]


def test_a_trial_that_is_being_rewritten_is_seen_as_it_was(store, monkeypatch):
    store.write(KEY, files("old", companions=3))
    seen: list[object] = []
    monkeypatch.setattr(os, "fsync", lambda _: seen.append((store.keys(), notes(store))))
    store.write(KEY, files("new", companions=1))
    assert seen == [([KEY], ["old"])] * 3 + [([KEY], ["new"])]


def test_readers_find_all_files_of_every_trial_they_find_while_others_are_written(store):
    expected = sorted(files("", companions=5))
    trouble: list[str] = []
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            found_keys = store.keys()
            for key in found_keys:
                found = sorted(path.name for path in store.folder(key).iterdir())
                if found != expected or notes(store, key) != [key]:
                    trouble.append(f"{key}: {found}")

    reader = threading.Thread(target=look)
    reader.start()
    for number in range(60):
        key = f"{number:016x}"
        store.write(key, files(key, companions=5, key=key))
    over.set()
    reader.join()
    assert trouble == []
    assert len(store.keys()) == 60


def test_a_reader_finds_a_whole_record_or_none_while_it_is_rewritten(store):
    trouble: list[str] = []
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            try:
                store.read(KEY)
                list(store.records())
            except InvalidInput as error:
                trouble.append(str(error))

    reader = threading.Thread(target=look)
    reader.start()
    for number in range(100):
        store.write(KEY, files(str(number)))
    over.set()
    reader.join()
    assert trouble == []
    assert notes(store) == ["99"]


def test_trials_written_at_the_same_time_are_all_kept(store):
    keys = [f"{number:016x}" for number in range(40)]
    threads = [
        threading.Thread(
            target=lambda part: [store.write(k, files(k, key=k)) for k in part], args=(part,)
        )
        for part in (keys[::2], keys[1::2])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.keys() == keys
    assert [record.notes for record in store.records()] == [[key] for key in keys]
