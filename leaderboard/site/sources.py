"""The sources of a site: records of a store and of bundles, evaluations, tunings, ablations."""

import functools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from leaderboard.boards import Excluded
from leaderboard.bundles.bundle_file import (
    Bundle,
    Sender,
    ablation_trials,
    each_once,
    read_bundles,
)
from leaderboard.bundles.limited_reading import read_bundle
from leaderboard.bundles.reruns import Rerun, reruns
from leaderboard.bundles.signature import ALLOWED_SIGNERS
from leaderboard.bundles.tunings import of_records
from leaderboard.selection import Selection, select
from suite.results import metadata_store
from suite.results.ablation_design import Ablation, ablations
from suite.results.metadata_store import EVALUATIONS, documents
from suite.results.record import Record
from suite.results.store import CorruptRecord, Store
from suite.results.stored_evaluation import Evaluation, parse_evaluation, present
from suite.tuning.schema import Tuning, load_tunings


class SourceRecord(NamedTuple):
    """A record, and what is known of its trial.

    Attributes:
        evaluations: later ones.
        sender: who sent it, if it came in a bundle.
        reruns: by others who ran the trial again.
    """

    record: Record
    evaluations: list[Evaluation]
    sender: Sender | None = None
    reruns: tuple[Rerun, ...] = ()


class ShownAblation(NamedTuple):
    """An ablation, and where its records are.

    Attributes:
        ablation: its design.
        sender: who sent it, if it came in a bundle; its page then shows the bundle's records alone.
        records: of the bundle, by key; those of a store are read with all others.
    """

    ablation: Ablation
    sender: Sender | None = None
    records: Mapping[str, Record] | None = None


class Source:
    """The sources: a store, or records alone (which have no curves), and bundles.

    Attributes:
        location: of the store; empty without a store.
        tunings: of the store, and of bundles those that tested some of their shown records.
        tuning_senders: who sent a tuning, by its name; the store's are not there.
        ablations: of the store, and of bundles.
        senders: who sent each bundle.
        selection: which trials of the store are shown, and which of all are on no board.
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
        signers: Path = ALLOWED_SIGNERS,
    ) -> None:
        read = functools.partial(read_bundle, signers=signers)
        every, rejected = read_bundles(bundles, read)
        self._bundles = each_once(every)
        self.senders = [one.sender for one in self._bundles]
        self._sent: dict[str, list[tuple[Sender, Record]]] = defaultdict(list)
        for bundle in every:
            for record in bundle.records:
                self._sent[record.key].append((bundle.sender, record))
        self.unreadable = [Excluded(one.where, "record", one.reason) for one in rejected]
        store = source if isinstance(source, Store) else None
        self._store, self._given = store, [] if isinstance(source, Store) else [*source]
        self.location = store.location if store else ""
        self.tunings: list[Tuning] = []
        self.ablations: list[ShownAblation] = []
        self._evaluations: dict[str, list[Evaluation]] = {}
        self.selection = Selection()
        if store is not None:
            self.selection = select(store, study, include_ablations=include_ablations)
            self._read_documents(store)
        if not include_ablations:
            self.selection = replace(self.selection, apart=self._apart(ablation_trials(every)))
        if only := self.selection.study:
            self.tunings = [one for one in self.tunings if one.settings.name == only]
        self.tuning_senders: dict[str, Sender] = {}
        self._add_sent_tunings()
        if only:
            self.ablations = [one for one in self.ablations if one.ablation.name == only]
        self._add_sent_ablations(every)

    def _read_documents(self, store: Store) -> None:
        """Read what is stored beside the trials, before any page is written."""
        self.tunings, tunings = load_tunings(store)
        found, designs = ablations(store)
        self.ablations = [ShownAblation(one) for one in found]
        evaluations, measured = documents(store, EVALUATIONS, parse_evaluation)
        for one in evaluations.values():
            self._evaluations.setdefault(one.key, []).append(one)
        damaged = metadata_store.each_once([*self.selection.damaged, *tunings, *designs, *measured])
        self.unreadable += [Excluded(one.path, "document", one.reason) for one in damaged]

    def _apart(self, sent: Mapping[str, str]) -> dict[str, str]:
        """Return the trials that are on no board, with what each is of: `sent` ones, the store's.

        A trial is apart if it is so wherever it is.
        """
        of_store = self.selection.apart
        own = self._own_keys() if sent else set()  # listing them takes time
        return {
            key: what
            for key, what in {**sent, **of_store}.items()
            if (key in sent or key not in self._sent) and (key in of_store or key not in own)
        }

    def _add_sent_tunings(self) -> None:
        """Add the tunings of bundles; those of known signers first, as a name is taken once.

        A tuning says nothing of a trial that the store has: its record is the one shown.
        """
        if not any(bundle.tunings for bundle in self._bundles):
            return
        own = self._own_keys()
        taken = {one.settings.name for one in self.tunings}
        for bundle in sorted(self._bundles, key=lambda one: not one.sender.signed):
            keys = [record.key for record in bundle.records if record.key not in own]
            for one in of_records(bundle.tunings, keys):
                name = one.settings.name
                if name in taken:
                    reason = f"sent by {bundle.header.name}; there is another tuning of this name"
                    self.unreadable.append(Excluded(f"tuning {name}", "document", reason))
                    continue
                taken.add(name)
                self.tunings.append(one)
                self.tuning_senders[name] = bundle.sender

    def _add_sent_ablations(self, bundles: Sequence[Bundle]) -> None:
        """Add the ablations of bundles; those of known signers first, as a name is taken once."""
        taken = {one.ablation.name for one in self.ablations}
        for bundle in sorted(bundles, key=lambda one: not one.sender.signed):
            if (one := bundle.ablation) is None:
                continue
            if one.name in taken:
                reason = f"sent by {bundle.header.name}; there is another ablation of this name"
                self.unreadable.append(Excluded(f"ablation {one.name}", "document", reason))
                continue
            taken.add(one.name)
            records = {record.key: record for record in bundle.records}
            self.ablations.append(ShownAblation(one, bundle.sender, records))

    def _own_keys(self) -> set[str]:
        """Return the trials of the store, or of the records that were given in its place."""
        return set(self._own_trials())

    def _own_trials(self) -> Sequence[str]:
        return self._store.keys() if self._store else [record.key for record in self._given]

    def _chosen(self, key: str) -> bool:
        """Return whether a trial of the store has a page."""
        return self.selection.keys is None or key in self.selection.keys

    def trials(self) -> list[str]:
        """Return the keys of all trials, including those that cannot be read.

        Raises:
            InvalidInput: the store is not a folder, or cannot be listed.
        """
        own = [key for key in self._own_trials() if self._chosen(key)]
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
            yield self._with_reruns(found)
        for one in self._bundles:
            for record in one.records:
                if record.key not in own:
                    yield self._with_reruns(SourceRecord(record, [], one.sender))

    def _with_reruns(self, found: SourceRecord) -> SourceRecord:
        others = self._sent.get(found.record.key, ())
        return found._replace(reruns=reruns(found.record, found.sender, others))

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
