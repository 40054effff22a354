"""What a site is made from: the records of a store and of bundles, and what stands beside them."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from leaderboard.submission import Header, read_bundles
from leaderboard.tables import Excluded
from suite.results.ablation_design import ablations
from suite.results.record import Record
from suite.results.store import CorruptRecord, Store
from suite.results.stored_evaluation import Evaluation, present, read_evaluations
from suite.tuning.schema import load_tunings


class Found(NamedTuple):
    """A record, what was measured of its trial later, and who sent it, if it was in a bundle."""

    record: Record
    evaluations: list[Evaluation]
    sender: Header | None = None


class Source:
    """A store, or records alone (which have no curves), with bundles beside them.

    Attributes:
        location: the store's; empty where there is none.
        tunings, ablations: the store's.
        senders: who sent each bundle.
        lost: what cannot be read, and why; complete once all records have been read.

    Raises:
        InvalidInput: a bundle or a document beside the trials is damaged.
    """

    def __init__(self, source: Store | Iterable[Record], bundles: Sequence[Path] = ()) -> None:
        self._bundles, rejected = read_bundles(bundles)
        self.senders = [one.header for one in self._bundles]
        self.lost = [Excluded(one.where, "record", one.reason) for one in rejected]
        store = source if isinstance(source, Store) else None
        self._store, self._given = store, [] if isinstance(source, Store) else [*source]
        self.location = store.location if store else ""
        self.tunings = load_tunings(store) if store else []
        self.ablations = ablations(store) if store else []
        self._evaluations = _evaluations(store) if store else {}

    def trials(self) -> list[str]:
        """Return the keys of all trials, those that cannot be read among them.

        Raises:
            InvalidInput: the store is not a folder, or cannot be listed.
        """
        own = self._store.keys() if self._store else [record.key for record in self._given]
        return [*own, *(record.key for one in self._bundles for record in one.records)]

    def read(self) -> Iterator[Found]:
        """Yield every record that can be read; the store's before those that were sent.

        A trial that the store has, too, is the store's.

        Raises:
            InvalidInput: the store is not a folder, or cannot be listed.
        """
        own = set()
        for found in self._own():
            own.add(found.record.key)
            yield found
        for one in self._bundles:
            yield from (Found(r, [], one.header) for r in one.records if r.key not in own)

    def _own(self) -> Iterator[Found]:
        if self._store is None:
            yield from (Found(record, []) for record in self._given)
            return
        for one in self._store.scan():
            if isinstance(one, CorruptRecord):
                self.lost.append(Excluded(one.key, "trial", one.reason))
            else:
                yield Found(one, present(self._evaluations.get(one.key, ()), one))


def _evaluations(store: Store) -> dict[str, list[Evaluation]]:
    """Return the evaluations of the store's trials: read before anything is written of a site."""
    measured = {name[:16] for name in store.backend.shared_names("evaluations")}
    return {key: read_evaluations(store, key) for key in measured.intersection(store.keys())}
