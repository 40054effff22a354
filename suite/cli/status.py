"""`resonance status`: what a store holds, how far a study has got, what failed."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import sleep
from typing import Annotated, Any

import typer

from leaderboard.terms import NO_UPDATE, OFF_BUDGET
from suite.cli import completion
from suite.cli.options import DEFAULT_STORE, JsonOption, StoreOption
from suite.core.console import live, print_json, say
from suite.execution.plan import older, older_text
from suite.experiments.study import Study
from suite.experiments.study_group import StudyGroup
from suite.experiments.trial_config import Trial
from suite.results.record import Record
from suite.results.store import CorruptRecord, Store
from suite.results.stored_studies import ChosenTrials, find_study
from suite.results.trial_summaries import trial_summaries

MAX_SHOWN = 20
"""Failures that `--watch` lists; the rest are counted."""


@dataclass(frozen=True)
class StudyStatus:
    """How many trials of a store, or of a study in it, are done, failed or missing.

    `no_update` and `off_budget` of those done are no results: connectivity was never updated, or
    training took other FLOPs than it was given.
    """

    what: str
    done: int
    failures: list[Record]
    missing: int | None
    damaged: list[CorruptRecord] = field(default_factory=list)
    older: Mapping[str, Sequence[str]] = field(default_factory=dict)
    no_update: int = 0
    off_budget: int = 0

    @property
    def over(self) -> bool:
        """Whether the study has nothing left to run; a store without a study is never over."""
        return self.missing == 0

    def lines(self, most: int | None = None) -> Iterator[str]:
        """Yield a line with the counts, and one for each failure (at most `most` of them)."""
        uncounted = {NO_UPDATE: self.no_update, OFF_BUDGET: self.off_budget}
        marks = ", ".join(f"{count} {mark}" for mark, count in uncounted.items() if count)
        apart = f" ({marks})" if marks else ""
        yield (
            f"{self.what}: {self.done} done{apart}, {len(self.failures)} failed"
            + (f", {self.missing} to run" if self.missing is not None else "")
            + (f", {len(self.damaged)} damaged" if self.damaged else "")
        )
        if self.older:
            yield f"  {older_text(self.older)}"
        for record in self.failures[:most]:
            assert record.error is not None
            yield f"  {record.key} {record.title}: {record.error['message']}"
        if most is not None and len(self.failures) > most:
            yield f"  and {len(self.failures) - most} more (`resonance status` lists them)"
        for one in self.damaged[:most]:
            yield f"  {one.key}: {one.reason}"

    def data(self, store: str) -> dict[str, Any]:
        """Return the status as JSON-ready data."""
        return {
            "store": store,
            "done": self.done,
            "no_update": self.no_update,
            "off_budget": self.off_budget,
            "failed": len(self.failures),
            "missing": self.missing or 0,
            "older": {key: list(changed) for key, changed in self.older.items()},
            "failures": [{"key": r.key, "trial": r.trial, "error": r.error} for r in self.failures],
            "damaged": [{"key": one.key, "reason": one.reason} for one in self.damaged],
        }


@dataclass(frozen=True)
class GroupStatus:
    """How far each study of a group has got; a trial that several have counts for each of them."""

    name: str
    studies: Sequence[tuple[Study, StudyStatus]]

    @property
    def over(self) -> bool:
        """Whether no study has anything left to run."""
        return all(status.over for _, status in self.studies)

    def lines(self, most: int | None = None) -> Iterator[str]:
        """Yield the lines of each study; `most` is as in `StudyStatus.lines`."""
        for _, status in self.studies:
            yield from status.lines(most)

    def data(self, store: str) -> dict[str, Any]:
        """Return the status as JSON-ready data."""
        studies = [{"study": study.name, **status.data(store)} for study, status in self.studies]
        return {"group": self.name, "store": store, "studies": studies}


def study_status(store: Store, study: str | None, keys: list[str] | None) -> StudyStatus:
    """Read the status of a store, or of the study whose trials have these keys."""
    found, damaged = trial_summaries(store, keys)
    failed = [one.key for one in found if one.status == "failed"]
    failures, unread = store.read_each(failed)
    what = f"study {study}" if study else f"store {store.location}"
    missing = None if keys is None else len(keys) - len(found) - len(damaged)
    idle = sum(bool(one.no_update) for one in found)
    return StudyStatus(
        what,
        done=len(found) - len(failed),
        failures=failures,
        missing=missing,
        damaged=damaged + unread,
        no_update=idle,
        off_budget=sum(bool(one.off_budget and not one.no_update) for one in found),
    )


def status(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[STUDY]",
            help="Only the trials of this study or group of studies: its name or file.",
            autocompletion=completion.studies_and_groups,
        ),
    ] = None,
    store: StoreOption = DEFAULT_STORE,
    watch: Annotated[
        bool, typer.Option("--watch", help="Keep it up to date until the study is over, or Ctrl-C.")
    ] = False,
    every: Annotated[
        float, typer.Option(min=0.1, help="With --watch: seconds between updates.")
    ] = 2.0,
    json: JsonOption = False,
) -> None:
    """Show what the store holds, or how far a study has got, and what failed."""
    results = Store(store)
    found = None if name is None else find_study(results, name)
    asked = _asked(name, found)

    def read(*, with_older: bool = False) -> StudyStatus | GroupStatus:
        each = [_status_of(results, one, with_older=with_older) for one in asked]
        if isinstance(found, StudyGroup):
            return GroupStatus(found.name, list(zip(found.studies, each, strict=True)))
        return each[0]

    if watch:
        _watch(results, read, every, json=json)
        return
    now = read(with_older=True)
    if json:
        print_json(now.data(results.location))
        return
    for line in now.lines():
        say(line)


@dataclass(frozen=True)
class _Asked:
    """What the status is of: a study, or the whole store if `name` and `keys` are None.

    `trials` by key are empty where the store only remembers the keys.
    """

    name: str | None
    keys: list[str] | None
    trials: Mapping[str, Trial] = field(default_factory=dict)


def _asked(name: str | None, found: Study | StudyGroup | ChosenTrials | None) -> list[_Asked]:
    """Return the studies that are meant by a name: one, or those of a group."""
    if found is None:
        return [_Asked(None, None)]
    if isinstance(found, ChosenTrials):
        return [_Asked(name, found.keys)]
    if isinstance(found, StudyGroup):
        return [one for study in found.studies for one in _asked(study.name, study)]
    trials = found.trials_by_key()
    return [_Asked(name, list(trials), trials)]


def _status_of(store: Store, one: _Asked, *, with_older: bool) -> StudyStatus:
    """Return how far a study has got; `with_older`: also what has run with older code or data."""
    now = study_status(store, one.name, one.keys)
    if not with_older or not now.missing:
        return now
    present = set(store.keys())
    missing = [trial for key, trial in one.trials.items() if key not in present]
    return replace(now, older=older(missing, store))


def _watch(
    store: Store, read: Callable[[], StudyStatus | GroupStatus], every: float, *, json: bool
) -> None:
    """Show the status repeatedly: in place on a terminal, else whenever it changes."""
    with live() as show, contextlib.suppress(KeyboardInterrupt):  # Ctrl-C stops it
        while True:
            now = read()
            show(now.data(store.location) if json else list(now.lines(MAX_SHOWN)))
            if now.over:
                return
            sleep(every)
