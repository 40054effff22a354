"""Which code of the user's own a record was made by, and which of several is the newest.

Where a method or task is installed, the newest is the code that is installed; elsewhere it is that
of the trial that finished last.
"""

from typing import NamedTuple, TypeVar

from suite.experiments import registry
from suite.experiments.own_code import method_code, task_code
from suite.results.record import Record, RecordedMethod, RecordedTask

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

    def add(self, record: Record) -> CodeVersion:
        """Take note of a record and return its version."""
        version, at = self.of(record), record.finished
        for name, code in _parts(version):
            if name not in self._newest or (at, code) > self._newest[name]:
                self._newest[name] = (at, code)
        if record.declared is not None:
            _keep_newest(self._methods, version.method, at, record.declared.method)
            _keep_newest(self._tasks, version.task, at, record.declared.task)
        return version

    def of(self, record: Record) -> CodeVersion:
        """Return a record's version."""
        trial, declared = record.trial, record.declared
        method = declared.method.code if declared is not None and declared.method else ""
        task = declared.task.code if declared is not None and declared.task else ""
        if trial["task"] not in registry.tasks():
            task = f"{task} {record.configuration.get('task_digest')!s:.40}"
        return CodeVersion(trial["method"], trial.get("trainer", ""), trial["task"], method, task)

    def installed(self, record: Record) -> CodeVersion:
        """Return the version that is installed here, of a record's task and method."""
        version = self.of(record)
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
