"""JSON documents beside the trials: of tunings and ablations."""

import re

import pytest

from suite.core.errors import InvalidInput
from suite.results.merge import merge
from suite.results.metadata_store import as_it_is, documents, load_document, save_document
from suite.results.record import Unreadable
from suite.results.store import Store
from suite.results.stored_evaluation import Evaluation, load_evaluations, save_evaluation
from suite.results.verify import verify
from tests.support.sample_records import done, make_trial

CONTENT = {"winner": {"rigl": {"update_every": 20}}, "values": [0.1, 0.25], "schema_version": 5}


def tuning(name: str, **more) -> dict:
    """Return the content of the least that is a tuning."""
    return {"schema_version": 5, "settings": {"name": name}, "methods": {}, **more}


def contents(store: Store, kind: str) -> dict:
    """Return the documents of a kind, none of which is damaged."""
    found, damaged = documents(store, kind, as_it_is)
    assert damaged == []
    return found


@pytest.fixture(params=["folder", "bucket"])
def either(request, tmp_path) -> Store:
    """Return a store in a folder, and one under a URL."""
    kind = {"folder": str(tmp_path / "r"), "bucket": f"memory://{tmp_path.name}/results"}
    return Store(kind[request.param])


def test_a_document_is_read_as_it_was_saved_and_the_last_one_stands(either):
    save_document(either, "tuning", "a", {"old": 1})
    save_document(either, "tuning", "a", CONTENT)
    save_document(either, "tuning", "b", {"old": 2})
    save_document(either, "ablation", "a", {})
    assert load_document(either, "tuning", "a") == CONTENT
    assert contents(either, "tuning") == {"a": CONTENT, "b": {"old": 2, "schema_version": 5}}
    assert contents(either, "ablation") == {"a": {"schema_version": 2}}
    assert either.keys() == []


def test_where_there_are_none_nothing_is_found(either):
    assert contents(either, "tuning") == {}
    assert load_document(either, "tuning", "a") is None


def test_a_document_with_a_secret_or_a_login_is_kept_without_it(store, monkeypatch):
    monkeypatch.setenv("THEIR_TOKEN", 'abc"123456789')
    text = {"token": 'abc"123456789', "storage": "postgresql://me:pass@host/db"}
    save_document(store, "tuning", "a", text)
    written = (store.root / "tuning" / "a.json").read_text()
    assert "123456789" not in written
    assert "pass" not in written
    assert load_document(store, "tuning", "a")["storage"] == "postgresql://[secret]@host/db"


@pytest.mark.parametrize("name", ["../a", "", ".hidden", "a/b", "a" * 300, "a b"])
def test_a_name_that_leads_elsewhere_is_refused(store, name):
    with pytest.raises(InvalidInput, match="file name"):
        save_document(store, "tuning", name, {})
    assert not (store.root / "tuning").exists()


def test_an_unknown_kind_is_refused(store):
    with pytest.raises(InvalidInput, match="give one of tuning, ablation"):
        save_document(store, "trials", "a", {})


def test_a_number_that_json_has_no_word_for_is_not_written(store):
    with pytest.raises(ValueError, match="not JSON compliant"):
        save_document(store, "tuning", "a", {"value": float("nan")})
    assert contents(store, "tuning") == {}


@pytest.mark.parametrize("content", [b"", b"{", b'{"a": NaN}', b"\xff"])
def test_a_damaged_document_is_named(store, content):
    save_document(store, "tuning", "a", {})
    path = store.root / "tuning" / "a.json"
    path.write_bytes(content)
    save_document(store, "tuning", "b", {})
    found, (damaged,) = documents(store, "tuning", as_it_is)
    assert list(found) == ["b"]
    assert re.search(r"tuning/a\.json .*delete it and run `resonance tune`", damaged.reason)
    with pytest.raises(Unreadable, match=r"tuning/a\.json"):
        load_document(store, "tuning", "a")


def test_a_link_is_no_document(store, tmp_path):
    save_document(store, "tuning", "a", {})
    (tmp_path / "elsewhere.json").write_text("{}")
    (store.root / "tuning" / "b.json").symlink_to(tmp_path / "elsewhere.json")
    found, (damaged,) = documents(store, "tuning", as_it_is)
    assert list(found) == ["a"]
    assert damaged.path == "tuning/b.json"


def evaluation_of(record, device: str = "cpu") -> Evaluation:
    return Evaluation(
        key=record.key, model=record.digests.get("model", ""), device=device, threads=1,
        metrics={"test_pgd10": 0.5}, latency={}, absent={}, timing={}, environment={},
    )  # fmt: skip


def test_evaluations_are_merged_whichever_record_of_the_same_weights_stays(store, tmp_path):
    trial, other = make_trial(seed=0), Store(tmp_path / "other")
    slower = done(trial).model_copy(update={"timing": {"seconds": 99.0}})
    store.write(trial.key, {"record.json": slower.to_json()})
    other.write(trial.key, {"record.json": done(trial).to_json()})
    save_evaluation(store, evaluation_of(slower))
    found = merge(store, other)
    assert (found.kept, found.evaluations) == ([trial.key], [trial.key])
    assert load_evaluations(other, other.read(trial.key)) == ([evaluation_of(slower)], [])
    assert merge(store, other).evaluations == []


def test_merge_takes_documents_and_evaluations_along(store, tmp_path):
    trial, other = make_trial(seed=0), Store(tmp_path / "other")
    store.write(trial.key, {"record.json": done(trial).to_json()})
    record = store.read(trial.key)
    save_evaluation(store, evaluation_of(record))
    save_document(store, "tuning", "ours", tuning("ours"))
    save_document(store, "tuning", "both", tuning("both", by="source"))
    save_document(other, "tuning", "both", tuning("both", by="target"))
    found = merge(store, other)
    assert (found.documents, found.kept_documents) == (["tuning/ours"], ["tuning/both"])
    assert load_document(other, "tuning", "ours") == tuning("ours")
    assert load_document(other, "tuning", "both") == tuning("both", by="target")
    assert load_evaluations(other, record) == load_evaluations(store, record)
    assert merge(store, other).documents == []
    assert verify(other).findings == []
