"""Merging two stores: the trials of one are added to the other."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from suite.core.errors import InvalidInput
from suite.results import stored_studies
from suite.results.metadata_store import KINDS, documents, save_document
from suite.results.record import Record
from suite.results.storage_backend import NAME, RECORD
from suite.results.store import Store
from suite.results.stored_evaluation import load_evaluations, save_evaluation
from suite.results.stored_studies import read_study
from suite.results.verify import StoreIssue, check


@dataclass
class MergeReport:
    """What a merge did with the trials of the source, by key.

    Attributes:
        added: the target did not have the trial.
        replaced: the target's result had failed, or was broken.
        same: the target has the same record.
        kept: the target has a different record of the trial, which stays.
        differing: those of `kept` whose final weights are not equal bit for bit.
        refused: broken in the source, with what is wrong.
        evaluations: trials of the target whose evaluations were added.
        documents: studies, tunings and ablations that were added, as ``kind/name``.
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
    kept_documents: list[str] = field(default_factory=list)


def merge(
    source: Store, target: Store, progress: Callable[[int], None] = lambda trials: None
) -> MergeReport:
    """Add the results of `source` to `target`; no finished trial is replaced, nothing is removed.

    A second merge changes nothing.

    Raises:
        StoreUnusable: `target` cannot be written.
    """
    target.prepare()
    done = MergeReport()
    for key in source.keys():  # noqa: SIM118 - a store is not a dict
        _merge_one(source, target, key, done)
        progress(1)
    for key in done.added + done.replaced + done.same + done.kept:
        _merge_evaluations(source, target, key, done)
    for kind in KINDS:
        _merge_documents(source, target, kind, done)
    return done


def _merge_one(source: Store, target: Store, key: str, done: MergeReport) -> None:
    ours, findings = check(source.backend, key)
    if broken := [finding for finding in findings if finding.broken]:
        done.refused += broken
        return
    if ours is None:  # a folder without a record: not finished
        return
    theirs, findings = check(target.backend, key)
    damaged = any(finding.broken for finding in findings)
    if theirs is not None and not damaged:
        if theirs.fingerprint == ours.fingerprint:
            done.same.append(key)
            return
        if theirs.status != "failed" or ours.status != "done":
            done.kept.append(key)
            if (theirs.status, theirs.digests) != (ours.status, ours.digests):
                done.differing.append(key)
            return
    try:
        files = trial_files(source, key, ours)
    except (InvalidInput, FileNotFoundError) as error:  # a link in an old trial, say
        done.refused.append(StoreIssue("unreadable", source.where(key), str(error)))
        return
    target.write(key, files)
    (done.replaced if theirs is not None or damaged else done.added).append(key)


def _merge_evaluations(source: Store, target: Store, key: str, done: MergeReport) -> None:
    """Copy evaluations of the weights that the target has, for devices it has none of."""
    record = target.read(key)
    if record is None or record.status != "done":
        return
    known = {evaluation.device for evaluation in load_evaluations(target, record)}
    for evaluation in load_evaluations(source, record):
        if evaluation.device not in known:
            save_evaluation(target, evaluation)
            done.evaluations.append(key)


def _merge_documents(source: Store, target: Store, kind: str, done: MergeReport) -> None:
    theirs = documents(target, kind)
    for name, content in documents(source, kind).items():
        if name not in theirs:
            save_document(target, kind, name, content)
            done.documents.append(f"{kind}/{name}")
        elif kind == stored_studies.KIND:
            _merge_study(target, name, theirs[name], content, done)
        elif theirs[name] != content:
            done.kept_documents.append(f"{kind}/{name}")


def _merge_study(target: Store, name: str, ours: Any, theirs: Any, done: MergeReport) -> None:
    """Keep the newer version of a study, with the trials of the other as its earlier ones."""
    both = [read_study(target, name, content) for content in (ours, theirs)]
    older, newer = sorted(both, key=lambda one: one.updated)
    merged = newer.follows(older).model_dump(mode="json")
    if older.study == newer.study and older.trials == newer.trials:
        merged["updated"] = ours["updated"]
    if merged != ours:
        save_document(target, stored_studies.KIND, name, merged)
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
