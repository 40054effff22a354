"""Writing pages of many trials: curves are read in batches, and processes share the work."""

import contextlib
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from leaderboard.output_folder import SiteFolder
from leaderboard.pages.curve_data import curves_json
from leaderboard.pages.trial_page import ShownTrial, trial_page
from suite.core.child_process import follow_parent_without_saving
from suite.core.errors import InvalidInput
from suite.core.files import atomic_write
from suite.core.own_packages import clean_start
from suite.core.redact import redact_file
from suite.core.stopping import blocked
from suite.results.store import Store
from suite.results.stored_curves import CURVES_FILE

BATCH_SIZE = 200
"""Trials whose curves are in memory at the same time."""
NO_CURVES = "The store holds no curves of this trial."
FROM_BUNDLE = "This trial's record came in a bundle, which contains no curves."
DAMAGED = f"The curves of this trial cannot be read: {CURVES_FILE} is damaged."


@dataclass(frozen=True)
class PageJob:
    """A page to write: its address, a digest of its inputs, and what it shows."""

    name: str
    made_from: str
    shown: ShownTrial


class TrialPages:
    """Writes pages of trials, in worker processes from the first full batch on.

    A context manager: at its end all pages are written. `store` is the location that curves are
    read from; empty without a store.
    """

    def __init__(self, folder: SiteFolder, store: str, workers: int = 1) -> None:
        self._folder, self._store, self._workers = folder, store, workers
        self._pending: list[PageJob] = []
        self._running: list[Future[None]] = []
        self._written: dict[str, str] = {}
        self._pool: ProcessPoolExecutor | None = None

    def add(self, job: PageJob) -> None:
        """Queue a page, unless it is current.

        Raises:
            OSError: a page cannot be written.
        """
        if self._folder.current(job.name, job.made_from):
            return
        self._written[job.name] = job.made_from
        self._pending.append(job)
        if len(self._pending) == BATCH_SIZE:
            if self._workers > 1 and self._pool is None:
                context = multiprocessing.get_context("spawn")  # polars has threads, so no fork
                self._pool = ProcessPoolExecutor(
                    self._workers, context, initializer=follow_parent_without_saving
                )
            self._submit()

    def _submit(self) -> None:
        work = (self._folder.root, self._store, self._pending)
        self._pending = []
        if self._pool is None:
            _write(*work)
        else:
            with clean_start(), blocked():  # processes start when there is work
                self._running.append(self._pool.submit(_write, *work))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                if self._pending:
                    self._submit()
                for one in self._running:
                    one.result()
                for name, made_from in self._written.items():
                    self._folder.wrote(name, made_from)
        finally:
            if self._pool is not None:
                self._pool.shutdown(cancel_futures=True)


def _write(root: Path, store: str, jobs: Sequence[PageJob]) -> None:
    contents = _contents(store, jobs) if store else {}
    curves = curves_json(contents)
    for job in jobs:
        key = job.shown.record.key
        reason = (DAMAGED if key in contents else NO_CURVES) if store else ""
        if job.shown.sender is not None:
            reason = FROM_BUNDLE
        page = trial_page(job.shown, curves.get(key, ""), reason)
        atomic_write(root / job.name, redact_file(page), sync=False)


def _contents(store: str, jobs: Sequence[PageJob]) -> dict[str, bytes]:
    """Return the curve files that exist, by key; the store has none for records of bundles."""
    results = Store(store)
    found = {}
    for record in (job.shown.record for job in jobs if job.shown.sender is None):
        with contextlib.suppress(FileNotFoundError, InvalidInput):
            found[record.key] = results.load_of(record, CURVES_FILE)
    return found
