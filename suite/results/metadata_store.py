"""Small JSON documents beside a store's trials: studies, and the results of tunings, ablations."""

import json
from typing import Any

from suite.core.errors import InvalidInput
from suite.core.redact import redact_bytes
from suite.results.record import refuse_constant, to_json
from suite.results.storage_backend import safe_name
from suite.results.store import Store

KINDS = {"tuning": "tune", "ablation": "ablate", "study": "study"}
"""Each kind, and the command that makes its documents."""

SUFFIX = ".json"


def save_document(store: Store, kind: str, name: str, content: Any) -> None:
    """Store `content` under a name, or replace an older document of that name.

    Keys and passwords of this machine, and logins in URLs, are redacted.

    Raises:
        InvalidInput: the name is not a plain file name, or the kind is not one of `KINDS`.
        StoreUnusable: it cannot be written.
        ValueError: `content` cannot be written as JSON (a NaN, for instance).
    """
    store.backend.save_shared(_path(kind, name), redact_bytes(to_json(content)))


def load_document(store: Store, kind: str, name: str) -> Any:
    """Return a document's content; None if there is none of that name.

    Raises:
        InvalidInput: the name is not a plain file name, or the document is damaged.
    """
    path = _path(kind, name)
    try:
        return json.loads(store.backend.load_shared(path), parse_constant=refuse_constant)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidInput(
            f"{store.location}/{path} is not a readable document ({type(error).__name__}): "
            f"delete it and run `resonance {KINDS[kind]}` again"
        ) from error


def documents(store: Store, kind: str) -> dict[str, Any]:
    """Return the documents of a kind by name, in the order of names.

    Raises:
        InvalidInput: one is damaged.
    """
    names = [
        name.removesuffix(SUFFIX)
        for name in store.backend.shared_names(_kind(kind))
        if name.endswith(SUFFIX)
    ]
    contents = {name: load_document(store, kind, name) for name in sorted(names)}
    return {name: content for name, content in contents.items() if content is not None}


def _kind(kind: str) -> str:
    if kind not in KINDS:
        raise InvalidInput(f"kind {kind!r:.60} of document: give one of {', '.join(KINDS)}")
    return kind


def _path(kind: str, name: str) -> str:
    return f"{_kind(kind)}/{safe_name(name + SUFFIX)}"
