"""Verifying a store: what is truncated, altered or foreign, and what to do about it."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

from suite.core.errors import InvalidInput
from suite.results.counts import confusion_problem
from suite.results.record import Damage, Record, Unreadable
from suite.results.record_index import INDEX, read_index
from suite.results.storage_backend import RECORD, StorageBackend
from suite.results.store import Store

Kind = Damage | Literal["unreadable", "missing", "unverifiable", "leftover"]
REMEDY: dict[Kind, str] = {
    "truncated": "delete {where} and run its study again",
    "altered": "delete {where} and run its study again, or copy it again from the original store",
    "foreign": "move it out of the store",
    "newer": "update resonance-bench",
    "outdated": "run `resonance store migrate`",
    "unreadable": "check the permissions and the disk, then verify again",
    "missing": "delete {where} and run its study again",
    "unverifiable": "nothing: it is from before records had checksums and is read as it is",
    "leftover": "nothing while its process runs, else delete it or run `resonance store compact`",
}


@dataclass(frozen=True)
class StoreIssue:
    """Something that is not as the store wrote it.

    `broken` trials are not served as results; other issues are only reported.
    """

    kind: Kind
    where: str
    what: str

    @property
    def broken(self) -> bool:
        """Whether the trial must be deleted or replaced."""
        return self.kind not in ("unverifiable", "leftover")

    @property
    def remedy(self) -> str:
        """What to do."""
        return REMEDY[self.kind].format(where=self.where)


@dataclass
class VerifyReport:
    """The result of `verify`: how many trials were checked, and how many are sound."""

    checked: int = 0
    sound: int = 0
    findings: list[StoreIssue] = field(default_factory=list)

    @property
    def broken(self) -> list[StoreIssue]:
        """The issues that somebody must act on."""
        return [finding for finding in self.findings if finding.broken]


def verify(store: Store, progress: Callable[[int], None] = lambda trials: None) -> VerifyReport:
    """Check every trial of a store against its checksums: the record, and each file beside it."""
    backend, report = store.backend, VerifyReport()
    digests: dict[str, str | None] = {}
    for key in store.keys():  # noqa: SIM118 - a store is not a dict
        record, findings = check(backend, key)
        report.checked += 1
        report.sound += not any(finding.broken for finding in findings)
        report.findings += findings
        if record is not None:
            digests[key] = record.checksum
        progress(1)
    for path in backend.leftovers(digests):
        leftover = "/." in path or digests.keys() & set(path.split("/"))
        kind: Kind = "leftover" if leftover else "foreign"
        report.findings.append(StoreIssue(kind, path, "not part of any trial"))
    report.findings += _check_index(backend)
    return report


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
            content = backend.load(key, name, integrity.digest)
        except FileNotFoundError:
            yield StoreIssue("missing", where, f"{name} does not exist")
            continue
        except InvalidInput as error:
            yield StoreIssue("unreadable", where, _first(error))
            continue
        if len(content) < stored.size:
            what = f"{name} has {len(content)} of {stored.size} bytes"
            yield StoreIssue("truncated", where, what)
        elif hashlib.sha256(content).hexdigest() != stored.sha256:
            yield StoreIssue("altered", where, f"{name} is not the file that was stored")
    for name in set(backend.names(key, integrity.digest)) - set(integrity.files) - {RECORD}:
        yield StoreIssue("foreign", f"{where}/{name}", "not a file of this trial")


def _check_index(backend: StorageBackend) -> Iterable[StoreIssue]:
    """Find rows of the index that claim to be current and differ from the record."""
    if not (index := read_index(backend)):
        return
    versions = backend.versions()
    current = [key for key, row in index.items() if versions.get(key) == row.version]
    for key, content in backend.load_records(current):
        if content.decode(errors="replace") != index[key].text:
            what = f"its row of trial {key} differs from that trial's record"
            yield StoreIssue("altered", f"{backend.location}/{INDEX}", what)


def _first(error: InvalidInput) -> str:
    return str(error).split(": delete")[0]
