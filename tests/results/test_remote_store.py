"""The guarantees of a store under a URL: on an object store (memory://) and on one that renames."""

import json
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from suite.core.errors import InvalidInput
from suite.results.merge import merge
from suite.results.record_index import FOLDER, write_index
from suite.results.remote_store import RemoteStore
from suite.results.storage_backend import StoreUnusable
from suite.results.store import Store
from suite.results.verify import verify
from tests.support.sample_records import done, make_trial

TRIAL = make_trial()
KEY = TRIAL.key


class Share(LocalFileSystem):
    """A network share: files are written in place, and can be renamed."""

    protocol = "share"

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        return super()._strip_protocol(str(path).removeprefix("share://"))


class Plain(fsspec.AbstractFileSystem):
    """Something that can neither write a file in one go nor rename one."""

    protocol = "plain"


fsspec.register_implementation("share", Share, clobber=True)
fsspec.register_implementation("plain", Plain, clobber=True)


@pytest.fixture(params=["memory", "share"])
def store(request, tmp_path) -> Iterator[Store]:
    """Return an empty store on each kind of file system."""
    name = uuid.uuid4().hex
    url = f"memory://{name}/results" if request.param == "memory" else f"share://{tmp_path}/r"
    store = Store(url)
    store.prepare()
    yield store
    for path in [p for p in MemoryFileSystem.store if name in p]:
        del MemoryFileSystem.store[path]


def files(note: str, companions: int = 2) -> dict[str, bytes]:
    record = done(TRIAL).model_copy(update={"notes": [note]})
    extra = {f"{number}.txt": note.encode() for number in range(companions)}
    return {**extra, "record.json": record.to_json()}


def filesystem(store: Store) -> Any:
    assert isinstance(store.backend, RemoteStore)
    return store.backend._fs


def whole(store: Store) -> str:
    """Return the note of the trial, which all its files must repeat."""
    record = store.read(KEY)
    assert record is not None
    assert record.integrity is not None
    (note,) = record.notes
    for name in record.integrity.files:
        assert store.load(KEY, name) == note.encode(), name
    return note


def test_what_is_written_is_read_back(store):
    assert not store.local
    assert store.keys() == []
    assert store.read(KEY) is None
    store.write(KEY, files("first"))
    assert store.keys() == [KEY]
    assert whole(store) == "first"
    assert [r.key for r in store.records()] == [KEY]
    assert store.read(KEY).to_json() == files("first")["record.json"]
    with pytest.raises(FileNotFoundError):
        store.load(KEY, "error.txt")


def test_a_store_opened_by_its_location_is_the_same_store(store):
    store.write(KEY, files("first"))
    assert whole(Store(store.location)) == "first"
    assert store.where(KEY) == f"{store.location}/trials/{KEY}"


def test_preparing_leaves_nothing_behind(store):
    store.prepare()
    assert filesystem(store).find(store.backend._root) == []


def test_readers_see_nothing_or_the_whole_trial_while_it_is_written(store, monkeypatch):
    """Look after every single request of a first write and of a rewrite."""
    seen: list[str | None] = []
    put = RemoteStore._put

    def look(self: RemoteStore, path: str, content: bytes) -> None:
        seen.append(whole(store) if store.read(KEY) is not None else None)
        put(self, path, content)
        seen.append(whole(store) if store.read(KEY) is not None else None)

    monkeypatch.setattr(RemoteStore, "_put", look)
    store.write(KEY, files("old", companions=3))
    assert seen == [None] * 7 + ["old"]
    seen.clear()
    store.write(KEY, files("new", companions=1))
    assert seen == ["old"] * 3 + ["new"]


@pytest.mark.parametrize("requests", range(3))
def test_a_writer_killed_between_two_requests_leaves_the_older_result(store, monkeypatch, requests):
    store.write(KEY, files("old"))
    put, left = RemoteStore._put, [requests]

    def die(self: RemoteStore, path: str, content: bytes) -> None:
        if left[0] == 0:
            raise KeyboardInterrupt
        left[0] -= 1
        put(self, path, content)

    monkeypatch.setattr(RemoteStore, "_put", die)
    with pytest.raises(KeyboardInterrupt):
        store.write(KEY, files("new"))
    monkeypatch.undo()
    assert whole(store) == "old"
    assert verify(store).broken == []


def test_of_many_writers_of_one_trial_one_whole_result_remains(store):
    trouble: list[BaseException] = []
    over = threading.Event()

    def write(name: str) -> None:
        try:
            for number in range(15):
                store.write(KEY, files(f"{name}{number}", companions=3))
        except BaseException as error:
            trouble.append(error)

    def look() -> None:
        while not over.is_set():
            try:
                if store.read(KEY) is not None:
                    whole_at_once(store)
            except BaseException as error:
                trouble.append(error)

    writers = [threading.Thread(target=write, args=(name,)) for name in "abc"]
    reader = threading.Thread(target=look)
    reader.start()
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    over.set()
    reader.join()
    assert trouble == []
    assert whole(store) in {f"{name}14" for name in "abc"}
    assert verify(store).broken == []


def whole_at_once(store: Store) -> None:
    """Check one record against its own files, whichever record stands by now."""
    record = store.read(KEY)
    assert record is not None
    assert record.integrity is not None
    for name in record.integrity.files:
        content = store.backend.load(KEY, name, record.integrity.digest)
        assert content == record.notes[0].encode()


def test_a_file_system_that_fails_is_answered_in_one_line(store, monkeypatch):
    store.write(KEY, files("old"))

    def refuse(*given: object, **more: object) -> None:
        raise RuntimeError("AccessDenied:\nno rights for token=0a1b2c3d4e5f6071")

    monkeypatch.setenv("AWS_SESSION_TOKEN", "0a1b2c3d4e5f6071")
    monkeypatch.setattr(type(filesystem(store)), "pipe_file", refuse)
    with pytest.raises(StoreUnusable, match=r"cannot be written to \(AccessDenied") as found:
        store.write(KEY, files("new"))
    assert "\n" not in str(found.value)
    assert "0a1b2c3d4e5f6071" not in str(found.value)
    monkeypatch.setattr(type(filesystem(store)), "cat_file", refuse)
    with pytest.raises(InvalidInput, match="cannot be read"):
        store.read(KEY)


def test_a_store_under_a_url_has_no_local_folder(store):
    for use in (lambda: store.root, lambda: store.trials, lambda: store.folder(KEY)):
        with pytest.raises(InvalidInput, match="is not a folder.*store merge"):
            use()


def test_what_was_replaced_is_removed_a_day_later_and_not_before(store, monkeypatch):
    store.write(KEY, files("old", companions=2))
    store.write(KEY, files("new", companions=1))
    assert [f.kind for f in verify(store).findings] == ["leftover", "leftover"]
    assert write_index(store.backend).removed == 0
    import suite.results.remote_store as module

    monkeypatch.setattr(module, "MIN_AGE", -module.MIN_AGE)  # as if a day had passed
    assert write_index(store.backend).removed == 2
    assert verify(store).findings == []
    assert whole(store) == "new"


def test_a_local_store_copied_to_a_bucket_as_it_is_can_be_read(store, tmp_path):
    local = Store(tmp_path / "local")
    local.prepare()
    local.write(KEY, files("copied"))
    target = filesystem(store)
    target.makedirs(f"{store.backend._trials}/{KEY}", exist_ok=True)
    for path in local.folder(KEY).iterdir():
        target.pipe_file(f"{store.backend._trials}/{KEY}/{path.name}", path.read_bytes())
    assert whole(store) == "copied"
    assert verify(store).findings == []


def test_a_bucket_copied_to_a_folder_as_it_is_can_be_read(store, tmp_path):
    store.write(KEY, files("copied"))
    source = filesystem(store)
    for path in source.find(store.backend._trials):
        target = tmp_path / "local" / "trials" / path.split("/trials/")[1]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.cat_file(path))
    local = Store(tmp_path / "local")
    assert whole(local) == "copied"
    assert verify(local).findings == []


def test_a_local_store_and_one_under_a_url_can_be_joined_both_ways(store, tmp_path):
    local = Store(tmp_path / "local")
    local.prepare()
    local.write(KEY, files("local"))
    assert merge(local, store).added == [KEY]
    assert whole(store) == "local"
    back = Store(tmp_path / "back")
    assert merge(store, back).added == [KEY]
    assert (back.folder(KEY) / "record.json").read_bytes() == (
        local.folder(KEY) / "record.json"
    ).read_bytes()
    assert merge(back, store).same == [KEY]


def test_records_are_read_from_the_compacted_file_only_while_they_are_current(store):
    store.write(KEY, files("first"))
    write_index(store.backend)
    assert len(filesystem(store).ls(f"{store.backend._root}/{FOLDER}", detail=False)) == 1
    store.write(KEY, files("second"))
    assert [r.notes for r in store.records()] == [["second"]]
    other = make_trial(seed=1)
    store.write(other.key, {"record.json": done(other).to_json()})
    assert sorted(r.key for r in store.records()) == sorted([KEY, other.key])


def test_a_truncated_object_is_found_and_not_served(store):
    store.write(KEY, files("first"))
    path = f"{store.backend._trials}/{KEY}/record.json"
    filesystem(store).pipe_file(path, filesystem(store).cat_file(path)[:50])
    with pytest.raises(InvalidInput, match="is not a record"):
        store.read(KEY)
    assert [f.kind for f in verify(store).broken] == ["truncated"]


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("nonsense://x", "cannot be opened"),
        ("plain://r", "can neither write"),
        ("simplecache::memory://x", "chained"),
        ("ftp://user:pa55word@host/r", "has a password in it"),
    ],
)
def test_a_url_that_cannot_keep_the_promise_is_refused(url, why):
    with pytest.raises(InvalidInput, match=why) as found:
        Store(url)
    assert "\n" not in str(found.value)
    assert "pa55word" not in str(found.value)


def test_a_url_of_a_folder_is_that_folder(tmp_path):
    store = Store(f"file://{tmp_path}/r")
    store.prepare()
    assert store.local
    assert store.root == tmp_path / "r"


def test_the_command_takes_a_url(resonance):
    url = f"memory://{uuid.uuid4().hex}"
    result = resonance("run digits/mlp static --recipe epochs=1 --json --store", url)
    assert result.code == 0, result.err
    key = json.loads(result.out)["key"]
    assert Store(url).keys() == [key]
    assert resonance("store verify --store", url).out.startswith(f"store {url}: 1 of 1")
