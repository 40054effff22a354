"""Compacting a store: one file of all records, seals on old documents, no leftovers."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from suite.core.errors import InvalidInput
from suite.results.document_checks import checked_documents
from suite.results.metadata_store import FORMATS, document_names, save_document
from suite.results.record_index import write_index
from suite.results.storage_backend import StoreUnusable
from suite.results.store import Store


@dataclass
class CompactReport:
    """What `compact` did.

    Attributes:
        records: how many are in the index.
        sealed: documents of earlier versions that were given a seal, as ``kind/name``.
        refused: records and documents that were left as they are, and why.
        removed: how many leftovers of trials were removed.
    """

    records: int = 0
    sealed: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    removed: int = 0


def compact(store: Store) -> CompactReport:
    """Write the index of all records, seal documents that have no seal, and remove leftovers.

    Raises:
        InvalidInput: the store holds nothing.
        StoreUnusable: it cannot be written.
    """
    if not store.keys() and not any(_names(store)):
        raise InvalidInput(f"store {store.location} holds no trials: nothing to compact")
    index = write_index(store.backend)
    done = CompactReport(index.records, refused=list(index.refused), removed=index.removed)
    for kind in FORMATS:
        _seal(store, kind, done)
        store.backend.sweep_shared(kind)
    return done


def _names(store: Store) -> Iterator[str]:
    for kind in FORMATS:
        try:
            yield from document_names(store, kind)
        except InvalidInput:  # named when it is sealed
            yield kind


def _seal(store: Store, kind: str, done: CompactReport) -> None:
    try:
        for one in checked_documents(store, kind):
            if one.document is None:
                done.refused += [f"{i.where}: {i.what}; {i.remedy}" for i in one.issues]
            elif not one.document.sealed:
                save_document(store, kind, one.name, one.document.content)
                done.sealed.append(f"{kind}/{one.name}")
    except StoreUnusable:
        raise
    except InvalidInput as error:  # the folder cannot be listed
        done.refused.append(str(error))
