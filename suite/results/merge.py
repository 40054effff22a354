"""Merging two stores: the trials of one are added to the other."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

from suite.core.errors import InvalidInput
from suite.core.threads import THREADS, in_threads
from suite.results import stored_studies
from suite.results.document_checks import (
    CheckedDocument,
    check_document,
    checked_documents,
    document_issue,
)
from suite.results.metadata_store import EVALUATIONS, KINDS, document_names, save_document
from suite.results.record import Record
from suite.results.storage_backend import NAME, RECORD, StoreUnusable
from suite.results.store import Store
from suite.results.store_issue import StoreIssue
from suite.results.stored_evaluation import DEVICES, evaluation_name
from suite.results.stored_studies import read_study
from suite.results.verify import check


@dataclass
class MergeReport:
    """What a merge did with the trials of the source, by key.

    Attributes:
        added: the target did not have the trial.
        replaced: the target's result had failed, or was broken.
        same: the target has the same record.
        kept: the target has a different record of the trial, which stays.
        differing: those of `kept` whose final weights are not equal bit for bit.
        refused: trials and documents that are broken in the source, with what is wrong.
        evaluations: trials of the target whose evaluations were added.
        documents: studies, tunings and ablations that were added or merged, as ``kind/name``.
        replaced_documents: documents that were broken in the target, as ``kind/name``.
        kept_documents: those that the target has with other content, which stays.
    """

    added: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    same: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    refused: list[StoreIssue] = field(default_factory=list)
    evaluations: list[str] = field(default_factory=list)
    documents: list[str] = field(default_factory=list)
    replaced_documents: list[str] = field(default_factory=list)
    kept_documents: list[str] = field(default_factory=list)

    def include(self, other: "MergeReport") -> None:
        """Add what another report says."""
        for one in fields(self):
            getattr(self, one.name).extend(getattr(other, one.name))


def merge(
    source: Store, target: Store, progress: Callable[[int], None] = lambda trials: None
) -> MergeReport:
    """Add the results of `source` to `target`; no finished trial is replaced, nothing is removed.

    Of a study that both have, the newer version stays, with the other's trials as earlier ones; of
    tunings, ablations and evaluations, the target's. What is broken in the source is left out; what
    is broken in the target is replaced, if the source has it. A second merge changes nothing.

    Raises:
        StoreUnusable: `target` cannot be written.
    """
    target.prepare()
    done = MergeReport()
    threads = THREADS if source.local and target.local else 1
    # Each trial is synced to the disk, which many threads wait for together.
    for part in in_threads(lambda key: _merge_one(source, target, key), source.keys(), threads):
        done.include(part)
        progress(1)
    names = _evaluations(source, done)
    for key in done.added + done.replaced + done.same + done.kept:
        if any(evaluation_name(key, device) in names for device in DEVICES):
            _merge_evaluations(source, target, key, done)
    for kind in KINDS:
        _merge_documents(source, target, kind, done)
    return done


def _merge_one(source: Store, target: Store, key: str) -> MergeReport:
    done = MergeReport()
    ours, findings = check(source.backend, key)
    if broken := [finding for finding in findings if finding.broken]:
        done.refused += broken
        return done
    if ours is None:  # a folder without a record: not finished
        return done
    theirs, findings = check(target.backend, key)
    if any(finding.kind == "newer" for finding in findings):  # by a newer program
        done.kept.append(key)
        return done
    damaged = any(finding.broken for finding in findings)
    if theirs is not None and not damaged:
        if theirs.fingerprint == ours.fingerprint:
            done.same.append(key)
            return done
        if theirs.status != "failed" or ours.status != "done":
            done.kept.append(key)
            if (theirs.status, theirs.digests) != (ours.status, ours.digests):
                done.differing.append(key)
            return done
    try:
        files = trial_files(source, key, ours)
    except (InvalidInput, FileNotFoundError) as error:  # a link in an old trial, say
        done.refused.append(StoreIssue("unreadable", source.where(key), str(error)))
        return done
    target.write(key, files)
    (done.replaced if theirs is not None or damaged else done.added).append(key)
    return done


def _evaluations(source: Store, done: MergeReport) -> set[str]:
    """Return the names of a store's evaluations."""
    try:
        return set(document_names(source, EVALUATIONS))
    except InvalidInput as error:  # the folder cannot be listed
        done.refused.append(
            StoreIssue("unreadable", f"{source.location}/{EVALUATIONS}", str(error))
        )
        return set()


def _merge_evaluations(source: Store, target: Store, key: str, done: MergeReport) -> None:
    """Add the evaluations of the weights that the target has."""
    record, _ = check(target.backend, key)
    if record is None or record.status != "done":
        return
    model = record.digests.get("model")
    for device in DEVICES:
        name = evaluation_name(key, device)
        theirs = check_document(source, EVALUATIONS, name)
        if theirs.document is None:
            done.refused += theirs.issues
        elif theirs.document.content["model"] == model:
            _merge_evaluation(target, name, model, theirs.document.content, done)


def _merge_evaluation(
    target: Store, name: str, model: str | None, content: dict[str, Any], done: MergeReport
) -> None:
    ours = check_document(target, EVALUATIONS, name)
    if ours.document is None and ours.issues:
        _replace(target, ours, content, done)
    elif ours.document is None or ours.document.content["model"] != model:
        save_document(target, EVALUATIONS, name, content)
        done.evaluations.append(content["key"])
    elif not _equal(ours.document.content, content):
        done.kept_documents.append(f"{EVALUATIONS}/{name}")


def _merge_documents(source: Store, target: Store, kind: str, done: MergeReport) -> None:
    try:
        for theirs in checked_documents(source, kind):
            if theirs.document is None:
                done.refused += theirs.issues
            else:
                _merge_document(target, kind, theirs.name, theirs.document.content, done)
    except StoreUnusable:
        raise
    except InvalidInput as error:  # the folder cannot be listed
        done.refused.append(StoreIssue("unreadable", f"{source.location}/{kind}", str(error)))


def _merge_document(
    target: Store, kind: str, name: str, content: dict[str, Any], done: MergeReport
) -> None:
    ours = check_document(target, kind, name)
    if ours.document is None and ours.issues:
        _replace(target, ours, content, done)
    elif ours.document is None:
        save_document(target, kind, name, content)
        done.documents.append(f"{kind}/{name}")
    elif kind == stored_studies.KIND:
        _merge_study(target, name, ours.document.content, content, done)
    elif not _equal(ours.document.content, content):
        done.kept_documents.append(f"{kind}/{name}")


def _replace(
    target: Store, broken: CheckedDocument, content: dict[str, Any], done: MergeReport
) -> None:
    """Write a sound document in place of a broken one; one of a newer program stays."""
    path = f"{broken.kind}/{broken.name}"
    if any(issue.kind == "newer" for issue in broken.issues):
        done.kept_documents.append(path)
        return
    try:
        save_document(target, broken.kind, broken.name, content)
    except StoreUnusable as error:  # a folder of that name, for instance
        done.refused.append(document_issue(target, broken.kind, broken.name, "unreadable", error))
    else:
        done.replaced_documents.append(path)


def _equal(ours: dict[str, Any], theirs: dict[str, Any]) -> bool:
    """Return whether two documents say the same; an older one may have an older schema version."""
    version = {"schema_version": 0}
    return {**ours, **version} == {**theirs, **version}


def _merge_study(
    target: Store, name: str, ours: dict[str, Any], theirs: dict[str, Any], done: MergeReport
) -> None:
    """Keep the newer version of a study, with the trials of the other as its earlier ones."""
    present, added = (read_study(target, name, content) for content in (ours, theirs))
    older, newer = sorted((present, added), key=lambda one: one.updated)
    merged = newer.follows(older)
    same = older.study == newer.study and older.trials == newer.trials
    since = present.updated if same else merged.updated
    version = present.schema_version  # an older document that says the same stays as it is
    merged = merged.model_copy(update={"updated": since, "schema_version": version})
    if merged != present:
        save_document(target, stored_studies.KIND, name, merged.model_dump(mode="json"))
        done.documents.append(f"{stored_studies.KIND}/{name}")


def trial_files(store: Store, key: str, record: Record) -> dict[str, bytes]:
    """Return a trial's files: those in its record's checksums, or all if it has none.

    Raises:
        FileNotFoundError, InvalidInput: one cannot be read.
    """
    if record.integrity is not None:
        names = list(record.integrity.files)
    else:
        names = [name for name in store.names(key) if NAME.fullmatch(name)]
    return {name: store.backend.load(key, name, record.checksum) for name in {RECORD, *names}}
