"""Live W&B runs: what a trial writes while it trains is logged as it appears.

The record stays the truth. When it is in the store, what the run lacks is added, and a run whose
history is not the record's is written again as a whole.
"""

import contextlib
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from suite.results.running_file import Row, RunningFileReader, running_path
from suite.results.store import Store
from suite.tracking.publish import mark_published, open_run, publish, stored_view
from suite.tracking.view import View
from suite.tracking.wandb import WandbConfig
from suite.tracking.wandb_run import WandbRun, log_history

MAX_OPEN = 32
"""Runs that are open at once; further trials are published when they have ended."""

Cell = tuple[int, int, str]
"""Round, step and name of one value of the history."""


class LiveRun:
    """The run of one trial that is being trained: opened once its file is there."""

    def __init__(self, store: Store, key: str, settings: WandbConfig) -> None:
        self.failed = False
        self._store, self._key, self._settings = store, key, settings
        self._path = running_path(store.root, key)
        self._reader: RunningFileReader | None = None
        self._run: WandbRun | None = None
        self._logged: dict[Cell, Any] = {}

    def poll(self) -> None:
        """Log what has been written since the last call."""
        for _ in range(2):  # the rest of a replaced file, and the file in its place
            if self._reader is None:
                with contextlib.suppress(OSError, ValueError):
                    self._reader = RunningFileReader(self._path)
            if self._reader is None:
                return
            current = self._reader.is_current()
            self._log(self._reader)
            if current:
                return
            self._close_reader()

    def complete(self) -> str | None:
        """End the run with what the record holds; None if it has to be written as a whole."""
        if self._reader is not None:
            self._log(self._reader)
        self._close_reader()
        if self._run is None:
            return None
        found = stored_view(self._store, self._key)
        missing = missing_rows(found.history(), self._logged)
        if missing is None:
            self.abandon()
            return None
        log_rest(self._run, found, missing)
        where = self._run.complete(self._store, found)
        mark_published(self._store, found, self._settings, where)
        return where

    def prune(self) -> str | None:
        """End the run of a trial that was ended early and has no record; None if it has no run."""
        if self._reader is not None:
            self._log(self._reader)
        self._close_reader()
        return self._run.end_early("pruned") if self._run is not None else None

    def abandon(self) -> None:
        """End the run as failed."""
        self.failed = True
        self._close_reader()
        if self._run is not None:
            self._run.abandon()
            self._run = None

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _log(self, reader: RunningFileReader) -> None:
        waiting: list[Row] = []
        lines = reader.read()
        if lines and self._run is None:
            self._run = self._open(reader)
        for line in lines:
            if "rows" in line:
                waiting += map(tuple, line["rows"])
            elif "seconds" in line:
                self._log_rows(waiting, float(line["seconds"]))
                waiting = []

    def _open(self, reader: RunningFileReader) -> WandbRun:
        about = reader.heading
        trial = {"task": about.task, "method": about.method, "sparsity": about.sparsity}
        config = {**about.configuration, "key": about.key}
        return open_run(self._settings, self._key, about.title, trial, config)

    def _log_rows(self, rows: Sequence[Row], seconds: float) -> None:
        assert self._run is not None
        new = missing_rows(history(rows), self._logged, compare=False)
        for row in new or ():
            self._logged |= cells(row)
            self._run.log(row, seconds, time.time())


class LiveRuns:
    """The runs of the trials that are being trained, and of those that have ended."""

    def __init__(self, store: Store, settings: WandbConfig) -> None:
        self._store, self._settings = store, settings
        self._open: dict[str, LiveRun] = {}

    def start(self, key: str) -> None:
        """Follow a trial that is about to be trained, also when it is retried."""
        if self._store.local and key not in self._open and len(self._open) < MAX_OPEN:
            self._open[key] = LiveRun(self._store, key, self._settings)

    def poll(self) -> None:
        """Log what is new; a run in which that fails is left alone until the trial has ended."""
        for run in self._open.values():
            if run.failed:
                continue
            try:
                run.poll()
            except (Exception, SystemExit):
                run.abandon()

    def finish(self, key: str) -> str:
        """End the run of a trial that is in the store, and return its address.

        Raises:
            InvalidInput: the trial has no record, or a damaged one.
            Exception: any that wandb raises.
        """
        run = self._open.pop(key, None)
        if run is not None and not run.failed:
            try:
                if (where := run.complete()) is not None:
                    return where
            except (Exception, SystemExit):
                run.abandon()
        return publish(self._store, key, self._settings)

    def prune(self, key: str) -> str | None:
        """End the run of a trial that a tuning has ended early; None if it had no run yet.

        Raises:
            Exception: any that wandb raises.
        """
        run = self._open.pop(key, None)
        if run is None or run.failed:
            return None
        try:
            return run.prune()
        except BaseException:
            run.abandon()
            raise

    def close(self) -> None:
        """End the runs of trials that did not end: `resonance wandb push` replaces them later."""
        for run in self._open.values():
            run.abandon()


def history(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Return rows of the curves by step, in the form of `View.history`."""
    by_step: dict[tuple[int, int], dict[str, Any]] = {}
    for number, step, series, layer, index, value in rows:
        row = by_step.setdefault((number, step), {"round": number, "step": step})
        name = f"{series}/{layer}" if layer else series
        if index == 0:
            row[name] = value
        elif index == 1:
            row[name] = [row[name], value]
        else:
            row[name].append(value)
    return list(by_step.values())


def cells(row: Mapping[str, Any]) -> dict[Cell, Any]:
    """Return the values of a row by round, step and name."""
    at = (row["round"], row["step"])
    return {(*at, name): value for name, value in row.items() if name not in ("round", "step")}


def missing_rows(
    rows: Iterable[Mapping[str, Any]], logged: Mapping[Cell, Any], *, compare: bool = True
) -> list[dict[str, Any]] | None:
    """Return the rows with what has not been logged; rows without anything are left out.

    With `compare`, `rows` are the whole history: None if something else has been logged.
    """
    missing, same = [], 0
    for row in rows:
        values = cells(row)
        new = {cell[-1]: value for cell, value in values.items() if cell not in logged}
        if compare and any(
            repr(logged[cell]) != repr(v) for cell, v in values.items() if cell in logged
        ):
            return None
        same += len(values) - len(new)
        if new:
            missing.append({"round": row["round"], "step": row["step"], **new})
    return None if compare and same != len(logged) else missing


def log_rest(run: WandbRun, found: View, rows: Sequence[Mapping[str, Any]]) -> None:
    """Log the last rows of a trial, which were written as it ended; or all, if none was live."""
    seconds = found.record.timing.get("seconds")
    if not run.has_rows:
        log_history(run, found, rows)
        return
    for row in rows:
        run.log(row, float(seconds) if isinstance(seconds, int | float) else 0.0, time.time())
