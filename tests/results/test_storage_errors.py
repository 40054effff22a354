"""An error of the file system is one line, in whichever operation it occurs."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from suite.core.errors import InvalidInput
from suite.results.storage_backend import StorageBackend, StoreUnusable
from suite.results.storage_errors import ADVICE, OTHERWISE
from tests.results.damage import KEY, put

READING: dict[str, Callable[[StorageBackend], object]] = {
    "keys": lambda b: b.keys(),
    "names": lambda b: b.names(KEY, None),
    "load": lambda b: b.load(KEY, "curves.parquet", None),
    "load_records": lambda b: list(b.load_records([KEY])),
    "versions": lambda b: b.versions(),
    "leftovers": lambda b: b.leftovers({}),
    "load_shared": lambda b: b.load_shared("study/one.json"),
    "shared_names": lambda b: b.shared_names("study"),
    "silent_seconds": lambda b: b.silent_seconds("study/one.json"),
}
WRITING: dict[str, Callable[[StorageBackend], object]] = {
    "prepare": lambda b: b.prepare(),
    "write": lambda b: b.write(KEY, {"record.json": b"{}"}, "0" * 64),
    "remove": lambda b: b.remove(KEY),
    "remove_leftovers": lambda b: b.remove_leftovers({}),
    "save_shared": lambda b: b.save_shared("study/one.json", b"{}"),
    "remove_shared": lambda b: b.remove_shared("study/one.json"),
}


def failing(number: int) -> Callable[..., None]:
    def fail(*arguments: object, **options: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def break_disk(patch: pytest.MonkeyPatch, number: int) -> None:
    for name in ("open", "scandir", "listdir", "lstat", "fsync"):
        patch.setattr(os, name, failing(number))
    for name in ("mkdir", "open", "rename", "unlink"):
        patch.setattr(Path, name, failing(number))


@pytest.mark.parametrize("number", [*ADVICE, errno.ENXIO])
def test_every_operation_says_what_failed_and_what_to_do(store, monkeypatch, number):
    put(store)
    store.backend.save_shared("study/one.json", b"{}")
    reading = READING if number != errno.ENOTDIR else {}  # no folder: there are no trials
    for operations, refusal in ((reading, InvalidInput), (WRITING, StoreUnusable)):
        for name, operation in operations.items():
            with monkeypatch.context() as patch:
                break_disk(patch, number)
                if name == "versions":  # reading the record says why, and costs one trial
                    patch.undo()
                    patch.setattr(os, "lstat", failing(number))
                    assert list(store.backend.versions().values()) == [f"unreadable-{number}"]
                    continue
                with pytest.raises(refusal) as found:
                    operation(store.backend)
            message = str(found.value)
            assert "\n" not in message, name
            assert f"({os.strerror(number)}): {ADVICE.get(number, OTHERWISE)}" in message, name
            assert str(store.root) in message, name


def test_a_sweep_of_shared_files_leaves_what_it_cannot_remove(store, monkeypatch):
    store.backend.save_shared("study/one.json", b"{}")
    with monkeypatch.context() as patch:
        break_disk(patch, errno.EIO)
        store.backend.sweep_shared("study")
    assert store.backend.shared_names("study") == ["one.json"]


@pytest.mark.parametrize(("times", "read"), [(1, True), (2, False)])
def test_what_a_file_server_calls_stale_is_opened_again_once(store, monkeypatch, times, read):
    put(store)
    real, left = os.open, [times]

    def stale(path: str, *given: int) -> int:
        if str(path).endswith("record.json") and left[0]:
            left[0] -= 1
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return real(path, *given)

    monkeypatch.setattr(os, "open", stale)
    if read:
        assert store.read(KEY) is not None
        return
    with pytest.raises(InvalidInput, match="Stale file handle"):
        store.read(KEY)
