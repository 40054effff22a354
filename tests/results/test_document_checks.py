"""Documents beside the trials: their seals, and what `store verify` says of each."""

import json
from pathlib import Path

import pytest

from suite.results.compact import compact
from suite.results.merge import merge
from suite.results.metadata_store import FORMATS, load_document, read_document, save_document
from suite.results.store import Store
from suite.results.stored_evaluation import Evaluation, load_evaluations, save_evaluation
from suite.results.verify import verify
from tests.results.damage import FIRST, KEY, put
from tests.support.sample_records import done

STUDY = {"name": "mine", "question": "?", "study": {}, "trials": {}, "schema_version": 3}


def change(path: Path, **changes: object) -> None:
    """Change fields of a document, as an editor would; None removes one."""
    content = json.loads(path.read_text()) | changes
    kept = {name: value for name, value in content.items() if value is not None}
    path.write_text(json.dumps(kept))


@pytest.fixture
def path(store) -> Path:
    """Return the file of a study in a store."""
    put(store)
    save_document(store, "study", "mine", STUDY)
    return store.root / "study" / "mine.json"


def evaluation_of(key: str, model: str = "0" * 64) -> Evaluation:
    return Evaluation(
        key=key, model=model, device="cpu", threads=1, metrics={"test_pgd10": 0.5},
        latency={}, absent={}, timing={}, environment={},
    )  # fmt: skip


def test_a_document_is_sealed_and_the_seal_is_no_part_of_its_content(store, path):
    assert set(json.loads(path.read_text())["seal"]) == {"digest", "files"}
    found = read_document(store, "study", "mine")
    assert (found.content, found.sealed) == (STUDY, True)
    report = verify(store)
    assert (report.documents, report.sound_documents, report.findings) == (1, 1, [])


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"question": "another?"}, "altered", "does not match its seal"),
        ({"seal": None}, "altered", "has lost its seal"),
        ({"seal": {}}, "altered", "does not match its seal"),
        ({"seal": None, "schema_version": 99}, "newer", "schema version 99"),
        ({"seal": None, "schema_version": True}, "foreign", "no schema version"),
        ({"seal": None, "schema_version": 1, "name": "other"}, "foreign", "that of 'other'"),
        ({"seal": None, "schema_version": 1, "trials": 3}, "foreign", "trials"),
    ],
)
def test_a_document_that_was_changed_is_found(store, path, changes, kind, words):
    change(path, **changes)
    (finding,) = verify(store).findings
    assert (finding.kind, finding.broken, finding.where) == (kind, True, str(path))
    assert words in finding.what
    assert ("resonance study" in finding.remedy) == (kind == "altered")
    assert len(compact(store).refused) == 1


@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind != "evaluations"])
def test_a_document_under_another_name_is_foreign(store, path, kind):
    content = {"tuning": {"settings": {"name": "a"}, "methods": {}}, "study": STUDY,
               "ablation": {"name": "a", "question": "?", "study": {}, "designs": []}}  # fmt: skip
    save_document(store, kind, "b", content[kind])
    (finding,) = verify(store).findings
    assert (finding.kind, finding.where) == ("foreign", f"{store.root}/{kind}/b.json")


def test_a_document_of_an_earlier_version_is_read_and_sealed_by_compact(store, path):
    change(path, seal=None, schema_version=1)
    (finding,) = verify(store).findings
    assert (finding.kind, finding.broken) == ("unverifiable", False)
    assert load_document(store, "study", "mine") == STUDY | {"schema_version": 1}
    assert compact(store).sealed == ["study/mine"]
    assert verify(store).findings == []
    assert load_document(store, "study", "mine") == STUDY
    assert compact(store).sealed == []


def test_an_evaluation_without_its_trial_or_of_other_weights_is_told_and_not_broken(store):
    put(store)
    save_evaluation(store, evaluation_of(KEY))
    assert verify(store).findings == []
    save_evaluation(store, evaluation_of("0" * 16))
    put(store, FIRST, done(FIRST).model_copy(update={"digests": {"model": "1" * 64}}))
    findings = verify(store).findings
    assert [(one.kind, one.broken) for one in findings] == [("orphaned", False)] * 2
    assert [one.what for one in findings] == [
        "the store has no trial 0000000000000000", f"trial {KEY} has other weights now",
    ]  # fmt: skip


def test_what_else_lies_in_a_folder_of_documents_is_told(store, path):
    for name in ("notes.txt", "-.json", ".new-host-1-0123abcd"):
        (path.parent / name).write_text("mine")
    (store.root / "tuning").mkdir()
    (store.root / "tuning" / "t.journal").write_text("")
    kinds = {Path(one.where).name: one.kind for one in verify(store).findings}
    assert kinds == {
        "notes.txt": "foreign",
        "-.json": "foreign",
        ".new-host-1-0123abcd": "leftover",
    }


def test_a_merge_keeps_a_document_of_a_newer_program(store, path, other):
    save_document(other, "study", "mine", STUDY | {"schema_version": 99})
    newer = (other.root / "study" / "mine.json").read_bytes()
    done = merge(store, other)
    assert (done.kept_documents, done.replaced_documents) == (["study/mine"], [])
    assert (other.root / "study" / "mine.json").read_bytes() == newer


def test_a_merge_keeps_the_targets_evaluation_of_the_same_weights_and_says_so(store, other):
    for place in (store, other):
        put(place)
    save_evaluation(store, evaluation_of(KEY))
    save_evaluation(other, evaluation_of(KEY).model_copy(update={"threads": 2}))
    assert merge(store, other).kept_documents == [f"evaluations/{KEY}-cpu"]
    (kept,), _ = load_evaluations(other, other.read(KEY))
    assert kept.threads == 2


def test_a_store_of_documents_alone_can_be_compacted(store):
    save_document(store, "study", "mine", STUDY)
    assert (compact(store).records, compact(Store(store.root)).refused) == (0, [])
