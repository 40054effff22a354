"""Decides which trials of a study run: what is done, what failed, what remains."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from suite.core.code_files import changed_files
from suite.core.errors import InvalidInput
from suite.experiments.trial_config import Trial
from suite.results.record import Record, to_json
from suite.results.store import Store


class Overwrite(StrEnum):
    """Which trials that have a record are run again."""

    NEVER = "never"
    FAILED = "failed"
    ALWAYS = "always"


@dataclass(frozen=True)
class Schedule:
    """The trials of a study, sorted by what the store has of them.

    Attributes:
        done: finished before; skipped.
        failed: failed before; skipped unless they are also in `to_run`.
        to_run: run now, in this order.
    """

    done: list[Trial]
    failed: list[Trial]
    to_run: list[Trial]

    def __str__(self) -> str:
        words = [f"{len(self.done)} done", f"{len(self.to_run)} to run"]
        again = len({t.key for t in self.failed} & {t.key for t in self.to_run})
        if self.failed:
            words.append(
                f"{len(self.failed)} failed before" + (f", {again} again" if again else "")
            )
        return " · ".join(words)


def schedule(trials: Sequence[Trial], store: Store, overwrite: Overwrite) -> Schedule:
    """Return which trials are done, have failed before, or are to run."""
    done: list[Trial] = []
    failed: list[Trial] = []
    to_run: list[Trial] = []
    for trial in trials:
        record: Record | None = store.read(trial.key)
        if record is not None and record.status == "failed":
            failed.append(trial)
            if overwrite is Overwrite.NEVER:
                continue
        elif record is not None and overwrite is not Overwrite.ALWAYS and _current(trial, record):
            done.append(trial)
            continue
        to_run.append(trial)
    return Schedule(done, failed, to_run)


def _current(trial: Trial, record: Record) -> bool:
    """Return whether a record was made with the values that its settings have now.

    A default that was edited without raising the method's revision leaves the key as it was.
    """
    now = json.loads(to_json(trial.resolved()))
    return all(
        record.configuration[part].get(name, value) == value
        for part in ("hyperparameters", "recipe")
        for name, value in now[part].items()
    )


def planned(trial: Trial) -> dict[str, Any]:
    """Return what another process compares, by `check_unchanged`, before it runs a trial."""
    return {"key": trial.key, "code": dict(trial.code.digests)}


def check_unchanged(trial: Trial, key: str, code: Mapping[str, str]) -> None:
    """Check that a trial is here what it was where it was planned.

    Raises:
        InvalidInput: code or data of the user's have changed meanwhile.
    """
    if trial.key == key:
        return
    files = ", ".join(changed_files(code, trial.code.digests))
    what = files or f"the declaration or the data of task {trial.task}"
    raise InvalidInput(f"{what} changed after the trial was planned: run the same command again")


def preflight(trials: Sequence[Trial]) -> None:
    """Set up one trial of each kind without training it: options, data, model, targets.

    Raises:
        InvalidInput: the first thing found that cannot be used. Other errors are not raised: they
            will fail their trials and be recorded there.
    """
    from suite.training.trial import check_trial

    kinds: dict[str, Trial] = {}
    for trial in trials:
        kinds.setdefault(trial.model_copy(update={"seed": 0}).key, trial)
    for trial in kinds.values():
        try:
            check_trial(trial)
        except InvalidInput:
            raise
        except (Exception, SystemExit):
            continue
