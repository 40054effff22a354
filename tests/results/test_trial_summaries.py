import json
from pathlib import Path

import pytest

from leaderboard.code_versions import recorded_version
from suite.core.errors import InvalidInput, TrialFailed
from suite.results import trial_summaries as module
from suite.results.record import SCHEMA_VERSION, Record, failed
from suite.results.record_index import write_index
from suite.results.store import Store
from suite.results.trial_summaries import TrialSummary, summary_of, trial_summaries
from tests.support.sample_records import done, make_trial

COUNT = module.MIN_CACHED + 5


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    """Have an empty home, where summaries are remembered."""
    folder = tmp_path / "home"
    monkeypatch.setattr(Path, "home", lambda: folder)
    return folder


@pytest.fixture
def store(tmp_path) -> Store:
    store = Store(tmp_path / "store")
    store.prepare()
    return store


def put(store: Store, *records: Record) -> None:
    for record in records:
        store.write(record.key, {"record.json": record.to_json()})


@pytest.fixture
def many(store, monkeypatch) -> Store:
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
    put(store, *(done(make_trial("rigl", seed=seed), 0.5) for seed in range(COUNT)))
    return store


def refuse(*given):
    raise AssertionError("a record was read")


def forbid_reading(monkeypatch) -> None:
    """Let nothing but the cache answer."""
    monkeypatch.setattr(Store, "contents", lambda self, keys: refuse() if keys else {})
    monkeypatch.setattr(module, "RecordIndex", lambda backend: refuse())


def test_a_summary_says_what_the_record_says():
    given = {"hyperparameters": {"update_every": 10}, "recipe": {"epochs": 3}, "threads": 2}
    record = done(make_trial("rigl", seed=4, **given), 0.75)
    found = summary_of(record.model_dump(mode="json"))
    assert found == TrialSummary(
        record.key, "done", "digits/mlp", "rigl", 0.9, 4,
        {"update_every": 10}, {"epochs": 3}, {"threads": 2},
        "test_accuracy", 0.75, 1.5, "2025-01-01T00:00:00+00:00", made_by=recorded_version(record),
        configured=found.configured,
    )  # fmt: skip
    configured = {part: record.configuration[part] for part in ("hyperparameters", "recipe")}
    assert json.loads(found.configured) == json.loads(json.dumps(configured))
    assert found.finished == record.finished > 0
    settings = summary_of(record.model_dump(mode="json")).settings
    assert settings == "update_every=10 epochs=3 threads=2"


def test_a_search_shows_its_validation_accuracy_and_a_failure_its_reason(store):
    search = done(make_trial(evaluate="validation"), 0.7)
    broken = failed(make_trial(seed=1), TrialFailed("loss is nan"))
    put(store, search, broken)
    found, _ = trial_summaries(store)
    by_key = {one.key: one for one in found}
    assert by_key[search.key].metric == "validation_accuracy"
    assert by_key[search.key].options == {"evaluate": "validation"}
    assert (by_key[broken.key].status, by_key[broken.key].value) == ("failed", None)
    assert by_key[broken.key].message == "loss is nan"


def test_the_metric_is_the_one_that_the_task_ranks_by():
    content = {
        "key": "0" * 16,
        "status": "done",
        "metric": "r2",
        "metrics": {"test_rmse": 3.0, "test_r2": 0.5},
        "trial": {},
    }
    found = summary_of(content)
    assert (found.metric, found.value) == ("test_r2", 0.5)
    with pytest.raises(KeyError):
        summary_of(content | {"metrics": {"test_rmse": 3.0}})


@pytest.mark.parametrize("indexed", [False, True])
def test_summaries_are_those_of_the_records_however_they_are_read(many, indexed):
    expected = {r.key: summary_of(r.model_dump(mode="json")) for r in many.records()}
    if indexed:
        write_index(many.backend)
    for _ in range(2):  # the second time from the cache
        found, damaged = trial_summaries(many)
        assert {one.key: one for one in found} == expected
        assert damaged == []


def test_what_was_read_once_is_not_read_again_and_what_changed_is(many, monkeypatch):
    first, _ = trial_summaries(many)
    with monkeypatch.context() as patch:
        forbid_reading(patch)
        assert trial_summaries(many) == (first, [])
    changed = done(make_trial("rigl", seed=3), 0.625)
    put(many, changed)
    found, _ = trial_summaries(many)
    assert {one.value for one in found if one.key == changed.key} == {0.625}
    many.backend.remove(changed.key)
    assert changed.key not in {one.key for one in trial_summaries(many)[0]}


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:-20],
        lambda content: content.replace(b"0.5", b"0.9", 1),
        lambda content: content.partition(b"\n")[2],
        lambda content: b"0 " + content.partition(b" ")[2],
    ],
    ids=["empty", "cut", "altered", "no digest", "another version"],
)
def test_a_damaged_cache_is_not_used(many, home, damage):
    expected, _ = trial_summaries(many)
    (path,) = (home / module.CACHE).iterdir()
    before = path.read_bytes()
    path.write_bytes(damage(before))
    assert trial_summaries(many) == (expected, [])
    assert path.read_bytes() == before


def test_a_home_that_cannot_be_written_costs_time_only(many, home):
    home.write_text("a file")
    assert len(trial_summaries(many)[0]) == COUNT


def test_another_store_at_the_same_place_is_read_anew(many, tmp_path, monkeypatch):
    import shutil

    monkeypatch.setattr("os.fsync", lambda descriptor: None)
    before, _ = trial_summaries(many)
    shutil.rmtree(many.trials)
    put(many, *(done(make_trial("rigl", seed=seed), 0.25) for seed in range(COUNT)))
    found, _ = trial_summaries(many)
    assert [one.key for one in found] == [one.key for one in before]
    assert {one.value for one in found} == {0.25}


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:200],
        lambda text: text.replace('"test_accuracy": 0.9', '"test_accuracy": 0.99'),
        lambda text: json.dumps({n: v for n, v in json.loads(text).items() if n != "seal"}),
        lambda text: text.replace(f'"schema_version": {SCHEMA_VERSION}', '"schema_version": 99'),
        lambda text: "[]",
        lambda text: "{}",
    ],
    ids=["cut", "altered", "no checksum", "newer", "a list", "empty"],
)
def test_a_damaged_record_is_named_and_hides_no_other(store, damage):
    bad, good = done(make_trial(seed=0)), done(make_trial(seed=1))
    put(store, bad, good)
    path = store.folder(bad.key) / "record.json"
    path.write_text(damage(path.read_text()))
    found, damaged = trial_summaries(store)
    assert [one.key for one in found] == [good.key]
    assert [one.key for one in damaged] == [bad.key]
    with pytest.raises(InvalidInput) as error:
        store.read(bad.key)
    assert damaged[0].reason == str(error.value)


def test_only_the_trials_that_are_asked_for_are_returned(store):
    records = [done(make_trial(seed=seed)) for seed in range(4)]
    put(store, *records)
    wanted = [records[2].key, records[0].key, "f" * 16]
    found, _ = trial_summaries(store, wanted)
    assert {one.key for one in found} == {records[0].key, records[2].key}


def test_a_part_of_many_trials_is_remembered_beside_the_others(many, monkeypatch):
    first = [one.key for one in trial_summaries(many)[0]]
    more = [done(make_trial("set", seed=seed)) for seed in range(COUNT)]
    put(many, *more)
    assert len(trial_summaries(many, [one.key for one in more])[0]) == COUNT
    with monkeypatch.context() as patch:
        forbid_reading(patch)
        assert {one.key for one in trial_summaries(many)[0]} == {*first, *(r.key for r in more)}


def test_a_key_that_leads_out_of_the_store_is_none(store, tmp_path):
    record = done(make_trial())
    put(Store(tmp_path / "other"), record)
    assert trial_summaries(store, [f"../../other/trials/{record.key}"]) == ([], [])


def test_a_record_that_names_a_value_twice_is_damaged_whatever_its_checksum(store):
    """The last of the two counts in Python, so the checksum alone would not tell."""
    record = done(make_trial())
    put(store, record)
    path = store.folder(record.key) / "record.json"
    text = path.read_text()
    path.write_text(text.replace('"status": "done"', '"status": "failed", "status": "done"', 1))
    found, (damaged,) = trial_summaries(store)
    assert found == []
    assert "given twice" in damaged.reason


def test_texts_with_colons_and_quotes_are_read_like_others(store, monkeypatch):
    notes = ['a": b', ': "x":', '":', "\u00e9 \u4e2d"]
    record = done(make_trial()).model_copy(update={"notes": notes})
    put(store, record)
    monkeypatch.setattr(Record, "from_json", refuse)
    (found,), damaged = trial_summaries(store)
    assert (found.value, damaged) == (record.score, [])
