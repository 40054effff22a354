"""`resonance list trials`: which trials of a store are listed, in which order, as which rows."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from leaderboard.code_versions import out_of_date
from leaderboard.terms import NO_UPDATE, OFF_BUDGET
from suite.core.arguments import not_a_sparsity
from suite.core.console import complain
from suite.core.declarations import unknown
from suite.core.errors import InvalidInput
from suite.experiments import registry
from suite.results.metrics import KNOWN, Metric
from suite.results.running_trials import RunningTrial, running_trials
from suite.results.store import CorruptRecord, Store
from suite.results.stored_studies import chosen_trials
from suite.results.trial_summaries import TrialSummary, planned, trial_summaries

STATES = ("done", "failed", "running", "missing", "damaged")
COLUMNS: Mapping[str, tuple[Callable[[TrialSummary], Any], bool]] = {
    "key": (lambda one: one.key, False),
    "task": (lambda one: one.task, False),
    "method": (lambda one: (one.method, one.settings), False),
    "sparsity": (lambda one: one.sparsity, False),
    "seed": (lambda one: one.seed, False),
    "status": (lambda one: STATES.index(one.status), False),
    "metric": (lambda one: one.value, True),
    "seconds": (lambda one: one.seconds, True),
    "when": (lambda one: one.started or None, True),
}
"""What each column is sorted by, and whether the largest comes first."""


@dataclass(frozen=True)
class TrialFilter:
    """Which trials are listed; what is empty leaves nothing out."""

    study: str | None = None
    task: Sequence[str] = ()
    method: Sequence[str] = ()
    status: Sequence[str] = ()
    sparsity: Sequence[float] = ()
    seed: Sequence[int] = ()

    def takes(self, one: TrialSummary) -> bool:
        """Return whether a trial is listed."""
        return (
            (not self.task or one.task in self.task)
            and (not self.method or one.method in self.method)
            and (not self.status or one.status in self.status)
            and (not self.sparsity or one.sparsity in self.sparsity)
            and (not self.seed or one.seed in self.seed)
        )

    def check(self, trials: Iterable[TrialSummary]) -> None:
        """Check that each name is one that a trial could have.

        Raises:
            InvalidInput: a task or method is neither in the store nor declared (with the nearest
                names), there is no such status, or a sparsity is none.
        """
        for state in self.status:
            if state not in STATES:
                raise InvalidInput(f"--status {state}: give one of {', '.join(STATES)}")
        for sparsity in self.sparsity:
            if not 0 <= sparsity < 1:
                raise not_a_sparsity("--sparsity", sparsity)
        for kind, names, declared in (
            ("task", self.task, registry.tasks),
            ("method", self.method, registry.methods),
        ):
            present = {getattr(one, kind) for one in trials} if names else set()
            for name in names:
                if name not in present and name not in declared():
                    valid = sorted(present - {""} | {one.name for one in declared()})
                    raise InvalidInput(unknown(kind, name, valid, see="list trials"))


def listed_trials(
    store: Store, chosen: TrialFilter, sort: str, limit: int | None, *, reverse: bool = False
) -> list[TrialSummary]:
    """Return the trials of a store, sorted by a column.

    Trials of a study that have no record are listed too, as missing or running. Numbers and times
    are sorted from the largest, other columns from the first; `reverse` turns that round. Trials
    without a value come last.

    Raises:
        InvalidInput: the store holds no trial, or an option names what does not exist.
    """
    if sort not in COLUMNS:
        raise InvalidInput(f"--sort {sort}: give one of {', '.join(COLUMNS)}")
    study = chosen_trials(store, chosen.study) if chosen.study is not None else None
    read, damaged = trial_summaries(store, study.keys if study else None)
    running = {one.key: one for one in running_trials(store)}
    trials = [replace(o, status="running") if o.key in running else o for o in read]
    trials += map(_damaged, damaged)
    trials = _marked(trials)
    known = {one.key for one in trials}
    if study is None:
        others = [_running(one) for key, one in running.items() if key not in known]
    else:
        states = {key: "running" if key in running else "missing" for key in study.keys}
        left = {key: state for key, state in states.items() if key not in known}
        others = [planned(key, state, study.trials[key]) for key, state in left.items()]
    trials += others
    if not trials:
        raise InvalidInput(
            f"store {store.location} holds no trials: name another with --store, or run one first, "
            "e.g. `resonance study quickstart`"
        )
    chosen.check(trials)
    found = [one for one in trials if chosen.takes(one)]
    return _sorted(found, sort, reverse=reverse)[:limit]


def _marked(trials: Sequence[TrialSummary]) -> list[TrialSummary]:
    """Return trials, with why they are out of date, if they are and have a record."""
    made = [(one.made_by, one.finished) for one in trials if one.made_by is not None]
    try:
        reasons = out_of_date(made)
    except InvalidInput as error:  # a plug-in that cannot be read hides no trial
        complain(f"which trials are out of date is not known: {error}")
        return list(trials)
    return [
        replace(one, out_of_date=reasons[one.made_by]) if one.made_by in reasons else one
        for one in trials
    ]


def _damaged(one: CorruptRecord) -> TrialSummary:
    return TrialSummary(one.key, "damaged", message=one.reason)


def _running(one: RunningTrial) -> TrialSummary:
    return TrialSummary(one.key, "running", one.task, one.method, one.sparsity, one.seed)


def _sorted(trials: list[TrialSummary], column: str, *, reverse: bool) -> list[TrialSummary]:
    value, largest_first = COLUMNS[column]
    # A fixed order of those that are equal: sorting keeps it.
    trials = sorted(trials, key=lambda one: (one.task, one.method, one.settings, one.key))
    trials.sort(key=lambda one: (one.sparsity is None, one.sparsity or 0.0, one.seed or 0))
    without = [one for one in trials if value(one) is None]
    having = [one for one in trials if value(one) is not None]
    return [*sorted(having, key=value, reverse=largest_first != reverse), *without]


def table_rows(trials: Sequence[TrialSummary]) -> list[list[str]]:
    """Return the rows of the table for people."""
    return [
        [
            one.key,
            one.task,
            f"{one.method} {one.settings}".strip(),
            "" if one.sparsity is None else f"{one.sparsity:g}",
            "" if one.seed is None else str(one.seed),
            status_text(one),
            metric_text(one),
            "" if one.seconds is None else f"{one.seconds:.1f}",
            one.started[:16].replace("T", " "),
        ]
        for one in trials
    ]


def status_text(one: TrialSummary) -> str:
    """Return the status of a trial with the mark that boards have in the place of its value."""
    if one.out_of_date:
        return f"{one.status}, out of date"
    if one.no_update:
        return f"{one.status}, {NO_UPDATE}"
    return f"{one.status}, {OFF_BUDGET}" if one.off_budget else one.status


def metric_text(one: TrialSummary) -> str:
    """Return the value of a trial's metric with its unit; named unless it is test accuracy."""
    if one.value is None:
        return ""
    metric = KNOWN.get(one.metric) or Metric(one.metric, one.metric.replace("_", " "), "number")
    name = "" if one.metric == "test_accuracy" else f" {metric.title}"
    return metric.text(one.value) + name


def explain(trials: Sequence[TrialSummary]) -> None:
    """Say on standard error why trials are damaged."""
    for one in trials:
        if one.status == "damaged":
            complain(f"damaged: {one.key}: {one.message}")


def data(trials: Sequence[TrialSummary]) -> list[dict[str, Any]]:
    """Return the trials as JSON-ready data."""
    apart = {"made_by", "configured"}
    shown = [one.name for one in fields(TrialSummary) if one.name not in apart]
    return [{name: getattr(one, name) for name in shown} for one in trials]
