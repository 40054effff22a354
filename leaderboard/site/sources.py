"""The sources of a site: records of a store and of bundles, evaluations, tunings, ablations."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from leaderboard.boards import Excluded
from leaderboard.bundles.bundle_file import Header, read_bundles
from leaderboard.bundles.limited_reading import read_bundle
from leaderboard.selection import Selection, select
from suite.results.ablation_design import Ablation, ablations
from suite.results.metadata_store import EVALUATIONS, documents, each_once
from suite.results.record import Record
from suite.results.store import CorruptRecord, Store
from suite.results.stored_evaluation import Evaluation, parse_evaluation, present
from suite.tuning.schema import Tuning, load_tunings


class SourceRecord(NamedTuple):
    """A record, later evaluations of its trial, and who sent it, if it came in a bundle."""

    record: Record
    evaluations: list[Evaluation]
    sender: Header | None = None


class Source:
    """The sources: a store, or records alone (which have no curves), and bundles.

    Attributes:
        location: of the store; empty without a store.
        tunings, ablations: of the store.
        senders: who sent each bundle.
        selection: which trials of the store are shown, and which of them on boards.
        unreadable: records that cannot be read, and why; complete once all records have been read.

    Raises:
        InvalidInput: there is no such study, or its document is damaged.
    """

    def __init__(
        self,
        source: Store | Iterable[Record],
        bundles: Sequence[Path] = (),
        study: str | None = None,
        *,
        include_ablations: bool = False,
    ) -> None:
        self._bundles, rejected = read_bundles(bundles, read_bundle)
        self.senders = [one.header for one in self._bundles]
        self.unreadable = [Excluded(one.where, "record", one.reason) for one in rejected]
        store = source if isinstance(source, Store) else None
        self._store, self._given = store, [] if isinstance(source, Store) else [*source]
        self.location = store.location if store else ""
        self.tunings: list[Tuning] = []
        self.ablations: list[Ablation] = []
        self._evaluations: dict[str, list[Evaluation]] = {}
        self.selection = Selection()
        if store is not None:
            chosen = select(store, study, include_ablations=include_ablations)
            sent = {record.key for one in self._bundles for record in one.records}
            apart = {key: what for key, what in chosen.apart.items() if key not in sent}
            self.selection = replace(chosen, apart=apart)
            self._read_documents(store)
        if only := self.selection.study:
            self.tunings = [one for one in self.tunings if one.settings.name == only]
            self.ablations = [one for one in self.ablations if one.name == only]

    def _read_documents(self, store: Store) -> None:
        """Read what is stored beside the trials, before any page is written."""
        self.tunings, tunings = load_tunings(store)
        self.ablations, designs = ablations(store)
        evaluations, measured = documents(store, EVALUATIONS, parse_evaluation)
        for one in evaluations.values():
            self._evaluations.setdefault(one.key, []).append(one)
        damaged = each_once([*self.selection.damaged, *tunings, *designs, *measured])
        self.unreadable += [Excluded(one.path, "document", one.reason) for one in damaged]

    def _chosen(self, key: str) -> bool:
        """Return whether a trial of the store has a page."""
        return self.selection.keys is None or key in self.selection.keys

    def trials(self) -> list[str]:
        """Return the keys of all trials, including those that cannot be read.

        Raises:
            InvalidInput: the store is not a folder, or cannot be listed.
        """
        own = self._store.keys() if self._store else [record.key for record in self._given]
        own = [key for key in own if self._chosen(key)]
        return [*own, *(record.key for one in self._bundles for record in one.records)]

    def read(self) -> Iterator[SourceRecord]:
        """Yield every record that can be read: the store's, then those of bundles.

        A trial that is in both is yielded from the store only.

        Raises:
            InvalidInput: the store is not a folder, or cannot be listed.
        """
        own = set()
        for found in self._own():
            own.add(found.record.key)
            yield found
        for one in self._bundles:
            yield from (SourceRecord(r, [], one.header) for r in one.records if r.key not in own)

    def _own(self) -> Iterator[SourceRecord]:
        if self._store is None:
            yield from (SourceRecord(record, []) for record in self._given)
            return
        for one in self._store.scan():
            if not self._chosen(one.key):
                continue
            if isinstance(one, CorruptRecord):
                self.unreadable.append(Excluded(one.key, "trial", one.reason))
            else:
                yield SourceRecord(one, present(self._evaluations.get(one.key, ()), one))
