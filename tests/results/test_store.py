import errno
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import suite.results.store as store_module
from suite.core.errors import InvalidInput
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


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-S", "-c", ""])
    process.wait()
    return process.pid


def leftover(store: Store, kind: str, pid: int, note: str, host: str = "") -> Path:
    folder = store.trials / f".{kind}-{KEY}-{host or socket.gethostname()}-{pid}-abcd1234"
    folder.mkdir(parents=True)
    for name, content in checksum_files(files(note))[0].items():
        (folder / name).write_bytes(content)
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
    leftover(store, "new", os.getpid(), "half")
    assert store.keys() == [KEY]
    assert [record.notes for record in store.records()] == [["done"]]


def test_what_a_killed_process_left_half_written_is_cleared(store):
    leftover(store, "new", dead_pid(), "half")
    store.prepare()
    assert everything(store) == []


def test_what_a_killed_process_had_moved_away_is_put_back(store):
    leftover(store, "old", dead_pid(), "older")
    leftover(store, "new", dead_pid(), "half")
    store.prepare()
    assert everything(store) == [KEY]
    assert notes(store) == ["older"]


def test_what_was_moved_away_and_replaced_is_cleared(store):
    store.write(KEY, files("newer"))
    leftover(store, "old", dead_pid(), "older")
    store.prepare()
    assert everything(store) == [KEY]
    assert notes(store) == ["newer"]


@pytest.mark.parametrize("kind", ["new", "old"])
def test_what_a_living_process_is_writing_is_left_alone(store, kind):
    folder = leftover(store, kind, os.getppid(), "in work")
    store.prepare()
    assert everything(store) == [folder.name]


@pytest.mark.parametrize("kind", ["new", "old"])
def test_what_another_machine_is_writing_is_left_alone(store, kind):
    folder = leftover(store, kind, dead_pid(), "in work", host="another-host-7")
    store.prepare()
    assert everything(store) == [folder.name]


def test_leftovers_are_told_apart_on_a_machine_with_dashes_in_its_name(store, monkeypatch):
    monkeypatch.setattr(socket, "gethostname", lambda: "my-host-2")
    leftover(store, "new", dead_pid(), "half", host="my-host-2")
    store.prepare()
    assert everything(store) == []


# ---------------------------------------------------------------- several at once


def test_a_trial_that_is_being_written_is_not_seen(store, monkeypatch):
    seen: list[object] = []

    def look(descriptor: int) -> None:
        seen.append((store.keys(), store.read(KEY), list(store.records())))

    monkeypatch.setattr(os, "fsync", look)
    store.write(KEY, files("new", companions=3))
    assert seen == [([], None, [])] * 4


def test_a_trial_that_is_being_rewritten_is_seen_as_it_was(store, monkeypatch):
    store.write(KEY, files("old", companions=3))
    seen: list[object] = []
    monkeypatch.setattr(os, "fsync", lambda _: seen.append((store.keys(), notes(store))))
    store.write(KEY, files("new", companions=1))
    assert seen == [([KEY], ["old"])] * 2


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
