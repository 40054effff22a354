"""`resonance store merge`: what one store has is added to the other."""

import json

import pytest

from suite.core.errors import TrialFailed
from suite.results.merge import merge
from suite.results.record import failed
from suite.results.verify import verify
from tests.results.damage import (
    FIRST,
    KEY,
    SECOND,
    THIRD,
    better_record,
    cut_curves,
    cut_record,
    other_settings,
    put,
    remove_checksums,
)
from tests.support.sample_records import done


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


def test_an_old_record_gets_checksums_when_it_is_merged_with_the_files_it_has(full, other):
    remove_checksums(full.folder(KEY) / "record.json")
    merge(full, other)
    assert verify(other).findings == []
    assert other.load(KEY, "curves.parquet") == b"PAR1 PAR1"


def test_a_merge_reads_nothing_outside_the_source(full, other, tmp_path):
    """An old record has no digest that would betray a link."""
    (tmp_path / "private").write_text("private")
    folder = full.folder(KEY)
    remove_checksums(folder / "record.json")
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
