"""Decides which trials of a study run: what is done, what failed, what remains."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

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
    keys = [trial.key for trial in trials]
    records = store.read_many(keys)
    resolved = Resolved()
    for trial, key in zip(trials, keys, strict=True):
        record = records.get(key)
        if record is not None and record.status == "failed":
            failed.append(trial)
            if overwrite is Overwrite.NEVER:
                continue
        elif (
            record is not None
            and overwrite is not Overwrite.ALWAYS
            and resolved.current(trial, record)
        ):
            done.append(trial)
            continue
        to_run.append(trial)
    return Schedule(done, failed, to_run)


class Resolved:
    """The values that settings have now, resolved once for all trials that share them."""

    def __init__(self) -> None:
        self._known: dict[str, dict[str, Any]] = {}

    def current(self, trial: Trial, record: Record) -> bool:
        """Return whether a record was made with the values that its settings have now.

        A default that was edited without raising the method's revision leaves the key as it was.
        """
        now = self._settings(trial)
        return all(
            record.configuration[part].get(name, value) == value
            for part in ("hyperparameters", "recipe")
            for name, value in now[part].items()
        )

    def _settings(self, trial: Trial) -> dict[str, Any]:
        shared = repr(trial.model_dump(exclude={"seed", "sparsity"}))
        if shared not in self._known:
            self._known[shared] = json.loads(to_json(trial.resolved()))
        return self._known[shared]


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
