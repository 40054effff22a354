"""A site that is built again equals one that is built from nothing, whatever has changed."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from leaderboard.output_folder import MANIFEST
from leaderboard.pages import trial_page_writer
from leaderboard.site import stored_trials
from leaderboard.site.build import build
from leaderboard.site.known_trials import FILE
from suite.core.errors import TrialFailed
from suite.results.record import Record, failed
from suite.results.store import Store
from suite.results.stored_evaluation import Evaluation, save_evaluation
from tests.leaderboard.test_site import CURVES, files, fill
from tests.support.sample_records import done, make_trial

METHODS = ("dense", "static", "rigl", "set")


def records() -> list[Record]:
    """Return finished and failed trials of four methods, and two of the same seed."""
    found = [done(make_trial(m, seed=s), 0.9 - s / 100) for m in METHODS for s in range(6)]
    twice = done(make_trial("rigl", seed=0), 0.5)
    found.append(twice.model_copy(update={"key": "0" * 16}))
    return [*found, failed(make_trial("set", seed=8), TrialFailed("loss is not finite"))]


def replaced(store: Store) -> None:
    fill(store, done(make_trial("rigl", seed=3), 0.123))


def added(store: Store) -> None:
    fill(store, done(make_trial("granet", seed=0), 0.95))


def removed(store: Store) -> None:
    store.backend.remove(make_trial("static", seed=2).key)


def first_of_its_seed_removed(store: Store) -> None:
    store.backend.remove("0" * 16)


def damaged(store: Store) -> None:
    (store.folder(make_trial("static", seed=4).key) / "record.json").write_text("{")


def evaluated(store: Store) -> None:
    record = store.read(make_trial("static", seed=1).key)
    assert record is not None
    later = Evaluation(
        key=record.key, model=record.digests.get("model", ""), device="cpu", threads=1,
        metrics={"test_accuracy": 0.5}, latency={}, absent={}, timing={}, environment={},
    )  # fmt: skip
    save_evaluation(store, later)


def touched(store: Store) -> None:
    """Read a trial again whose page says that another has its seed."""
    os.utime(store.folder(make_trial("rigl", seed=0).key) / "record.json", (1.0, 1.0))


def nothing(store: Store) -> None:
    pass


CHANGES = (
    replaced, added, removed, first_of_its_seed_removed, damaged, evaluated, touched, nothing
)  # fmt: skip


def content(folder: Path) -> dict[str, bytes]:
    """Return the files of a site; the order of fonts in a PDF may differ."""
    return {n: c for n, c in files(folder).items() if n != FILE and not n.endswith(".pdf")}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return fill(Store(tmp_path / "store"), *records())


@pytest.mark.parametrize("change", CHANGES, ids=lambda one: one.__name__)
def test_a_site_built_again_equals_one_built_from_nothing(change, store, tmp_path):
    build(store, tmp_path / "again")
    change(store)
    again = build(store, tmp_path / "again")
    new = build(store, tmp_path / "new")
    assert content(tmp_path / "again") == content(tmp_path / "new")
    assert again.excluded == new.excluded
    lost = {one.key for one in new.excluded if one.trial == "trial"}
    pages = {n for n in files(tmp_path / "new") if n.startswith("trials/")}
    assert pages == {f"trials/{key}.html" for key in {*store.keys()} - lost}


@pytest.mark.slow
def test_processes_write_what_one_writes(store, tmp_path, monkeypatch):
    monkeypatch.setattr(stored_trials, "BATCH_SIZE", 4)
    monkeypatch.setattr(stored_trials, "FIRST", 2)
    monkeypatch.setattr(trial_page_writer, "BATCH_SIZE", 4)
    build(store, tmp_path / "two", workers=2)
    build(store, tmp_path / "one")
    assert content(tmp_path / "two") == content(tmp_path / "one")
    replaced(store)
    build(store, tmp_path / "two", workers=2)
    build(store, tmp_path / "one")
    assert content(tmp_path / "two") == content(tmp_path / "one")


def read_by(store: Store, out: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Build a site; return the trials that were read for it."""
    read: list[str] = []
    real = stored_trials.read_trials

    def noted(location: str, keys: list[str], *more: object) -> object:
        read.extend(keys)
        return real(location, keys, *more)

    with monkeypatch.context() as patch:
        patch.setattr(stored_trials, "read_trials", noted)
        build(store, out)
    return read


def test_only_what_has_changed_is_read_again(store, tmp_path, monkeypatch):
    out = tmp_path / "out"
    assert sorted(read_by(store, out, monkeypatch)) == sorted(store.keys())
    assert read_by(store, out, monkeypatch) == []
    replaced(store)
    assert read_by(store, out, monkeypatch) == [make_trial("rigl", seed=3).key]


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def one_byte_changed(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def not_parquet(path: Path) -> None:
    path.write_text("nonsense")


@pytest.mark.parametrize("harm", [cut_off, one_byte_changed, not_parquet])
def test_damaged_knowledge_is_not_used(harm: Callable[[Path], None], store, tmp_path, monkeypatch):
    out = tmp_path / "out"
    build(store, out)
    before = content(out)
    harm(out / FILE)
    assert sorted(read_by(store, out, monkeypatch)) == sorted(store.keys())
    assert content(out) == before


def test_facts_with_a_secret_are_not_kept(store, tmp_path, monkeypatch):
    out, told = tmp_path / "out", failed(make_trial("set", seed=9), TrialFailed("lost 7Hq-Zw2x9Lk"))
    fill(store, told)
    monkeypatch.setenv("STORE_PASSWORD", "7Hq-Zw2x9Lk")
    build(store, out)
    assert read_by(store, out, monkeypatch) == [told.key]
    assert b"7Hq-Zw2x9Lk" not in (out / FILE).read_bytes()


def test_knowledge_of_another_store_is_not_used(store, tmp_path, monkeypatch):
    out = tmp_path / "out"
    build(store, out)
    other = fill(Store(tmp_path / "other"), done(make_trial("rigl", seed=3), 0.4))
    assert read_by(other, out, monkeypatch) == other.keys()


def test_knowledge_of_other_code_is_not_used(store, tmp_path, monkeypatch):
    out = tmp_path / "out"
    build(store, out)
    monkeypatch.setattr("leaderboard.site.known_trials.reading_digest", lambda: "other")
    assert sorted(read_by(store, out, monkeypatch)) == sorted(store.keys())


def test_a_killed_write_of_knowledge_leaves_the_old(store, tmp_path, monkeypatch):
    out = tmp_path / "out"
    build(store, out)
    before = (out / FILE).read_bytes()
    replaced(store)

    def killed(path: Path, content: bytes, *, sync: bool = True) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("leaderboard.site.known_trials.atomic_write", killed)
    build(store, out)
    assert (out / FILE).read_bytes() == before


def test_a_page_is_not_written_where_no_record_can_be_read(tmp_path):
    store = Store(tmp_path / "store")
    fill(store, done(make_trial(seed=0)))
    (store.folder(make_trial(seed=0).key) / "record.json").write_text("{")
    with pytest.raises(Exception, match="none of the 1 records can be read"):
        build(store, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_pages_of_gone_trials_are_removed_and_the_manifest_names_the_others(store, tmp_path):
    out = tmp_path / "out"
    build(store, out)
    removed(store)
    build(store, out)
    gone = f"trials/{make_trial('static', seed=2).key}.html"
    assert not (out / gone).exists()
    assert gone not in json.loads((out / MANIFEST).read_text())
    assert CURVES  # pages of this store hold curves
