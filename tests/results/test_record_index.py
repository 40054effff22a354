"""`resonance store compact`: all records in one file, from which they are read fast."""

import io
import os
import tracemalloc

import polars as pl
import pytest

from suite.core.errors import InvalidInput
from suite.results.record_index import COLUMNS, INDEX, read_index, write_index
from suite.results.store import Store
from tests.results.damage import KEY, SECOND, THIRD, better_record, cut_record, put
from tests.support.sample_records import done, make_trial


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
    assert [str(path).endswith(INDEX) for path in opened] == [True]


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
    path = full.root / INDEX
    whole = path.read_bytes()
    frame = pl.read_parquet(path)
    for content in (whole[:100], b"", b"PAR1", b"not parquet" * 100):
        path.write_bytes(content)
        assert texts(full) == before
    for change in (frame.drop("version"), frame.with_columns(pl.lit("{}").alias("record"))):
        change.write_parquet(path)
        assert texts(full) == before


def test_a_compacted_row_of_another_trial_is_refused(full):
    """The digest of its text fits; the text is that of another trial."""
    write_index(full.backend)
    frame = pl.read_parquet(full.root / INDEX)
    row = frame.filter(pl.col("key") == SECOND.key)
    frame = frame.with_columns(record=pl.lit(row["record"][0]), sha256=pl.lit(row["sha256"][0]))
    frame.write_parquet(full.root / INDEX)
    with pytest.raises(InvalidInput, match="is the record of another trial"):
        list(full.records())


def test_the_command_compacts_and_says_what_it_left_out(resonance, full):
    assert resonance("store compact").out.startswith("3 records in one file")
    cut_record(full.folder(KEY))
    result = resonance("store compact")
    assert result.code == 1
    assert "left out" in result.out
    assert "2 records in one file" in result.out


def bomb(rows, text):
    """Return an index of a few kilobytes, in which one text stands in every row."""
    columns = {name: [text] * rows for name in COLUMNS}
    buffer = io.BytesIO()
    pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String)).write_parquet(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("rows", "text"), [(2000, "x" * 300_000), (1, "\0" * 300_000_000), (1_500_000, None)]
)
def test_an_index_that_unpacks_to_gigabytes_is_not_used(store, rows, text):
    content = bomb(rows, text)
    assert len(content) < 100_000
    (store.root / INDEX).write_bytes(content)
    tracemalloc.start()
    try:
        assert read_index(store.backend) == {}
        assert tracemalloc.get_traced_memory()[1] < 50 * 2**20
    finally:
        tracemalloc.stop()
