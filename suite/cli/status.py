"""`resonance status`: what a store holds, how far a study has got, what failed."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import sleep
from typing import Annotated, Any

import typer

from leaderboard.terms import NO_UPDATE, OFF_BUDGET
from suite.cli import completion
from suite.cli.options import DEFAULT_STORE, JsonOption, StoreOption
from suite.core.console import live, print_json, say
from suite.core.errors import InvalidInput
from suite.execution.plan import older, older_text
from suite.experiments.study import load_study
from suite.results.record import Record
from suite.results.store import CorruptRecord, Store
from suite.results.stored_studies import study_keys
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
            help="Only the trials of this study: its name or file.",
            autocompletion=completion.studies,
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
    keys = study_keys(results, name) if name is not None else None
    if watch:
        _watch(results, name, keys, every, json=json)
        return
    now = study_status(results, name, keys)
    if now.missing and name is not None:
        now = replace(now, older=_older(results, name))
    if json:
        print_json(now.data(results.location))
        return
    for line in now.lines():
        say(line)


def _older(store: Store, study: str) -> dict[str, list[str]]:
    """Return the trials of a study that the store only has of older code or data, if any."""
    try:
        trials = load_study(study).trials()
    except InvalidInput:  # the name of one whose file is not given
        return {}
    present = set(store.keys())
    return older([trial for trial in trials if trial.key not in present], store)


def _watch(
    store: Store, name: str | None, keys: list[str] | None, every: float, *, json: bool
) -> None:
    """Show the status repeatedly: in place on a terminal, else whenever it changes."""
    with live() as show, contextlib.suppress(KeyboardInterrupt):  # Ctrl-C stops it
        while True:
            now = study_status(store, name, keys)
            show(now.data(store.location) if json else list(now.lines(MAX_SHOWN)))
            if now.over:
                return
            sleep(every)
