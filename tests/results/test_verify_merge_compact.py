"""Looking after a store: verify, merge, compact, and the commands for them."""

import json
import os
from pathlib import Path

import polars as pl
import pytest

from suite.core.errors import InvalidInput, TrialFailed
from suite.results.merge import merge
from suite.results.record import Record, failed
from suite.results.record_index import INDEX, compact
from suite.results.store import Store
from suite.results.verify import verify
from tests.support.sample_records import done, make_trial

FIRST, SECOND, THIRD = (make_trial(seed=seed) for seed in range(3))
KEY = FIRST.key


def put(store: Store, trial=FIRST, record: Record | None = None, **more: bytes) -> None:
    files = {"record.json": (record or done(trial)).to_json(), "curves.parquet": b"PAR1 PAR1"}
    store.write(trial.key, files | more)


@pytest.fixture
def full(store) -> Store:
    """Return a store of three trials, one of which failed."""
    for trial in (FIRST, SECOND):
        put(store, trial)
    put(store, THIRD, failed(THIRD, TrialFailed("loss is nan")))
    return store


def unseal(path: Path) -> None:
    """Make a record what it was before there were seals."""
    content = json.loads(path.read_text()) | {"schema_version": 1}
    del content["seal"]
    path.write_text(json.dumps(content))


# ---------------------------------------------------------------- verify


def test_a_store_as_it_was_left_is_whole(full):
    found = verify(full)
    assert (found.checked, found.sound, found.findings) == (3, 3, [])


def cut_record(folder: Path) -> None:
    path = folder / "record.json"
    path.write_bytes(path.read_bytes()[:-100])


def empty_record(folder: Path) -> None:
    (folder / "record.json").write_bytes(b"")


def better_record(folder: Path) -> None:
    path = folder / "record.json"
    content = json.loads(path.read_text())
    content["metrics"]["test_accuracy"] = 0.999
    path.write_text(json.dumps(content))


def newer_record(folder: Path) -> None:
    path = folder / "record.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": 99}))


def other_settings(folder: Path) -> None:
    """Say another seed, and take the seal away: nothing but the key can tell."""
    path = folder / "record.json"
    unseal(path)
    content = json.loads(path.read_text())
    content["trial"]["seed"] = 77
    path.write_text(json.dumps(content))


def other_json(folder: Path) -> None:
    (folder / "record.json").write_text('{"colour": "red"}')


def other_trial(folder: Path) -> None:
    other = folder.parent / SECOND.key / "record.json"
    (folder / "record.json").write_bytes(other.read_bytes())


def cut_curves(folder: Path) -> None:
    (folder / "curves.parquet").write_bytes(b"PAR1")


def other_curves(folder: Path) -> None:
    (folder / "curves.parquet").write_bytes(b"PAR1 PAR2")


def no_curves(folder: Path) -> None:
    (folder / "curves.parquet").unlink()


def linked_curves(folder: Path) -> None:
    (folder / "curves.parquet").unlink()
    (folder / "curves.parquet").symlink_to("/etc/hostname")


def one_file_more(folder: Path) -> None:
    (folder / "setup.py").write_text("import os")


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


def test_a_record_from_before_there_were_seals_is_whole_as_far_as_one_can_tell(full):
    unseal(full.folder(KEY) / "record.json")
    found = verify(full)
    assert [f.kind for f in found.findings] == ["unsealed"]
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
    compact(full.backend)
    path = full.root / INDEX
    frame = pl.read_parquet(path)
    text = frame["record"].str.replace("0.9", "0.99", literal=True)
    frame.with_columns(text).write_parquet(path)
    found = [f for f in verify(full).findings if INDEX in f.where]
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
    assert lines[1] == "store results: 2 of 3 trials are whole"
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


# ---------------------------------------------------------------- merge


@pytest.fixture
def other(tmp_path) -> Store:
    store = Store(tmp_path / "other")
    store.prepare()
    return store


def test_a_merge_adds_what_is_missing_and_again_changes_nothing(full, other):
    assert sorted(merge(full, other).added) == sorted(full.keys())
    before = {p: p.read_bytes() for p in other.root.rglob("*") if p.is_file()}
    again = merge(full, other)
    assert sorted(again.same) == sorted(full.keys())
    assert not again.added + again.replaced + again.kept + again.refused
    assert {p: p.read_bytes() for p in other.root.rglob("*") if p.is_file()} == before
    assert verify(other).findings == []
    assert other.load(KEY, "curves.parquet") == b"PAR1 PAR1"


def test_a_finished_trial_replaces_a_failed_one_and_never_the_other_way(store, other):
    put(store, FIRST, failed(FIRST, TrialFailed("out of memory")))
    put(other, FIRST)
    assert merge(store, other).kept == [KEY]
    assert other.read(KEY).status == "done"
    assert merge(other, store).replaced == [KEY]
    assert store.read(KEY).status == "done"


def test_two_results_of_one_trial_keep_the_targets_and_differences_are_told(store, other):
    slower = done(FIRST).model_copy(update={"timing": {"seconds": 99.0}})
    put(store, FIRST, slower)
    put(other, FIRST)
    merged = merge(store, other)
    assert (merged.kept, merged.differing) == ([KEY], [])
    put(store, FIRST, slower.model_copy(update={"digests": {"model": "1" * 64}}))
    merged = merge(store, other)
    assert (merged.kept, merged.differing) == ([KEY], [KEY])
    assert other.read(KEY).timing["seconds"] == 1.5


@pytest.mark.parametrize("damage", [cut_record, better_record, cut_curves, other_settings])
def test_what_is_broken_is_not_merged_and_what_is_broken_in_the_target_is_mended(
    full, other, damage
):
    damage(full.folder(KEY))
    merged = merge(full, other)
    assert len(merged.refused) == 1
    assert sorted(merged.added) == sorted({SECOND.key, THIRD.key})
    put(other)
    assert merge(other, full).replaced == [KEY]
    assert verify(full).findings == []


def test_an_old_record_is_sealed_when_it_is_merged_with_the_files_it_has(full, other):
    unseal(full.folder(KEY) / "record.json")
    merge(full, other)
    assert verify(other).findings == []
    assert other.load(KEY, "curves.parquet") == b"PAR1 PAR1"


def test_a_merge_reads_nothing_outside_the_source(full, other, tmp_path):
    """An old record has no digest that would betray a link."""
    (tmp_path / "private").write_text("private")
    folder = full.folder(KEY)
    unseal(folder / "record.json")
    (folder / "curves.parquet").unlink()
    (folder / "curves.parquet").symlink_to(tmp_path / "private")
    merged = merge(full, other)
    assert [f.kind for f in merged.refused] == ["unreadable"]
    assert sorted(merged.added) == sorted([SECOND.key, THIRD.key])
    assert not any(b"private" in p.read_bytes() for p in other.root.rglob("*") if p.is_file())


def test_the_command_merges_and_says_what_it_did(resonance, full):
    result = resonance("store merge results joined")
    assert result.code == 0
    assert result.out == "3 added to joined, 0 replaced, 0 the same, 0 kept, 0 left out\n"
    cut_record(full.folder(KEY))
    result = resonance("store merge results joined --json")
    assert result.code == 1
    assert len(json.loads(result.out)["same"]) == 2


@pytest.mark.parametrize("line", ["merge results results", "merge nowhere results", "compact"])
def test_a_store_that_cannot_be_meant_is_refused_in_one_line(resonance, place, line):
    assert resonance(f"store {line}").complaint


# ---------------------------------------------------------------- compact


def texts(store: Store) -> list[bytes]:
    return [record.to_json() for record in store.records()]


def test_compacted_records_are_the_records(full):
    before = texts(full)
    assert compact(full.backend).records == 3
    assert texts(full) == before
    assert [r.key for r in full.records()] == sorted(full.keys())


def test_compacted_records_are_read_from_one_file(full, monkeypatch):
    compact(full.backend)
    before = texts(full)
    opened: list[object] = []
    opening = os.open
    monkeypatch.setattr(os, "open", lambda path, *a: opened.append(path) or opening(path, *a))
    assert texts(full) == before
    assert [str(path).endswith(INDEX) for path in opened] == [True]


def test_what_changed_after_compacting_is_read_from_where_it_is(full):
    compact(full.backend)
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
    compact(full.backend)
    better_record(full.folder(KEY))
    with pytest.raises(InvalidInput, match="was altered"):
        list(full.records())


def test_a_compacted_file_that_is_damaged_changes_nothing(full):
    before = texts(full)
    compact(full.backend)
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
    compact(full.backend)
    frame = pl.read_parquet(full.root / INDEX)
    row = frame.filter(pl.col("key") == SECOND.key)
    frame = frame.with_columns(record=pl.lit(row["record"][0]), sha256=pl.lit(row["sha256"][0]))
    frame.write_parquet(full.root / INDEX)
    with pytest.raises(InvalidInput, match="is the record of trial"):
        list(full.records())


def test_the_command_compacts_and_says_what_it_left_out(resonance, full):
    assert resonance("store compact").out.startswith("3 records in one file")
    cut_record(full.folder(KEY))
    result = resonance("store compact")
    assert result.code == 1
    assert "left out" in result.out
    assert "2 records in one file" in result.out
