"""Tunings that were killed, then run again as a user would."""

import shutil

import pytest

from suite.results.store import Store
from suite.tuning import journal_lock
from suite.tuning.schema import load_tuning

LINE = (
    "tune rigl --task digits/mlp --recipe epochs=1 --seeds 1 --engine inline --final-seeds 0 "
    "--name t"
)


def test_case_16_a_search_goes_on_after_a_kill_within_the_lock_and_a_move_of_the_store(
    resonance, place, monkeypatch
):
    resonance(f"{LINE} --budget 2 --store before")
    journal = place / "before" / "tuning" / "t.journal"
    (place / "before" / "tuning" / "t.journal.lock").symlink_to(journal)
    shutil.move(place / "before", place / "after")
    assert not (place / "after" / "tuning" / "t.journal.lock").exists(), "the link leads nowhere"
    monkeypatch.setattr(journal_lock, "LINK_SECONDS", 0.05)
    result = resonance(f"{LINE} --budget 3 --store after")
    assert result.code == 0
    assert "t.journal.lock was left by a process that is gone: removed" in result.err
    found = load_tuning(Store(place / "after"), "t")
    assert [trial.state for trial in found.methods["rigl"].trials] == ["complete"] * 3
    assert not list((place / "after" / "tuning").glob("*.lock*"))


def test_a_lock_that_a_running_process_holds_is_named_in_one_line(resonance, place, monkeypatch):
    resonance(f"{LINE} --budget 1")
    journal = place / "results" / "tuning" / "t.journal"
    before = journal.read_bytes()
    holder = journal_lock.JournalLock(journal)
    holder.acquire()
    try:
        monkeypatch.setattr(journal_lock, "HELD_SECONDS", 0.05)
        result = resonance(f"{LINE} --budget 2")
    finally:
        holder.release()
    assert f"journal {journal} is locked by process" in result.complaint
    assert journal.read_bytes() == before


def test_sqlite_stores_a_search_that_goes_on_with_several_workers(resonance, place):
    line = LINE.replace("--engine inline", "--workers 2") + " --storage sqlite:///x.db"
    assert resonance(f"{line} --budget 2").code == 0
    result = resonance(f"{line} --budget 5")
    assert (result.code, result.err) == (0, "")
    assert "optuna-dashboard sqlite:///x.db" in result.out
    found = load_tuning(Store(place / "results"), "t")
    assert [trial.state for trial in found.methods["rigl"].trials] == ["complete"] * 5
    assert not (place / "x.db.lock").exists()


@pytest.mark.parametrize("storage", ["mysql://user:sesame-1234@host/db", "sqlite://"])
def test_a_storage_of_another_kind_is_refused_and_nothing_is_written(resonance, place, storage):
    result = resonance(f"{LINE} --storage {storage}")
    assert "give a journal file, sqlite:///FILE" in result.complaint
    assert result.complaint.endswith("or postgresql://HOST/DATABASE")
    assert "sesame" not in result.err
    assert list(place.iterdir()) == []
