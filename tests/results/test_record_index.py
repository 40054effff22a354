"""`resonance store compact` and studies: an index of records, from which they are read fast."""

import io
import os
import tracemalloc
from pathlib import Path

import polars as pl
import pytest

from suite.core.errors import InvalidInput
from suite.results import record_index as module
from suite.results.record_index import COLUMNS, FOLDER, RecordIndex, extend_index, write_index
from suite.results.store import Store
from tests.results.damage import KEY, SECOND, THIRD, better_record, cut_record, put
from tests.support.sample_records import done, make_trial


def index_file(store: Store) -> Path:
    """Return the only file of a store's index."""
    (path,) = (store.root / FOLDER).iterdir()
    return path


def replace_index(store: Store, frame: pl.DataFrame) -> None:
    """Give a store another index, under the name that is right for it."""
    for path in (store.root / FOLDER).iterdir():
        path.unlink()
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    (store.root / FOLDER / module._name_of(buffer.getvalue())).write_bytes(buffer.getvalue())


def forbid_reading(monkeypatch) -> None:
    """Let nothing but the index answer."""

    def contents(self, keys):
        assert not keys, "a record was read"
        return {}

    monkeypatch.setattr(Store, "contents", contents)


def texts(store: Store) -> list[bytes]:
    return [record.to_json() for record in store.records()]


def test_compacted_records_are_the_records(full):
    before = texts(full)
    assert write_index(full.backend).records == 3
    assert texts(full) == before
    assert [r.key for r in full.records()] == sorted(full.keys())


def test_compacted_records_are_read_from_one_file(full, monkeypatch):
    write_index(full.backend)
    before = texts(full)
    opened: list[object] = []
    opening = os.open
    monkeypatch.setattr(os, "open", lambda path, *a: opened.append(path) or opening(path, *a))
    assert texts(full) == before
    assert opened == [str(index_file(full))] or opened == [index_file(full)]


def test_what_changed_after_compacting_is_read_from_where_it_is(full):
    write_index(full.backend)
    put(full, SECOND, done(SECOND, accuracy=0.5))
    new = make_trial(seed=9)
    put(full, new)
    for path in full.folder(KEY).iterdir():
        path.unlink()
    full.folder(KEY).rmdir()
    found = {r.key: r for r in full.records()}
    assert list(found) == sorted([SECOND.key, THIRD.key, new.key])
    assert found[SECOND.key].metrics["test_accuracy"] == 0.5


def test_a_record_altered_after_compacting_is_not_served(full):
    write_index(full.backend)
    better_record(full.folder(KEY))
    with pytest.raises(InvalidInput, match="was altered"):
        list(full.records())


def test_a_compacted_file_that_is_damaged_changes_nothing(full):
    before = texts(full)
    write_index(full.backend)
    path = index_file(full)
    whole = path.read_bytes()
    frame = pl.read_parquet(path)
    one_bit = bytearray(whole)
    one_bit[100] ^= 1
    for content in (whole[:100], b"", b"PAR1", b"not parquet" * 100, bytes(one_bit)):
        path.write_bytes(content)
        assert RecordIndex(full.backend).unusable == [path.name]
        assert texts(full) == before
    for change in (frame.drop("version"), frame.reverse(), frame.with_columns(key=pl.lit("a"))):
        replace_index(full, change)
        assert len(RecordIndex(full.backend)) == 0
        assert texts(full) == before
    replace_index(full, frame.drop("record"))
    assert texts(full) == before


def test_a_compacted_row_of_another_trial_is_refused(full):
    write_index(full.backend)
    frame = pl.read_parquet(index_file(full))
    row = frame.filter(pl.col("key") == SECOND.key)
    replace_index(full, frame.with_columns(record=pl.lit(row["record"][0])))
    with pytest.raises(InvalidInput, match="is the record of another trial"):
        list(full.records())


def test_records_of_several_files_are_read_in_the_order_of_keys(store, monkeypatch):
    """Each file has its own order: those of a study and of the next one are interleaved."""
    monkeypatch.setattr(module, "BLOCK_ROWS", 2)
    for first in (0, 1, 2):
        for seed in range(first, 21, 3):
            put(store, make_trial(seed=seed))
        assert extend_index(store.backend, 7) == 7
    assert len(list((store.root / FOLDER).iterdir())) == 3
    before = texts(store)
    forbid_reading(monkeypatch)
    assert texts(store) == before
    found = [record.key for record in store.records()]
    assert found == sorted(found)
    assert len(found) == 21


def test_a_large_index_is_written_in_several_files(store, monkeypatch):
    monkeypatch.setattr(module, "FILE_ROWS", 2)
    for seed in range(5):
        put(store, make_trial(seed=seed))
    assert write_index(store.backend).records == 5
    assert len(list((store.root / FOLDER).iterdir())) == 3
    forbid_reading(monkeypatch)
    assert len(list(store.records())) == 5


def test_only_what_the_index_lacks_is_added_once_there_is_enough_of_it(full):
    assert extend_index(full.backend, 4) == 0
    assert not (full.root / FOLDER).exists()
    assert extend_index(full.backend, 3) == 3
    assert extend_index(full.backend, 1) == 0
    put(full, SECOND, done(SECOND, accuracy=0.5))
    put(full, make_trial(seed=9))
    assert extend_index(full.backend, 3) == 0
    assert extend_index(full.backend, 2) == 2
    found = {r.key: r for r in full.records()}
    assert len(found) == 4
    assert found[SECOND.key].metrics["test_accuracy"] == 0.5


def test_too_many_files_become_one(store, monkeypatch):
    monkeypatch.setattr(module, "MAX_FILES", 3)
    for seed in range(5):
        put(store, make_trial(seed=seed))
        extend_index(store.backend, 1)
    names = [path.name for path in (store.root / FOLDER).iterdir()]
    assert len(names) == 2
    assert len(RecordIndex(store.backend)) == 5


def test_compacting_removes_older_files_and_the_one_of_earlier_versions(full):
    (full.root / "records.parquet").write_bytes(b"PAR1")
    write_index(full.backend)
    old = index_file(full)
    put(full, SECOND, done(SECOND, accuracy=0.5))
    assert write_index(full.backend).records == 3
    assert not old.exists()
    assert index_file(full).exists()
    assert not (full.root / "records.parquet").exists()


def test_the_command_compacts_and_says_what_it_left_out(resonance, full):
    assert resonance("store compact").out.startswith("3 records in the index")
    cut_record(full.folder(KEY))
    result = resonance("store compact")
    assert result.code == 1
    assert "left out" in result.out
    assert "2 records in the index" in result.out


def bomb(rows, text):
    """Return an index of a few kilobytes, in which one text stands in every row of a column."""
    keys = [f"{number:016x}" for number in range(rows)]
    columns = dict(zip(COLUMNS, (keys, [text] * rows, [None] * rows), strict=True))
    buffer = io.BytesIO()
    frame = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))
    frame.write_parquet(buffer, statistics=False)  # older Polars write whole texts as bounds
    return buffer.getvalue()


@pytest.fixture
def small_limits(monkeypatch):
    """Let an index unpack to a sixteenth of what it may: what exceeds that is made in no time."""
    rows, size = module.LIMITS
    monkeypatch.setattr(module, "LIMITS", module.LIMITS._replace(rows=rows // 16, size=size // 16))


@pytest.mark.usefixtures("small_limits")
@pytest.mark.parametrize(
    ("rows", "text"), [(2000, "x" * 10_000), (1, "\0" * 17_000_000), (10_000, None)]
)
def test_an_index_that_unpacks_to_too_much_is_not_used(store, rows, text):
    content = bomb(rows, text)
    assert len(content) < 100_000
    (store.root / FOLDER).mkdir()
    (store.root / FOLDER / module._name_of(content)).write_bytes(content)
    tracemalloc.start()
    try:
        assert len(RecordIndex(store.backend)) == 0
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.usefixtures("small_limits")
def test_texts_that_unpack_to_too_much_are_not_used(store):
    """One text stands in every row: in the file once, in a list of texts many times."""
    keys = [f"{number:016x}" for number in range(2000)]
    columns = {"key": keys, "version": ["1"] * len(keys), "record": ["x" * 20_000] * len(keys)}
    (store.root / FOLDER).mkdir()
    replace_index(store, pl.DataFrame(columns))
    index = RecordIndex(store.backend)
    assert len(index) == len(keys)
    tracemalloc.start()
    try:
        assert index.rows(keys, dict.fromkeys(keys, "1")) == {}
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    finally:
        tracemalloc.stop()
