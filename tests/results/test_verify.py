"""`resonance store verify`: what is damaged is found, with what to do."""

import json
import os
from pathlib import Path

import polars as pl
import pytest

from suite.core.errors import InvalidInput
from suite.results.counts import Counts
from suite.results.integrity import with_integrity
from suite.results.record import SCHEMA_VERSION
from suite.results.record_index import FOLDER, write_index
from suite.results.store import Store
from suite.results.verify import verify
from tests.results.damage import (
    FIRST,
    KEY,
    better_record,
    cut_curves,
    cut_record,
    empty_record,
    linked_curves,
    newer_record,
    no_curves,
    one_file_more,
    other_curves,
    other_json,
    other_settings,
    other_trial,
    put,
    remove_checksums,
)
from tests.results.test_record_index import replace_index
from tests.support.sample_records import done, make_trial


def test_a_store_as_it_was_left_is_whole(full):
    found = verify(full)
    assert (found.checked, found.sound, found.findings) == (3, 3, [])


@pytest.mark.parametrize(
    ("damage", "kind"),
    [
        (cut_record, "truncated"),
        (empty_record, "truncated"),
        (better_record, "altered"),
        (newer_record, "newer"),
        (other_settings, "foreign"),
        (other_json, "foreign"),
        (other_trial, "foreign"),
        (cut_curves, "truncated"),
        (other_curves, "altered"),
        (no_curves, "missing"),
        (linked_curves, "unreadable"),
        (one_file_more, "foreign"),
    ],
)
def test_what_was_damaged_is_found_with_what_to_do(full, damage, kind):
    damage(full.folder(KEY))
    found = verify(full)
    (finding,) = found.findings
    assert finding.kind == kind
    assert finding.broken
    assert KEY in finding.where
    assert finding.remedy
    assert (found.checked, found.sound) == (3, 2)


def test_a_record_without_checksums_is_whole_as_far_as_one_can_tell(full):
    remove_checksums(full.folder(KEY) / "record.json")
    found = verify(full)
    assert [f.kind for f in found.findings] == ["unverifiable"]
    assert (found.sound, found.broken) == (3, [])


def test_what_lies_among_the_trials_and_is_none_is_told(full):
    (full.trials / "notes.txt").write_text("mine")
    (full.trials / f".new-{KEY}-host-1-0123abcd").mkdir()
    (full.trials / ("0" * 16)).mkdir()
    kinds = {Path(f.where).name: f.kind for f in verify(full).findings}
    assert kinds == {
        "notes.txt": "foreign", f".new-{KEY}-host-1-0123abcd": "leftover", "0" * 16: "leftover",
    }  # fmt: skip


def test_a_row_that_claims_what_its_record_does_not_say_is_found(full):
    write_index(full.backend)
    (path,) = (full.root / FOLDER).iterdir()
    frame = pl.read_parquet(path)
    replace_index(
        full, frame.with_columns(frame["record"].str.replace("0.9", "0.99", literal=True))
    )
    found = [f for f in verify(full).findings if FOLDER in f.where]
    assert {f.kind for f in found} == {"altered"}


def test_verify_exits_with_1_and_says_what_to_do(resonance, full):
    assert resonance("store verify").code == 0
    cut_curves(full.folder(KEY))
    result = resonance("store verify")
    assert result.code == 1
    lines = result.out.splitlines()
    assert lines[0].startswith(
        f"truncated: results/trials/{KEY}: curves.parquet has 4 of 9 bytes; "
    )
    assert "run its study again" in lines[0]
    assert lines[1] == "store results: 2 of 3 trials are intact"
    data = json.loads(resonance("store verify --json").out)
    assert (data["checked"], data["sound"]) == (3, 2)
    assert data["findings"][0]["kind"] == "truncated"


def test_what_verify_says_to_do_mends_the_store(resonance, place):
    run = "run digits/mlp static --recipe epochs=1 --json"
    key = json.loads(resonance(run).out)["key"]
    store = Store("results")
    cut_record(store.folder(key))
    assert resonance("store verify").code == 1
    for path in store.folder(key).iterdir():
        path.unlink()
    store.folder(key).rmdir()
    assert resonance(run).code == 0
    assert resonance("store verify").code == 0


def test_a_sealed_record_whose_metrics_do_not_follow_from_its_counts_is_named(store):
    counts = Counts(correct=180, total=360, confusion=("0:180", "0:180"))
    record = done(FIRST, 0.5)
    metrics = record.metrics | {"test_macro_f1": 0.5}
    put(store, FIRST, record.model_copy(update={"counts": {"test": counts}, "metrics": metrics}))
    (found,) = verify(store).broken
    assert "contradicts itself (test_macro_f1 is 0.5, and 0.33" in found.what


def test_a_file_of_another_size_is_found_without_reading_it(store, monkeypatch):
    """A sparse file of 32 GiB takes no room on the disk, and would take all memory."""
    key = done(make_trial()).key
    store.write(key, {"record.json": done(make_trial()).to_json(), "model.safetensors": b"weights"})
    os.truncate(store.folder(key) / "model.safetensors", 32 * 2**30)
    monkeypatch.setattr("suite.results.local_store.checksum_of", lambda file: pytest.fail("read"))
    (issue,) = verify(store).findings
    assert issue.kind == "altered"
    assert issue.what == f"model.safetensors has {32 * 2**30} bytes, not 7"
    with pytest.raises(InvalidInput, match="larger than the 7 bytes allowed"):
        store.load(key, "model.safetensors")


def test_a_seal_that_allows_a_file_of_32_gib_does_not_have_it_read(store):
    key = done(make_trial()).key
    content = json.loads(done(make_trial()).to_json())
    store.write(key, {"record.json": done(make_trial()).to_json(), "model.safetensors": b"weights"})
    sums = {"model.safetensors": {"size": 32 * 2**30, "sha256": "0" * 64}}
    content["schema_version"] = SCHEMA_VERSION
    sealed = with_integrity(content, sums)
    (store.folder(key) / "record.json").write_text(json.dumps(sealed))
    os.truncate(store.folder(key) / "model.safetensors", 32 * 2**30)
    assert [issue.kind for issue in verify(store).findings] == ["altered"]
    with pytest.raises(InvalidInput, match="bytes allowed"):
        store.load(key, "model.safetensors")


def test_a_sparse_index_of_16_gib_is_not_read(store):
    record = done(make_trial())
    store.write(record.key, {"record.json": record.to_json()})
    path = store.root / FOLDER / f"{'0' * 32}.parquet"
    path.parent.mkdir()
    path.write_bytes(b"PAR1")
    os.truncate(path, 16 * 2**30)
    assert [one.key for one in store.records()] == [record.key]
    assert [issue.kind for issue in verify(store).findings] == ["truncated"]
