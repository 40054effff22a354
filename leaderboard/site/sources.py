"""The sources of a site: records of a store and of bundles, evaluations, tunings, ablations."""

import functools
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from leaderboard.boards import Excluded
from leaderboard.bundles.bundle_file import (
    SHIPPED,
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
from leaderboard.output_folder import SiteFolder
from leaderboard.pages.navigation import Navigation
from leaderboard.pages.study_page import ShownStudy
from leaderboard.pages.trial_page_writer import ReadingContext
from leaderboard.selection import Selection, select
from leaderboard.site.stored_trials import StoredTrials
from leaderboard.site.studies import studies_of_store, studies_with_trials
from leaderboard.trial_facts import TrialFacts, TrialResult, has_signals
from leaderboard.workers import Workers
from suite.results import metadata_store
from suite.results.ablation_design import Ablation, ablations
from suite.results.metadata_store import EVALUATIONS, documents
from suite.results.record import Record
from suite.results.store import Store
from suite.results.stored_evaluation import Evaluation, parse_evaluation
from suite.tuning.schema import Tuning, load_tunings


class SourceRecord(NamedTuple):
    """A trial, and what is known of it.

    Attributes:
        result: what boards and tables read of it.
        evaluations: later ones.
        sender: who sent it, if it came in a bundle.
        reruns: by others who ran the trial again.
        record: of the trial; None for those of a store, which are not kept in memory.
    """

    result: TrialResult
    evaluations: Sequence[Evaluation]
    sender: Sender | None = None
    reruns: tuple[Rerun, ...] = ()
    record: Record | None = None

    @property
    def has_signals(self) -> bool:
        """Whether its record has measures of gradient signals."""
        if isinstance(self.result, TrialFacts):
            return self.result.signals
        return self.record is not None and has_signals(self.record)


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

    `root` is the folder of the site, which may know the store's trials from its last build.

    Attributes:
        location: of the store; empty without a store.
        tunings: of the store, and of bundles those that tested some of their shown records.
        tuning_senders: who sent a tuning, by its name; the store's are not there.
        ablations: of the store, and of bundles.
        studies: of the store, and shipped ones with trials in bundles; those with pages as
            ablations are not there.
        navigation: the sections of the site.
        senders: who sent each bundle.
        stored: the trials of the store; None without one.
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
        root: Path,
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
        self.stored = StoredTrials(store, root) if store else None
        self.tunings: list[Tuning] = []
        self.ablations: list[ShownAblation] = []
        self.studies: list[ShownStudy] = []
        self._evaluations: dict[str, list[Evaluation]] = {}
        self.selection = Selection()
        if store is not None:
            self.selection = select(store, study, include_ablations=include_ablations)
            self._read_documents(store)
        if not include_ablations:
            self.selection = replace(self.selection, apart=self._apart(ablation_trials(every)))
        if only := self.selection.study:
            self.tunings = [one for one in self.tunings if one.settings.name == only]
            self.studies = [one for one in self.studies if one.name == only]
        self.tuning_senders: dict[str, Sender] = {}
        self._add_sent_tunings()
        if only:
            self.ablations = [one for one in self.ablations if one.ablation.name == only]
        self._add_sent_ablations(every)
        self._add_sent_studies()
        shipped = SHIPPED[0].resolve() in [path.resolve() for path in bundles]
        self.navigation = Navigation.of(
            studies=bool(self.studies),
            ablations=bool(self.ablations),
            tunings=bool(self.tunings),
            reproductions=True,
            evidence=shipped,
        )

    def _read_documents(self, store: Store) -> None:
        """Read what is stored beside the trials, before any page is written."""
        self.tunings, tunings = load_tunings(store)
        found, designs = ablations(store)
        self.ablations = [ShownAblation(one) for one in found]
        self.studies, studies = studies_of_store(store)
        evaluations, measured = documents(store, EVALUATIONS, parse_evaluation)
        for one in evaluations.values():
            self._evaluations.setdefault(one.key, []).append(one)
        damaged = metadata_store.each_once(
            [*self.selection.damaged, *tunings, *designs, *studies, *measured]
        )
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

    def _add_sent_studies(self) -> None:
        """Add shipped studies that bundles have trials of; leave out what is no study to show."""
        taken = {one.name for one in self.studies}
        sent = {record.key for one in self._bundles for record in one.records}
        self.studies += [one for one in studies_with_trials(sent) if one.name not in taken]
        only, ablated = self.selection.study, {one.ablation.name for one in self.ablations}
        self.studies = [
            one
            for one in self.studies
            if one.name not in ablated and (not only or one.name == only)
        ]

    def _own_keys(self) -> set[str]:
        """Return the trials of the store, or of the records that were given in its place."""
        return set(self._own_trials())

    def _own_trials(self) -> Collection[str]:
        if self.stored is not None:
            return self.stored.versions
        return [record.key for record in self._given]

    def _chosen(self, key: str) -> bool:
        """Return whether a trial of the store has a page."""
        return self.selection.keys is None or key in self.selection.keys

    def trials(self) -> list[str]:
        """Return the keys of all trials that have a record, including those that cannot be read.

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
            own.add(found.result.key)
            yield self._with_reruns(found)
        for one in self._bundles:
            for record in one.records:
                if record.key not in own:
                    yield self._with_reruns(SourceRecord(record, [], one.sender, record=record))

    def _with_reruns(self, found: SourceRecord) -> SourceRecord:
        others = self._sent.get(found.result.key)
        record = found.record
        if others and record is None and self._store is not None:
            record = self._store.read(found.result.key)
        if not others or record is None:
            return found
        return found._replace(reruns=reruns(record, found.sender, others))

    def _own(self) -> Iterator[SourceRecord]:
        if self.stored is None:
            yield from (SourceRecord(record, [], record=record) for record in self._given)
            return
        for one in self.stored.read([*filter(self._chosen, self.stored.versions)]):
            if isinstance(one, TrialFacts):
                later = self._evaluations.get(one.key, ())
                yield SourceRecord(one, [e for e in later if e.model == one.weights])
            else:
                self.unreadable.append(Excluded(one.key, "trial", one.reason))

    def write_pages(
        self, folder: SiteFolder, workers: Workers, tuned: Mapping[str, Collection[str]]
    ) -> None:
        """From now on write pages of trials of the store as they are read, in processes.

        `tuned` is as for `Boards`.
        """
        if self.stored is not None:
            context = ReadingContext(
                tuned,
                self.selection.apart,
                self._evaluations,
                folder.before,
                self._sent,
                self.navigation,
            )
            self.stored.write_pages(folder, workers, context)

    def signals(self, found: Sequence[SourceRecord]) -> list[Record]:
        """Return the records of trials, of which those of the store are read again."""
        keys = [one.result.key for one in found if one.record is None]
        stored = self._store.read_each(keys)[0] if self._store is not None and keys else []
        return [*stored, *(one.record for one in found if one.record is not None)]

    @property
    def missing(self) -> bool:
        """Whether the store is a folder that does not exist."""
        location = self.location
        return bool(location) and "://" not in location and not Path(location).exists()

    @property
    def store(self) -> Store | None:
        """The store; None of records alone."""
        return self._store

    @property
    def few_changes(self) -> bool:
        """Whether some trials of the store changed since the last build, and most did not."""
        return self.stored is not None and self.stored.few_changes

    def keep(self) -> None:
        """Keep what was read of the store for the next build of the same site."""
        if self.stored is not None:
            self.stored.keep()
