"""Writing pages of many trials: curves are read in batches, and processes share the work."""

import contextlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from leaderboard.boards import Boards, PlacedRecord, board_title
from leaderboard.bundles.bundle_file import Sender
from leaderboard.bundles.reruns import Rerun
from leaderboard.output_folder import SiteFolder, code_digest, inputs_digest
from leaderboard.page_data import page_name
from leaderboard.pages.curve_data import curves_json
from leaderboard.pages.navigation import PLAIN, Navigation
from leaderboard.pages.trial_page import ShownTrial, TrialLinks, trial_page
from leaderboard.trial_facts import FactsText, facts_text
from leaderboard.workers import Workers
from suite.core.errors import InvalidInput
from suite.core.files import atomic_write
from suite.core.redact import redact_files
from suite.results.record import Record
from suite.results.storage_backend import RECORD
from suite.results.store import Store, gc_paused
from suite.results.stored_curves import CURVES_FILE
from suite.results.stored_evaluation import Evaluation, present

BATCH_SIZE = 200
"""Trials whose records and curves are in memory at the same time."""
NO_CURVES = "The store holds no curves of this trial."
FROM_BUNDLE = "This trial's record came in a bundle, which contains no curves."
DAMAGED = f"The curves of this trial cannot be read: {CURVES_FILE} is damaged."


@dataclass(frozen=True)
class PageJob:
    """A page to write: its address, a digest of its inputs, and what it shows.

    Attributes:
        record: of the trial; None if it is to be read from the store.
        navigation: the bar of the site.
    """

    name: str
    made_from: str
    key: str
    links: TrialLinks
    evaluations: Sequence[Evaluation] = ()
    sender: Sender | None = None
    reruns: Sequence[Rerun] = ()
    record: Record | None = None
    navigation: Navigation = PLAIN

    @property
    def own(self) -> bool:
        """Whether the trial is one of the store, which may have its curves."""
        return self.sender is None


def page_job(
    placed: PlacedRecord[Any],
    evaluations: Sequence[Evaluation],
    *,
    curves: bool,
    sender: Sender | None = None,
    reruns: Sequence[Rerun] = (),
    record: Record | None = None,
    navigation: Navigation = PLAIN,
) -> PageJob:
    """Return the job of writing a trial's page; `curves` says whether there may be curves."""
    facts, (task, settings), entry, left_out, on_board, _ = placed
    title = board_title(task, settings)
    links = TrialLinks(
        title,
        page_name("tasks", title) if on_board else "",
        entry.title,
        page_name("methods", entry.method) if on_board else "",
        left_out,
    )
    made_from = inputs_digest(
        code_digest(),
        facts.fingerprint,
        repr(links),
        repr(navigation),
        repr((sender, tuple(reruns))),
        "curves" if curves else "",
        *(evaluation.model_dump_json() for evaluation in evaluations),
    )
    name = page_address(facts.key)
    return PageJob(
        name, made_from, facts.key, links, evaluations, sender, reruns, record, navigation
    )


def page_address(key: str) -> str:
    """Return the address of a trial's page within the site."""
    return f"trials/{key}.html"


class TrialPages:
    """Writes pages of trials, in batches; `finish` waits for them.

    `store` is the location that records and curves are read from; empty without a store.
    """

    def __init__(self, folder: SiteFolder, store: str, workers: Workers) -> None:
        self._folder, self._store, self._workers = folder, store, workers
        self._pending: list[PageJob] = []
        self._running: list[Future[dict[str, str]]] = []

    def add(self, job: PageJob) -> None:
        """Queue a page, unless it is current.

        Raises:
            OSError: a page cannot be written.
        """
        if not self._folder.current(job.name, job.made_from):
            self._pending.append(job)
            if len(self._pending) == BATCH_SIZE:
                work = (self._folder.root, self._store, self._pending)
                self._running.append(self._workers.submit(write_pages, *work))
                self._pending = []

    def finish(self) -> None:
        """Write what is left, and wait for what is being written; note it in the folder.

        Raises:
            OSError: a page cannot be written.
        """
        written = [write_pages(self._folder.root, self._store, self._pending)]
        for one in [*written, *(running.result() for running in self._running)]:
            for name, made_from in one.items():
                self._folder.wrote(name, made_from)


def write_pages(root: Path, store: str, jobs: Sequence[PageJob]) -> dict[str, str]:
    """Write pages; return those that were written, and what they were made from.

    The page of a trial that is no longer in the store is not written.

    Raises:
        OSError: a page cannot be written.
    """
    missing = [job.key for job in jobs if job.record is None]
    read = {one.key: one for one in _records(store, missing) if isinstance(one, Record)}
    complete = [(job, job.record or read[job.key]) for job in jobs if job.record or job.key in read]
    _write(root, store, complete)
    return {job.name: job.made_from for job, _ in complete}


@dataclass(frozen=True)
class ReadingContext:
    """What the pages of trials depend on beside their records, of some trials, by their keys.

    Attributes:
        tuned, apart: as `Boards` takes them.
        current: of pages that exist, by address, what they were made from.
        elsewhere: trials of which others have sent records: their pages are not written.
        navigation: the bar of the site.
    """

    tuned: Mapping[str, Collection[str]] = field(default_factory=dict)
    apart: Mapping[str, str] = field(default_factory=dict)
    evaluations: Mapping[str, Sequence[Evaluation]] = field(default_factory=dict)
    current: Mapping[str, str] = field(default_factory=dict)
    elsewhere: Collection[str] = ()
    navigation: Navigation = PLAIN

    def part(self, keys: Iterable[str]) -> "ReadingContext":
        """Return what concerns these trials."""
        wanted = set(keys)
        pages = {page_address(key) for key in wanted}

        def of(found: Mapping[str, Any], names: set[str] = wanted) -> dict[str, Any]:
            return {name: found[name] for name in names if name in found}

        return ReadingContext(
            of(self.tuned),
            of(self.apart),
            of(self.evaluations),
            of(self.current, pages),
            wanted.intersection(self.elsewhere),
            self.navigation,
        )


class ReadTrial(NamedTuple):
    """A trial that was read: its facts, or why it cannot be read.

    Attributes:
        page: what its page was made from, if that is written or was current; else empty.
    """

    key: str
    text: FactsText | None
    reason: str = ""
    page: str = ""


def read_trials(
    store: str, keys: Sequence[str], root: Path | None = None, context: ReadingContext | None = None
) -> list[ReadTrial]:
    """Read trials of a store, in order; write their pages into `root`, if it is given.

    A page is that of the trial by itself. Where others have a say in it (a second trial of the same
    seed), it turns out to be made from something else, and is written again.

    Raises:
        OSError: a page cannot be written.
    """
    context = context or ReadingContext()
    boards = Boards(context.tuned)
    found: dict[str, ReadTrial] = {}
    jobs: list[tuple[PageJob, Record]] = []
    for record in _records(store, keys):
        if not isinstance(record, Record):
            found[record.key] = record
            continue
        key = record.key
        found[key] = ReadTrial(key, facts_text(record))
        if root is None or key in context.elsewhere:
            continue
        evaluations = present(context.evaluations.get(key, ()), record)
        placed = boards.add(record, context.apart.get(key, ""))
        job = page_job(placed, evaluations, curves=True, navigation=context.navigation)
        found[key] = found[key]._replace(page=job.made_from)
        if context.current.get(job.name) != job.made_from:
            jobs.append((job, record))
    if root is not None:
        _write(root, store, jobs)
    return list(found.values())


def _records(store: str, keys: Sequence[str]) -> Iterable[Record | ReadTrial]:
    """Return the records of those trials that have one, or why one cannot be read."""
    if not keys:
        return []
    results = Store(store)
    contents = results.contents(list(keys))
    found: list[Record | ReadTrial] = []
    with gc_paused():
        for key in keys:
            if (content := contents.get(key)) is None:
                continue
            try:
                if isinstance(content, InvalidInput):
                    raise content
                found.append(Record.from_json(content, f"{results.where(key)}/{RECORD}", key))
            except InvalidInput as error:
                found.append(ReadTrial(key, None, str(error)))
    return found


def _write(root: Path, store: str, jobs: Sequence[tuple[PageJob, Record]]) -> None:
    contents = _contents(store, [record for job, record in jobs if job.own]) if store else {}
    curves = curves_json(contents)
    pages = []
    for job, record in jobs:
        reason = (DAMAGED if job.key in contents else NO_CURVES) if store else ""
        if not job.own:
            reason = FROM_BUNDLE
        shown = ShownTrial(
            record, job.evaluations, job.links, job.sender, job.reruns, job.navigation
        )
        pages.append(trial_page(shown, curves.get(job.key, ""), reason))
    for (job, _), page in zip(jobs, redact_files(pages), strict=True):
        atomic_write(root / job.name, page, sync=False)


def _contents(store: str, records: Sequence[Record]) -> dict[str, bytes]:
    """Return the curve files that exist, by key."""
    results = Store(store)
    found = {}
    for record in records:
        with contextlib.suppress(FileNotFoundError, InvalidInput):
            found[record.key] = results.load_of(record, CURVES_FILE)
    return found
