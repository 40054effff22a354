"""Migrating records to renamed settings: method names and recipe fields (`old_names`).

A trial's key is a hash of its settings, so a record whose settings hold an old name gets a new key
as well. The new folder is written whole before the old one is removed; a migration that was killed
is finished by the next one, and one that is run again changes nothing.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from suite.core.errors import InvalidInput
from suite.experiments import registry
from suite.experiments.trial_config import Trial, key_of, task_digest
from suite.results.integrity import FileChecksum
from suite.results.merge import trial_files
from suite.results.metadata_store import (
    KINDS,
    DamagedDocument,
    as_it_is,
    document_names,
    documents,
    save_document,
)
from suite.results.old_names import METHODS, OLD_RECIPE, RECIPE, has_old_names, rename
from suite.results.record import Record, to_json
from suite.results.storage_backend import RECORD
from suite.results.store import Store
from suite.results.store_issue import StoreIssue
from suite.results.stored_evaluation import (
    read_evaluations,
    remove_evaluation,
    save_evaluation,
)
from suite.results.verify import check

SETTINGS = "trial.json"


@dataclass
class MigrationReport:
    """What was migrated, or would be.

    Attributes:
        moved: trials that got a new key, old key → new key.
        rewritten: keys of the trials whose settings were renamed under the same key.
        current: how many trials needed nothing.
        documents: tunings and ablations that were rewritten, as ``kind/name``.
        conflicts: trials whose new key holds another result, old key → new key; both stay.
        refused: trials and documents that were left alone, and why.
    """

    moved: dict[str, str] = field(default_factory=dict)
    rewritten: list[str] = field(default_factory=list)
    current: int = 0
    documents: list[str] = field(default_factory=list)
    conflicts: dict[str, str] = field(default_factory=dict)
    refused: list[StoreIssue] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether nothing is left under an old name."""
        return not self.conflicts and not self.refused


Complete = Callable[[Record], Record]
"""Adds what a record of an earlier version lacks; the same object if it lacks nothing."""


def as_recorded(record: Record) -> Record:
    """Return a record as it is."""
    return record


def migrate(
    store: Store,
    *,
    complete: Complete = as_recorded,
    dry_run: bool = False,
    progress: Callable[[int], None] = lambda trials: None,
) -> MigrationReport:
    """Rewrite what a store holds under old names; with `dry_run`, only say what would change.

    Records under the current names are completed by `complete`. Checkpoints of unfinished trials
    are not migrated: a trial with a new key starts over.

    Raises:
        StoreUnusable: the store cannot be written.
        InvalidInput: it cannot be listed, or holds nothing.
    """
    if not store.keys() and not _has_documents(store):
        raise InvalidInput(f"store {store.location} holds no results: nothing to migrate")
    if not dry_run:
        store.prepare()
    report = MigrationReport()
    keys = _new_keys(store, complete, report, progress)
    # Documents first: they name trials by key, and only now are all new keys known.
    _migrate_documents(store, keys, report, dry_run=dry_run)
    for key, new_key in keys.items():
        _migrate_trial(store, key, new_key, complete, report, dry_run=dry_run)
    return report


def migrate_record(record: Record) -> Record:
    """Return a record under the current names: the same object if it holds no old one.

    The checksum of its ``trial.json`` is updated if the file can be written as it was; those of
    other files stay.

    Raises:
        InvalidInput: its task is unknown or has changed since: its new key cannot be computed.
    """
    identity = {"task_digest": _migrated_digest(record)}
    trial = rename(record.trial)
    configuration = rename(record.configuration) | identity
    if (trial, configuration) == (record.trial, record.configuration):
        return record
    try:
        key = key_of(trial, configuration)
    except (KeyError, TypeError):
        raise InvalidInput("its configuration lacks settings that its key is made of") from None
    return record.model_copy(
        update={
            "key": key,
            "trial": trial,
            "configuration": configuration,
            "integrity": _migrated_integrity(record, trial),
        }
    )


def _migrated_digest(record: Record) -> Any:
    """Return the digest of a record's task under the current names (`task_digest`).

    The digest covers the recipe fields that the declaration sets. It is replaced only if it equals
    the digest of the current declaration under the old names.
    """
    name, digest = record.trial["task"], record.configuration.get("task_digest")
    is_old = has_old_names(record.trial) or has_old_names(record.configuration)
    if name not in registry.tasks():
        if is_old:
            raise InvalidInput(f"its task {name} is unknown here: name its file with --plugin")
        return digest
    task = registry.tasks()[name]
    dataset = registry.datasets()[task.dataset]
    old_recipe = {OLD_RECIPE.get(field, field): value for field, value in task.recipe.items()}
    today = task_digest(task, dataset)
    if digest in (today, task_digest(task, dataset, old_recipe)):
        return today
    if is_old and old_recipe != dict(task.recipe):
        raise InvalidInput(f"its task {name} has changed since it was run: run it again")
    return digest


def _migrated_integrity(record: Record, trial: Mapping[str, Any]) -> Any:
    """Return a record's checksums with that of the new ``trial.json``, which follows from it."""
    integrity = record.integrity
    if integrity is None or SETTINGS not in integrity.files:
        return integrity
    try:
        settings = Trial.make(**trial).resolved()
    except InvalidInput:
        return integrity
    old = settings | {
        "method": record.trial["method"],
        "recipe": {OLD_RECIPE.get(name, name): v for name, v in settings["recipe"].items()},
        "task_digest": record.configuration.get("task_digest"),
    }
    if FileChecksum.of(to_json(old)) != integrity.files[SETTINGS]:
        return integrity
    files = integrity.files | {SETTINGS: FileChecksum.of(to_json(settings))}
    return integrity.model_copy(update={"files": files})


def _new_keys(
    store: Store, complete: Complete, report: MigrationReport, progress: Callable[[int], None]
) -> dict[str, str]:
    """Return old key → new key of the trials that are rewritten; the two may be equal."""
    new_keys: dict[str, str] = {}
    for key in store.keys():  # noqa: SIM118 - a store is not a dict
        progress(1)
        where = store.where(key)
        try:
            content = store.backend.load(key, RECORD, None)
            record = Record.from_json(content, f"{where}/{RECORD}", key, old_names=True)
            new = complete(migrate_record(record))
        except FileNotFoundError:  # a folder without a record
            continue
        except InvalidInput as error:
            report.refused.append(StoreIssue("unreadable", where, str(error)))
            continue
        if new is record:
            report.current += 1
        else:
            new_keys[key] = new.key
    return new_keys


def _migrate_trial(
    store: Store,
    key: str,
    new_key: str,
    complete: Complete,
    report: MigrationReport,
    *,
    dry_run: bool,
) -> None:
    record, issues = check(store.backend, key, old_names=True)
    if broken := [issue for issue in issues if issue.broken]:
        report.refused += broken
        return
    assert record is not None
    try:
        evaluations, damaged = read_evaluations(store, key)
        new = complete(migrate_record(record))
        files = _migrated_files(trial_files(store, key, record), new)
    except (ValueError, FileNotFoundError) as error:  # ValueError: no JSON, or InvalidInput
        report.refused.append(StoreIssue("unreadable", store.where(key), str(error)))
        return
    if new_key == key:
        report.rewritten.append(key)
        if not dry_run:
            store.write(key, files)
        return
    report.refused += _document_issues(store, damaged)
    moved_before = RECORD in store.names(new_key)
    if moved_before and not _holds(store, new_key, files):
        report.conflicts[key] = new_key
        return
    report.moved[key] = new_key
    if dry_run:
        return
    if not moved_before:
        store.write(new_key, files)
    known = {evaluation.device for evaluation in read_evaluations(store, new_key)[0]}
    for evaluation in evaluations:
        if evaluation.device not in known:
            save_evaluation(store, evaluation.model_copy(update={"key": new_key}))
    for evaluation in evaluations:
        remove_evaluation(store, evaluation)
    store.backend.remove(key)


def _migrated_files(files: Mapping[str, bytes], new: Record) -> dict[str, bytes]:
    """Return a trial's files under the current names.

    Weights stay byte for byte; the metadata of their file keeps the old key, which is never read.
    """
    migrated = {**files, RECORD: new.to_json()}
    if SETTINGS in files:
        settings = rename(json.loads(files[SETTINGS]))
        migrated[SETTINGS] = to_json(settings | {"task_digest": new.configuration["task_digest"]})
    return migrated


def _holds(store: Store, key: str, files: Mapping[str, bytes]) -> bool:
    """Return whether a trial has these very files, as after a migration that was killed."""
    record, issues = check(store.backend, key)
    if record is None or record.integrity is None or any(issue.broken for issue in issues):
        return False
    sums = {name: FileChecksum.of(content) for name, content in files.items() if name != RECORD}
    return record.to_json() == files[RECORD] and record.integrity.files == sums


def _migrate_documents(
    store: Store, keys: Mapping[str, str], report: MigrationReport, *, dry_run: bool
) -> None:
    for kind in KINDS:
        contents, damaged = documents(store, kind, as_it_is)
        report.refused += _document_issues(store, damaged)
        for name, content in contents.items():
            new = renamed_document(content, name, keys)
            if new != content:
                report.documents.append(f"{kind}/{name}")
                if not dry_run:
                    save_document(store, kind, name, new)


def renamed_document(
    content: Mapping[str, Any], name: str, keys: Mapping[str, str]
) -> dict[str, Any]:
    """Return the document of a study, an ablation or a tuning with the current names and keys.

    `keys` are the new keys of trials by their old ones; `name` is the document's own.
    """
    kinds = {f"{old}.kind": f"{new}.kind" for old, new in RECIPE.items()}  # a tuning's dimensions
    new: dict[str, Any] = _reworded(content, {**METHODS, **RECIPE, **kinds, **keys})
    for part in (new, new.get("study"), new.get("settings")):
        if isinstance(part, dict) and "name" in part:
            part["name"] = name  # a document's name is kept, even if it is an old name
    return new


def _document_issues(store: Store, damaged: Iterable[DamagedDocument]) -> list[StoreIssue]:
    return [StoreIssue("unreadable", f"{store.location}/{one.path}", one.reason) for one in damaged]


def _has_documents(store: Store) -> bool:
    """Return whether there are documents that may name a trial, readable or not."""
    try:
        return any(document_names(store, kind) for kind in KINDS)
    except InvalidInput:
        return True


def _reworded(content: Any, words: Mapping[str, str]) -> Any:
    """Return JSON in which every key and every string that is one of `words` is replaced."""
    if isinstance(content, dict):
        return {words.get(name, name): _reworded(part, words) for name, part in content.items()}
    if isinstance(content, list):
        return [_reworded(part, words) for part in content]
    return words.get(content, content) if isinstance(content, str) else content
