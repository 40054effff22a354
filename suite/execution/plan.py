"""Decides which trials of a study run: what is done, what failed, what remains."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from suite.core.code_files import changed_files, is_own_origin
from suite.core.errors import InvalidInput
from suite.experiments.trial_config import CODE, Trial
from suite.results.record import Record, to_json
from suite.results.store import Store
from suite.results.trial_summaries import trial_summaries


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
        older: which of `to_run` the store has of other code or data, by key: what has changed.
        damaged: their records cannot be read, and why; skipped, since a record may be repaired.
        by_key: all of them by key, in the order of the study.
    """

    done: list[Trial]
    failed: list[Trial]
    to_run: list[Trial]
    older: Mapping[str, Sequence[str]] = field(default_factory=dict)
    damaged: Sequence[tuple[Trial, str]] = ()
    by_key: Mapping[str, Trial] = field(default_factory=dict)

    @property
    def trials(self) -> list[Trial]:
        """All of them, each once."""
        return list(self.by_key.values())

    def part(self, by_key: Mapping[str, Trial]) -> "Schedule":
        """Return the schedule of some of its trials, in its order; all are given by their keys."""
        done, failed, to_run = (
            [trial for trial in trials if trial.key in by_key]
            for trials in (self.done, self.failed, self.to_run)
        )
        older = {key: changed for key, changed in self.older.items() if key in by_key}
        damaged = [(trial, why) for trial, why in self.damaged if trial.key in by_key]
        return Schedule(done, failed, to_run, older, damaged, by_key)

    def __str__(self) -> str:
        words = [f"{len(self.done)} done", f"{len(self.to_run)} to run"]
        again = len({t.key for t in self.failed} & {t.key for t in self.to_run})
        if self.failed:
            words.append(
                f"{len(self.failed)} failed before" + (f", {again} again" if again else "")
            )
        if self.damaged:
            words.append(f"{len(self.damaged)} damaged")
        if self.older:
            words.append(older_text(self.older))
        return " · ".join(words)


def schedule(trials: Iterable[Trial], store: Store, overwrite: Overwrite) -> Schedule:
    """Return which trials are done, have failed before, are damaged, or are to run."""
    return schedule_by_key({trial.key: trial for trial in trials}, store, overwrite)


def schedule_by_key(
    trials: Mapping[str, Trial],
    store: Store,
    overwrite: Overwrite,
    just_run: Collection[str] = (),
) -> Schedule:
    """Return what `schedule` does, for trials whose keys are known.

    Those of `just_run` that have a record are not run again, whatever `overwrite` says.
    """
    done: list[Trial] = []
    failed: list[Trial] = []
    to_run: dict[str, Trial] = {}
    found, unread = trial_summaries(store, trials)
    summaries = {one.key: one for one in found}
    reasons = {one.key: one.reason for one in unread}
    damaged: list[tuple[Trial, str]] = []
    resolved = Resolved()
    for key, trial in trials.items():
        one = summaries.get(key)
        again = Overwrite.NEVER if key in just_run else overwrite
        if key in reasons and again is not Overwrite.ALWAYS:
            damaged.append((trial, reasons[key]))
            continue
        if one is not None and one.status == "failed":
            failed.append(trial)
            if again is Overwrite.NEVER:
                continue
        elif (
            one is not None
            and again is not Overwrite.ALWAYS
            and resolved.current(trial, one.configured)
        ):
            done.append(trial)
            continue
        to_run[key] = trial
    known = {key for key, one in summaries.items() if one.status == "failed"}
    changed = older([trial for key, trial in to_run.items() if key not in known], store)
    return Schedule(done, failed, list(to_run.values()), changed, damaged, trials)


MAX_NAMED = 3
"""Changed files that one line names."""


def older_text(older: Mapping[str, Sequence[str]]) -> str:
    """Return in words how many trials the store has of older code or data, and what changed."""
    changed = list(dict.fromkeys(name for names in older.values() for name in names))
    shown = ", ".join(changed[:MAX_NAMED])
    if len(changed) > MAX_NAMED:
        shown += f" and {len(changed) - MAX_NAMED} more"
    return f"{len(older)} of older code or data ({shown} changed): run again"


def older(trials: Sequence[Trial], store: Store) -> dict[str, list[str]]:
    """Return the trials that a store has of other code or data of the user's own, by key.

    The values name the files that differ, or the data. Where there are several such results, they
    are compared with the newest. A store is only searched for trials that are not of the suite
    alone, and damaged records count as none.
    """
    own = {_settings(trial.model_dump()): trial for trial in trials if _is_own(trial)}
    if not own:
        return {}
    newest: dict[str, Record] = {}
    for record in store.scan():
        if not isinstance(record, Record):
            continue
        trial = own.get(_settings(record.trial))
        if trial is None or trial.key == record.key:
            continue
        if (last := newest.get(trial.key)) is None or record.finished > last.finished:
            newest[trial.key] = record
    by_key = {trial.key: trial for trial in own.values()}
    return {t.key: _what_changed(t, newest[k]) for k, t in by_key.items() if k in newest}


def _is_own(trial: Trial) -> bool:
    origins = (trial.task_declaration.origin, trial.dataset_declaration.origin)
    return bool(trial.code.digests) or any(map(is_own_origin, origins))


def _settings(trial: Mapping[str, Any]) -> str:
    return json.dumps(trial, sort_keys=True, default=str)


def _what_changed(trial: Trial, record: Record) -> list[str]:
    """Return what differs between a trial now and its older result, in words."""
    now, before = trial.resolved(), record.configuration
    if now.get(CODE) != before.get(CODE):
        if not record.code:
            return [f"its code was not recorded ({', '.join(sorted(trial.code.digests))})"]
        return changed_files(record.code, trial.code.digests)
    fingerprint = trial.dataset_declaration.fingerprint
    if fingerprint and record.data.get("fingerprint", fingerprint) != fingerprint:
        return [f"data of {trial.task}"]
    names = {"task_digest": f"declaration of {trial.task}"}
    kinds = ("task_revision", "dataset_revision", "method_revision", "task_digest")
    changed = [names.get(n, n.replace("_", " ")) for n in kinds if now[n] != before.get(n)]
    return changed or ["its settings"]


class Resolved:
    """Compares the values that settings have now with those that trials were run with.

    Each configuration is resolved and compared once, for all trials that share it.
    """

    def __init__(self) -> None:
        self._values: dict[str, dict[str, Any]] = {}
        self._current: dict[tuple[str, str], bool] = {}

    def current(self, trial: Trial, configured: str) -> bool:
        """Return whether a trial was `configured` with the values that its settings have now.

        A default that was edited without raising the method's revision leaves the key as it was.
        """
        shared = repr(
            (
                trial.task, trial.method, trial.hyperparameters, trial.recipe, trial.device,
                trial.precision, trial.threads, trial.execution, trial.processes, trial.evaluate,
                trial.trainer,
            )
        )  # fmt: skip
        if (known := self._current.get((shared, configured))) is None:
            if shared not in self._values:
                self._values[shared] = json.loads(to_json(trial.resolved()))
            known = _agrees(self._values[shared], json.loads(configured))
            self._current[shared, configured] = known
        return known


def _agrees(now: Mapping[str, Any], before: Mapping[str, Any]) -> bool:
    return all(
        before[part].get(name, value) == value
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
