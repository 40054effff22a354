"""The trials of a store as a site needs them: as the last build knew them, or read by processes."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from leaderboard.output_folder import SiteFolder
from leaderboard.pages.trial_page_writer import (
    BATCH_SIZE,
    ReadingContext,
    ReadTrial,
    page_address,
    read_trials,
)
from leaderboard.site.known_trials import KnownTrial, load_known, save_known
from leaderboard.trial_facts import FactsReader, TrialFacts
from leaderboard.workers import Workers
from suite.results.store import Store

FIRST = 20
"""Trials that are read before any page is written: if none can be read, there is no site."""
AHEAD = 8
"""Batches that processes have in hand: more would only wait, and take memory when they are read."""


class _Writing(NamedTuple):
    """Where pages are written, by whom, and what they depend on."""

    folder: SiteFolder
    workers: Workers
    context: ReadingContext


class StoredTrials:
    """Reads each trial of a store once, in a process that writes its page as well.

    Those whose record has not changed since the last build of the site in `root` are not read.

    Attributes:
        few_changes: whether some have changed, and most have not; known from the first trial on.
    """

    def __init__(self, store: Store, root: Path) -> None:
        self._store, self._root = store, root
        self._writing: _Writing | None = None
        self._known: dict[str, KnownTrial] = {}
        self._stale = self.few_changes = False

    @cached_property
    def versions(self) -> Mapping[str, str]:
        """A text for each record that changes whenever the record does, by key, in order.

        Raises:
            InvalidInput: the store is not a folder, or cannot be listed.
        """
        return dict(sorted(self._store.backend.versions().items()))

    def write_pages(self, folder: SiteFolder, workers: Workers, context: ReadingContext) -> None:
        """From now on write the page of each trial that is read, in processes if there are many."""
        self._writing = _Writing(folder, workers, context)

    def read(self, keys: Sequence[str]) -> Iterator[TrialFacts | ReadTrial]:
        """Yield the facts of these trials, in order, or why one cannot be read.

        Raises:
            InvalidInput: the store cannot be listed.
            OSError: a page cannot be written.
        """
        before = load_known(self._root, self._where)
        known = {
            key: one
            for key in keys
            if (one := before.get(key)) is not None and one.version == self.versions[key]
        }
        self._stale = known.keys() != before.keys() or len(known) < len(keys)
        self.few_changes = self._stale and len(keys) - len(known) < BATCH_SIZE
        self._known = {}
        reader = FactsReader()
        unread = self._unread([key for key in keys if key not in known])
        for key in keys:
            if (one := known.pop(key, None)) is None:
                found = next(unread)
                if found is None:  # gone since the store was listed
                    continue
                if found.text is None:
                    yield found
                    continue
                one = KnownTrial(self.versions[key], found.text)
                if found.page and self._writing is not None:
                    self._writing.folder.wrote(page_address(key), found.page)
            self._known[key] = one
            yield reader.read(one.text)

    def keep(self) -> None:
        """Keep what was read for the next build."""
        if self._stale:
            save_known(self._root, self._where, self._known)

    def _unread(self, keys: Sequence[str]) -> Iterator[ReadTrial | None]:
        """Yield what is read of each trial; None for one that has no record any more."""
        start = 0
        while start < len(keys) and self._writing is None:
            yield from _each(keys[start : start + FIRST], self._read(keys[start : start + FIRST]))
            start += FIRST
        batches = [keys[at : at + BATCH_SIZE] for at in range(start, len(keys), BATCH_SIZE)]
        running: list[Future[list[ReadTrial]]] = []
        for place, batch in enumerate(batches):
            while len(running) < min(place + AHEAD, len(batches)):
                running.append(self._started(batches[len(running)], alone=len(batches) == 1))
            yield from _each(batch, running[place].result())
            running[place] = Future()  # what has been yielded need not stay

    def _started(self, keys: Sequence[str], *, alone: bool) -> "Future[list[ReadTrial]]":
        """Return what will be read of these trials; a batch `alone` is not worth a process."""
        assert self._writing is not None
        folder, workers, context = self._writing
        work = (self._store.location, keys, folder.root, context.part(keys))
        return (Workers() if alone else workers).submit(read_trials, *work)

    def _read(self, keys: Sequence[str]) -> list[ReadTrial]:
        return read_trials(self._store.location, keys)

    @property
    def _where(self) -> str:
        """The store, whatever folder this process works in."""
        return str(self._store.root.resolve()) if self._store.local else self._store.location


def _each(keys: Sequence[str], found: Sequence[ReadTrial]) -> Iterator[ReadTrial | None]:
    by_key = {one.key: one for one in found}
    return (by_key.get(key) for key in keys)
