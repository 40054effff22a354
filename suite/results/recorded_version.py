"""What a trial was made by, as its record says: revisions, declarations, code of the user's own."""

import datetime
from collections.abc import Mapping
from typing import Any, NamedTuple

RECORDED = ("task_revision", "dataset_revision", "method_revision", "task_digest")
"""What a record's configuration has of them."""


class RecordedVersion(NamedTuple):
    """The task and method of a trial, with the revisions and digests that its record has of them.

    Attributes:
        task_digest: of the declarations of task and dataset.
        method_code, task_code: digests of the user's own code; empty for the suite's.
    """

    task: str
    method: str
    trainer: str
    task_revision: Any
    dataset_revision: Any
    method_revision: Any
    task_digest: Any
    method_code: str
    task_code: str

    @classmethod
    def of(
        cls,
        trial: Mapping[str, Any],
        configuration: Mapping[str, Any],
        method_code: str,
        task_code: str,
    ) -> "RecordedVersion":
        """Return that of a record with these settings; what it lacks is None."""
        recorded = {name: _plain(configuration.get(name)) for name in RECORDED}
        return cls(
            task=str(trial.get("task", "")),
            method=str(trial.get("method", "")),
            trainer=str(trial.get("trainer", "")),
            **recorded,
            method_code=method_code,
            task_code=task_code,
        )

    @classmethod
    def of_content(cls, content: Mapping[str, Any]) -> "RecordedVersion":
        """Return that of a record, given as JSON."""
        declared = content.get("declared") or {}
        method, task = (str((declared.get(x) or {}).get("code", "")) for x in ("method", "task"))
        return cls.of(content["trial"], content.get("configuration") or {}, method, task)


def _plain(value: Any) -> Any:
    """Return a value that can be hashed: numbers and texts as they are."""
    return value if isinstance(value, int | float | str | None) else str(value)


def finished_at(timing: Mapping[str, Any]) -> float:
    """Return when a trial ended, in seconds since 1970; 0 where its record does not say."""
    try:
        started = datetime.datetime.fromisoformat(str(timing["started"]))
        return started.timestamp() + float(timing.get("seconds") or 0.0)
    except (KeyError, ValueError, OverflowError):
        return 0.0
