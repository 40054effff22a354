"""Which records are out of date, and which of several versions of the user's own code is newest.

Where a method or task is installed, the newest is the code that is installed; elsewhere it is that
of the trial that finished last.
"""

import functools
from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeVar

from leaderboard.trial_facts import TrialResult
from suite.experiments import registry
from suite.experiments.own_code import method_code, task_code
from suite.experiments.trial_config import task_digest
from suite.results.record import RecordedMethod, RecordedTask
from suite.results.recorded_version import RecordedVersion

T = TypeVar("T")
SHOWN_DIGITS = 6
UNRECORDED = "not recorded"
"""Stands for code of which the records, being older, have no digest."""


class CodeVersion(NamedTuple):
    """A record's method and task, each with what identifies its code; empty for the suite's own.

    For a task that is not installed that includes the digest of its declaration and data.
    """

    method: str
    trainer: str
    task: str
    method_code: str
    task_code: str


class CodeVersions:
    """The versions of code among records, added one by one."""

    def __init__(self) -> None:
        self._newest: dict[tuple[str, ...], tuple[float, str]] = {}
        self._methods: dict[str, tuple[float, RecordedMethod]] = {}
        self._tasks: dict[str, tuple[float, RecordedTask]] = {}

    def add(self, record: TrialResult, made_by: RecordedVersion) -> CodeVersion:
        """Take note of a record, made by this version, and return it as a version of code."""
        version, at = self.of(made_by), record.finished
        self.note(version, at)
        if record.declared is not None:
            _keep_newest(self._methods, version.method, at, record.declared.method)
            _keep_newest(self._tasks, version.task, at, record.declared.task)
        return version

    def note(self, version: CodeVersion, at: float) -> None:
        """Take note of a version of a trial that ended at this time."""
        for name, code in _parts(version):
            if name not in self._newest or (at, code) > self._newest[name]:
                self._newest[name] = (at, code)

    def of(self, made_by: RecordedVersion) -> CodeVersion:
        """Return what a record was made by as a version of code."""
        return _code_version(made_by)

    def installed(self, made_by: RecordedVersion) -> CodeVersion:
        """Return the version that is installed here, of a record's task and method."""
        version = self.of(made_by)
        changes = {part: code for part, code in _installed(version).items() if code is not None}
        return version._replace(**changes)

    def older(self, version: CodeVersion) -> str:
        """Return the first digits of a version's code if it is not the newest; else nothing."""
        installed = _installed(version)
        for part, (name, code) in zip(("method_code", "task_code"), _parts(version), strict=True):
            newest = installed[part]
            if newest is None:
                newest = self._newest[name][1] if name in self._newest else code
            if code != newest:
                digits = code.strip().rpartition(" ")[2] if part == "task_code" else code
                return digits[:SHOWN_DIGITS] or UNRECORDED
        return ""

    def method_facts(self, method: str) -> RecordedMethod | None:
        """Return what the newest record says of a method; None if none says anything."""
        return self._methods[method][1] if method in self._methods else None

    def task_facts(self, task: str) -> RecordedTask | None:
        """Return what the newest record says of a task; None if none says anything."""
        return self._tasks[task][1] if task in self._tasks else None


def recorded_version(record: TrialResult) -> RecordedVersion:
    """Return what a record was made by."""
    declared = record.declared
    method = declared.method.code if declared is not None and declared.method else ""
    task = declared.task.code if declared is not None and declared.task else ""
    return RecordedVersion.of(record.trial, record.configuration, method, task)


def out_of_date(made: Iterable[tuple[RecordedVersion, float]]) -> dict[RecordedVersion, str]:
    """Return why trials are out of date, for those that are, by what they were made by.

    `made` has one entry a trial: its version, and when it ended (in seconds since 1970).
    """
    latest: dict[RecordedVersion, float] = {}
    for version, at in made:
        latest[version] = max(at, latest.get(version, 0.0))
    digest_of = functools.cache(digest_of_task)
    reasons = {version: outdated(version, digest_of) for version in latest}
    known = CodeVersions()
    codes = {version: _code_version(version) for version, why in reasons.items() if not why}
    for version, code in codes.items():
        known.note(code, latest[version])
    reasons |= {version: older_code(known.older(code)) for version, code in codes.items()}
    return {version: why for version, why in reasons.items() if why}


def outdated(version: RecordedVersion, digest_of: Callable[[str], str]) -> str:
    """Return why the declarations here are newer than a trial's, or ""; code does not count.

    `digest_of` returns the digest of a task that is installed: `digest_of_task`, or its cache.
    """
    kinds = (
        ("task", registry.tasks(), version.task, version.task_revision),
        ("method", registry.methods(), version.method, version.method_revision),
    )
    for kind, known, name, found in kinds:
        if name in known and found != known[name].revision:
            return (
                f"{kind} {name} is at revision {known[name].revision}, this record at {found!s:.60}"
            )
    if version.task not in registry.tasks():
        return ""
    name = registry.tasks()[version.task].dataset
    revision, found = registry.datasets()[name].revision, version.dataset_revision
    if found != revision:
        return f"dataset {name} is at revision {revision}, this record at {found!s:.60}"
    if version.task_digest != digest_of(version.task):
        return f"task {version.task} is declared differently now"
    return ""


def digest_of_task(task: str) -> str:
    """Return the digest of the declarations of a task that is installed."""
    declared = registry.tasks()[task]
    return task_digest(declared, registry.datasets()[declared.dataset])


def older_code(digits: str) -> str:
    """Return in words that code is older, given `CodeVersions.older`; empty for the newest."""
    return f"its code is older ({digits}): run it again" if digits else ""


def _code_version(made_by: RecordedVersion) -> CodeVersion:
    task = made_by.task_code
    if made_by.task not in registry.tasks():
        task = f"{task} {made_by.task_digest!s:.40}"
    return CodeVersion(made_by.method, made_by.trainer, made_by.task, made_by.method_code, task)


def _keep_newest(known: dict[str, tuple[float, T]], name: str, at: float, facts: T | None) -> None:
    if facts is not None and (name not in known or at > known[name][0]):
        known[name] = (at, facts)


def _parts(version: CodeVersion) -> list[tuple[tuple[str, ...], str]]:
    method = ("method", version.method, version.trainer)
    return [(method, version.method_code), (("task", version.task), version.task_code)]


def _installed(version: CodeVersion) -> dict[str, str | None]:
    """Return the code that is installed here; None for what is not."""
    trainer = version.trainer
    known = version.method in registry.methods() and (not trainer or trainer in registry.trainers())
    return {
        "method_code": method_code(version.method, trainer) if known else None,
        "task_code": task_code(version.task) if version.task in registry.tasks() else None,
    }
