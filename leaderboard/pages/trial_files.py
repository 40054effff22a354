"""Many trials' pages: curves are read together, and processes share the work."""

import contextlib
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from leaderboard.folder import SiteFolder, write_whole
from leaderboard.pages.curves import curves_json
from leaderboard.pages.trial import TrialLinks, trial_page
from leaderboard.submission import Header
from suite.core.errors import InvalidInput
from suite.results.record import Record
from suite.results.store import Store
from suite.results.stored_evaluation import Evaluation

TOGETHER = 200
"""Trials whose curves are in memory at the same time."""
CURVES = "curves.parquet"
NO_CURVES = "The store holds no curves of this trial."
SENT = "This trial's record came in a bundle; its curves are not in a bundle."
DAMAGED = f"The curves of this trial cannot be read: {CURVES} is damaged."


@dataclass(frozen=True)
class Job:
    """A page to be written: its address, what it is made from (a digest), and its content.

    `sender` is who sent the record, where it came in a bundle.
    """

    name: str
    made_from: str
    record: Record
    evaluations: Sequence[Evaluation]
    place: TrialLinks
    sender: Header | None = None


class TrialPages:
    """Writes pages of trials as their jobs come: in processes from the first full batch on.

    A context, at whose end all are written. `store` is the location that curves are read from,
    empty where there is none.
    """

    def __init__(self, folder: SiteFolder, store: str, workers: int = 1) -> None:
        self._folder, self._store, self._workers = folder, store, workers
        self._due: list[Job] = []
        self._begun: list[Future[None]] = []
        self._names: dict[str, str] = {}
        self._pool: ProcessPoolExecutor | None = None

    def add(self, job: Job) -> None:
        """Write a page, soon, unless it is current.

        Raises:
            OSError: a page cannot be written.
        """
        if self._folder.current(job.name, job.made_from):
            return
        self._names[job.name] = job.made_from
        self._due.append(job)
        if len(self._due) == TOGETHER:
            if self._workers > 1 and self._pool is None:
                context = multiprocessing.get_context("spawn")  # polars has threads: no fork
                self._pool = ProcessPoolExecutor(self._workers, context)
            self._batch()

    def _batch(self) -> None:
        work = (self._folder.root, self._store, self._due)
        self._due = []
        if self._pool is None:
            _write(*work)
        else:
            self._begun.append(self._pool.submit(_write, *work))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                if self._due:
                    self._batch()
                for one in self._begun:
                    one.result()
                for name, made_from in self._names.items():
                    self._folder.wrote(name, made_from)
        finally:
            if self._pool is not None:
                self._pool.shutdown(cancel_futures=True)


def _write(root: Path, store: str, jobs: Sequence[Job]) -> None:
    contents = _contents(store, jobs) if store else {}
    curves = curves_json(contents)
    for job in jobs:
        key = job.record.key
        why = (DAMAGED if key in contents else NO_CURVES) if store else ""
        if job.sender is not None:
            why = SENT
        page = trial_page(
            job.record, curves.get(key, ""), job.evaluations, job.place, why, job.sender
        )
        write_whole(root / job.name, page)


def _contents(store: str, jobs: Sequence[Job]) -> dict[str, bytes]:
    """Return the files of curves that are there, by key; the store has none of what was sent."""
    place = Store(store).backend
    found = {}
    for job in (job for job in jobs if job.sender is None):
        with contextlib.suppress(FileNotFoundError, InvalidInput):
            found[job.record.key] = place.load(job.record.key, CURVES, job.record.checksum)
    return found
