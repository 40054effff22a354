"""Verifying a store: what is truncated, altered or foreign, and what to do about it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from suite.core.errors import InvalidInput
from suite.results.counts import confusion_problem
from suite.results.document_checks import checked_documents, orphan_issues, stray_files
from suite.results.metadata_store import FORMATS
from suite.results.record import Record, Unreadable
from suite.results.record_index import FOLDER, RecordIndex
from suite.results.storage_backend import (
    BATCH_SIZE,
    MAX_FILE,
    RECORD,
    StorageBackend,
    load_each,
)
from suite.results.store import Store
from suite.results.store_issue import Kind, StoreIssue

REMAKE_INDEX = "run `resonance store compact` again"


@dataclass
class VerifyReport:
    """The result of `verify`: how many trials and documents were checked, and how many are sound.

    Documents are studies, tunings, ablations and evaluations.
    """

    checked: int = 0
    sound: int = 0
    documents: int = 0
    sound_documents: int = 0
    findings: list[StoreIssue] = field(default_factory=list)

    @property
    def broken(self) -> list[StoreIssue]:
        """The issues that somebody must act on."""
        return [finding for finding in self.findings if finding.broken]


def verify(store: Store, progress: Callable[[int], None] = lambda trials: None) -> VerifyReport:
    """Check a store against its checksums: each record with its files, and each document."""
    backend, report = store.backend, VerifyReport()
    digests: dict[str, str | None] = {}
    models: dict[str, str | None] = {}
    for key in store.keys():  # noqa: SIM118 - a store is not a dict
        record, findings = check(backend, key)
        report.checked += 1
        report.sound += not any(finding.broken for finding in findings)
        report.findings += findings
        models[key] = None if record is None else record.digests.get("model")
        if record is not None:
            digests[key] = record.checksum
        progress(1)
    for path in backend.leftovers(digests):
        leftover = "/." in path or digests.keys() & set(path.split("/"))
        kind: Kind = "leftover" if leftover else "foreign"
        report.findings.append(StoreIssue(kind, path, "not part of any trial"))
    for kind_of_document in FORMATS:
        _verify_documents(store, kind_of_document, models, report)
    report.findings += _check_index(backend)
    return report


def _verify_documents(
    store: Store, kind: str, models: Mapping[str, str | None], report: VerifyReport
) -> None:
    try:
        for document in checked_documents(store, kind):
            issues = [*document.issues, *orphan_issues(store, document, models)]
            report.documents += 1
            report.sound_documents += not any(issue.broken for issue in issues)
            report.findings += issues
        report.findings += stray_files(store, kind)
    except InvalidInput as error:
        report.findings.append(StoreIssue("unreadable", f"{store.location}/{kind}", str(error)))


def check(
    backend: StorageBackend, key: str, *, old_names: bool = False
) -> tuple[Record | None, list[StoreIssue]]:
    """Return a trial's record, if it can be read, and what is wrong with the trial.

    A record that holds old names is an issue unless `old_names` is set.
    """
    where = backend.where(key)
    try:
        content = backend.load(key, RECORD, None)
        record = Record.from_json(content, f"{where}/{RECORD}", key, old_names=old_names)
    except FileNotFoundError:
        return None, [StoreIssue("leftover", where, "a folder without a record")]
    except InvalidInput as error:
        kind: Kind = error.kind if isinstance(error, Unreadable) else "unreadable"
        return None, [StoreIssue(kind, where, _first(error))]
    if (expected := record.settings_key) != key:
        what = f"the settings in {RECORD} are those of trial {expected}"
        return record, [StoreIssue("foreign", where, what)]
    if problem := confusion_problem(record.counts, record.metrics):
        return record, [StoreIssue("foreign", where, f"{RECORD} contradicts itself ({problem})")]
    if record.integrity is None:
        return record, [StoreIssue("unverifiable", where, f"{RECORD} has no checksums")]
    return record, list(_check_files(backend, key, record))


def _check_files(backend: StorageBackend, key: str, record: Record) -> Iterable[StoreIssue]:
    assert record.integrity is not None
    where, integrity = backend.where(key), record.integrity
    for name, stored in integrity.files.items():
        try:
            size, sha256 = backend.checksum(key, name, integrity.digest, stored.size)
        except FileNotFoundError:
            yield StoreIssue("missing", where, f"{name} does not exist")
            continue
        except InvalidInput as error:
            yield StoreIssue("unreadable", where, _first(error))
            continue
        if size < stored.size:
            what = f"{name} has {size} of {stored.size} bytes"
            yield StoreIssue("truncated", where, what)
        elif size > stored.size:
            yield StoreIssue("altered", where, f"{name} has {size} bytes, not {stored.size}")
        elif size > MAX_FILE:
            what = f"{name} has {size} bytes, more than any file of a trial"
            yield StoreIssue("altered", where, what)
        elif sha256 != stored.sha256:
            yield StoreIssue("altered", where, f"{name} is not the file that was stored")
    for name in set(backend.names(key, integrity.digest)) - set(integrity.files) - {RECORD}:
        yield StoreIssue("foreign", f"{where}/{name}", "not a file of this trial")


def _check_index(backend: StorageBackend) -> Iterable[StoreIssue]:
    """Find files of the index that are damaged, and current rows that differ from the record."""
    index = RecordIndex(backend)
    for name in index.unusable:
        what = "no row of it can be read, so records are read one by one"
        where = f"{backend.location}/{FOLDER}/{name}"
        yield StoreIssue("truncated", where, what, REMAKE_INDEX)
    if not len(index):
        return
    versions = backend.versions()
    keys = list(versions)
    for start in range(0, len(keys), BATCH_SIZE):
        rows = index.rows(keys[start : start + BATCH_SIZE], versions)
        for key, content in load_each(backend, list(rows)):
            if isinstance(content, bytes) and content.decode(errors="replace") != rows[key].text:
                what = f"its row of trial {key} differs from that trial's record"
                where = f"{backend.location}/{FOLDER}"
                yield StoreIssue("altered", where, what, REMAKE_INDEX)


def _first(error: InvalidInput) -> str:
    return str(error).split(": delete")[0]
