"""Checking the documents beside a store's trials: each one, and what else is in their folders."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from suite.core.errors import InvalidInput
from suite.results import ablation_design, stored_studies
from suite.results.metadata_store import (
    EVALUATIONS,
    FORMATS,
    SUFFIX,
    Document,
    check_name,
    document_names,
    document_path,
    read_document,
    unusable,
)
from suite.results.record import Unreadable
from suite.results.store import Store
from suite.results.store_issue import Kind, StoreIssue
from suite.results.stored_evaluation import parse_evaluation

JOURNAL = ".journal"
"""A search's own file, beside the tunings: Optuna reads and locks it."""


@dataclass(frozen=True)
class CheckedDocument:
    """A document as `verify` found it.

    Attributes:
        document: None if it cannot be used.
        issues: what is wrong with it.
    """

    kind: str
    name: str
    document: Document | None
    issues: list[StoreIssue]


def check_document(store: Store, kind: str, name: str) -> CheckedDocument:
    """Return a document, if it can be used, and what is wrong with it."""
    try:
        found = read_document(store, kind, name)
        if found is not None:
            PARSERS[kind](store, name, found.content)
    except InvalidInput as error:
        damage: Kind = error.kind if isinstance(error, Unreadable) else "unreadable"
        return CheckedDocument(kind, name, None, [document_issue(store, kind, name, damage, error)])
    if found is None or found.sealed:
        return CheckedDocument(kind, name, found, [])
    what = "it has no seal; `resonance store compact` adds one"
    return CheckedDocument(
        kind, name, found, [document_issue(store, kind, name, "unverifiable", what)]
    )


def document_issue(
    store: Store, kind: str, name: str, damage: Kind, what: InvalidInput | str
) -> StoreIssue:
    """Return an issue of a document; `what` is an error that names it, or says what is wrong."""
    where = f"{store.location}/{document_path(kind, name)}"
    words = str(what).removeprefix(f"{where} ").split(": delete it and ")[0]
    return StoreIssue(damage, where, words, FORMATS[kind].remake)


def checked_documents(store: Store, kind: str) -> Iterator[CheckedDocument]:
    """Yield the documents of a kind, in the order of names; one that vanished meanwhile is passed.

    Raises:
        InvalidInput: their folder cannot be listed.
    """
    for name in document_names(store, kind):
        checked = check_document(store, kind, name)
        if checked.document is not None or checked.issues:
            yield checked


def orphan_issues(
    store: Store, checked: CheckedDocument, models: Mapping[str, str | None]
) -> Iterable[StoreIssue]:
    """Return what is wrong with an evaluation that nothing uses: its trial is not there.

    `models` has the digest of the weights of each trial; None where that is not known.
    """
    if checked.kind != EVALUATIONS or checked.document is None:
        return []
    content = checked.document.content
    key, measured = str(content["key"]), content["model"]
    if key not in models:
        what = f"the store has no trial {key}"
    elif models[key] not in (None, measured):
        what = f"trial {key} has other weights now"
    else:
        return []
    return [document_issue(store, checked.kind, checked.name, "orphaned", what)]


def stray_files(store: Store, kind: str) -> Iterator[StoreIssue]:
    """Yield what is in the folder of a kind and is no document of it.

    Raises:
        InvalidInput: the folder cannot be listed.
    """
    known = {f"{name}{SUFFIX}" for name in document_names(store, kind)}
    for name in store.backend.shared_names(kind):
        if name in known or (kind == "tuning" and JOURNAL in name.lstrip(".")):
            continue
        damage: Kind = "leftover" if name.startswith(".new-") else "foreign"
        yield StoreIssue(damage, f"{store.location}/{kind}/{name}", "not a document of the store")


def _check_tuning(store: Store, name: str, content: Mapping[str, Any]) -> None:
    """Check what a tuning is known by; `suite.tuning` checks the rest when it is read."""
    settings = content.get("settings")
    if not isinstance(settings, dict) or not isinstance(content.get("methods"), dict):
        raise unusable(store, "tuning", name, "it has no settings or no methods", "foreign")
    check_name(store, "tuning", name, str(settings.get("name")))


PARSERS: dict[str, Callable[[Store, str, dict[str, Any]], object]] = {
    "tuning": _check_tuning,
    ablation_design.KIND: ablation_design.parse_ablation,
    stored_studies.KIND: stored_studies.read_study,
    EVALUATIONS: parse_evaluation,
}
"""By kind: what refuses content that is not of that kind."""
