"""JSON documents beside a store's trials: studies, tunings, ablations, evaluations.

They are sealed like records: `save_document` adds the SHA-256 of the content, `load_document`
checks it. Documents from before there were seals are read as they are; a newer one without its seal
counts as altered.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from suite.core.bounded_json import DOCUMENT, InvalidJson, parse
from suite.core.errors import InvalidInput
from suite.core.redact import redact_bytes
from suite.results.integrity import with_integrity
from suite.results.record import Damage, Unreadable, to_json
from suite.results.storage_backend import NAME, safe_name
from suite.results.store import Store

SUFFIX = ".json"


@dataclass(frozen=True)
class DocumentKind:
    """What all documents of a kind share; the kind is the name of their folder.

    Attributes:
        remake: how a document is made again.
        schema_version: of the documents that this program writes; it reads older ones too.
        sealed_since: the first schema version whose documents have a seal.
    """

    remake: str
    schema_version: int
    sealed_since: int


EVALUATIONS = "evaluations"
FORMATS = {
    "tuning": DocumentKind(
        "run `resonance tune` again, which resumes from the finished trials", 5, 5
    ),
    "ablation": DocumentKind("run `resonance ablate` again, which skips what is done", 2, 2),
    "study": DocumentKind("run `resonance study` again, which skips what is done", 3, 2),
    EVALUATIONS: DocumentKind("run `resonance evaluate` again", 2, 2),
}
KINDS = ("tuning", "ablation", "study")
"""The kinds that name trials, by a name that users give; evaluations are each of one trial."""

Parsed = TypeVar("Parsed")
Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class DamagedDocument:
    """A document that cannot be used, and why.

    Attributes:
        path: in the store: ``tuning/NAME.json``; of a folder that cannot be listed, its name.
    """

    path: str
    error: InvalidInput

    @property
    def reason(self) -> str:
        """What is wrong and what to do, in one line that names the file."""
        return str(self.error)


@dataclass(frozen=True)
class Document:
    """The content of a document, and whether it was checked against a seal."""

    content: dict[str, Any]
    sealed: bool


def save_document(store: Store, kind: str, name: str, content: Mapping[str, Any]) -> None:
    """Store `content` under a name, sealed, or replace an older document of that name.

    It gets the current schema version, unless it states a newer one. Keys and passwords of this
    machine, and logins in URLs, are redacted.

    Raises:
        InvalidInput: the name is not a plain file name, or the kind is not one of `FORMATS`.
        StoreUnusable: it cannot be written.
        ValueError: `content` cannot be written as JSON (a NaN, for instance).
    """
    path = document_path(kind, name)
    version = max(FORMATS[kind].schema_version, content.get("schema_version", 0))
    text = redact_bytes(to_json({**content, "schema_version": version}))
    try:
        sealed = to_json(with_integrity(parse(text), {}))
    except InvalidJson as error:
        raise InvalidInput(f"{path} could not be read again ({error}): give it less") from error
    store.backend.save_shared(path, sealed)


def load_document(store: Store, kind: str, name: str) -> dict[str, Any] | None:
    """Return a document's content without its seal; None if there is none of that name.

    Raises:
        InvalidInput: the name is not a plain file name, or the document is damaged.
    """
    found = read_document(store, kind, name)
    return None if found is None else found.content


def read_document(store: Store, kind: str, name: str) -> Document | None:
    """Return a document; None if there is none of that name.

    Raises:
        InvalidInput: the name is not a plain file name, or the file cannot be read.
        Unreadable: it is not JSON, does not match its seal or has lost it, or is of a newer schema.
    """
    path = document_path(kind, name)
    try:
        data = store.backend.load_shared(path, DOCUMENT.size)
    except FileNotFoundError:
        return None
    except InvalidInput as error:
        if str(error).startswith(where := _where(store, kind, name)):
            raise
        raise InvalidInput(f"{where} cannot be read: {error}") from error  # it names the store
    try:
        content = parse(data)
    except InvalidJson as error:
        raise unusable(store, kind, name, str(error), "truncated") from error
    return _checked(store, kind, name, content)


def _checked(store: Store, kind: str, name: str, content: Any) -> Document:
    """Return a document whose seal is right, or that is from before there were seals."""
    version = content.get("schema_version") if isinstance(content, dict) else None
    if type(version) is not int or version < 1:
        raise unusable(store, kind, name, "no schema version", "foreign")
    if version > FORMATS[kind].schema_version:
        raise Unreadable(
            f"{_where(store, kind, name)} has schema version {version}, this program reads up to "
            f"{FORMATS[kind].schema_version}: update resonance-bench",
            "newer",
        )
    plain = {field: value for field, value in content.items() if field != "seal"}
    if "seal" not in content:
        if version < FORMATS[kind].sealed_since:
            return Document(plain, sealed=False)
        raise unusable(store, kind, name, "it has lost its seal", "altered")
    if content["seal"] != with_integrity(plain, {})["seal"]:
        raise unusable(store, kind, name, "it does not match its seal", "altered")
    return Document(plain, sealed=True)


def documents(
    store: Store, kind: str, read: Callable[[Store, str, dict[str, Any]], Parsed]
) -> tuple[dict[str, Parsed], list[DamagedDocument]]:
    """Return the documents of a kind by name, in the order of names, and those that are damaged.

    `read` makes something of a store, a document's name and its content; it may raise
    `InvalidInput`. `as_it_is` returns the content.
    """
    found: dict[str, Parsed] = {}
    damaged: list[DamagedDocument] = []
    try:
        names = document_names(store, kind)
    except InvalidInput as error:
        return {}, [DamagedDocument(kind, error)]
    for name in names:
        try:
            content = load_document(store, kind, name)
            if content is not None:
                found[name] = read(store, name, content)
        except InvalidInput as error:
            damaged.append(DamagedDocument(document_path(kind, name), error))
    return found, damaged


def listed(
    store: Store, kind: str, read: Callable[[Store, str, dict[str, Any]], Parsed]
) -> tuple[list[Parsed], list[DamagedDocument]]:
    """Return `documents` without their names, for those that state their own."""
    found, damaged = documents(store, kind, read)
    return list(found.values()), damaged


def each_once(damaged: Iterable[DamagedDocument]) -> list[DamagedDocument]:
    """Return damaged documents in order, each file once: several readers may have met it."""
    return list({one.path: one for one in damaged}.values())


def as_it_is(store: Store, name: str, content: dict[str, Any]) -> dict[str, Any]:
    """Return a document's content, for `documents`."""
    return content


def document_names(store: Store, kind: str) -> list[str]:
    """Return the names of the documents of a kind, readable or not, in order.

    Raises:
        InvalidInput: their folder cannot be listed.
    """
    names = store.backend.shared_names(document_folder(kind))
    return sorted(
        name.removesuffix(SUFFIX)
        for name in names
        if name.endswith(SUFFIX) and NAME.fullmatch(name)
    )


def document_folder(kind: str) -> str:
    """Return the folder of a kind of document in a store.

    Raises:
        InvalidInput: the kind is not one of `FORMATS`.
    """
    if kind not in FORMATS:
        raise InvalidInput(f"kind {kind!r:.60} of document: give one of {', '.join(FORMATS)}")
    return kind


def document_path(kind: str, name: str) -> str:
    """Return the path of a document in a store.

    Raises:
        InvalidInput: the name is not a plain file name, or the kind is not one of `FORMATS`.
    """
    return f"{document_folder(kind)}/{safe_name(name + SUFFIX)}"


def validated(
    model: type[Model],
    store: Store,
    kind: str,
    name: str,
    content: Mapping[str, Any],
    stated: Callable[[Model], str],
) -> Model:
    """Return a document's content as a model; `stated` returns the name that it states.

    Raises:
        Unreadable: it is none, or it is stored under another name.
    """
    try:
        found = model.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        message = first["msg"].splitlines()[0]
        reason = f"{place:.80}: {message:.200}" if place else f"{message:.200}"
        raise unusable(store, kind, name, reason, "foreign") from error
    check_name(store, kind, name, stated(found))
    return found


def check_name(store: Store, kind: str, name: str, stated: str) -> None:
    """Check that a document is stored under the name that it states.

    Raises:
        Unreadable: it is that of another name.
    """
    if stated != name:
        raise unusable(store, kind, name, f"it is that of {stated!r:.120}", "foreign")


def unusable(store: Store, kind: str, name: str, reason: str, damage: Damage) -> Unreadable:
    """Return the error of a document that cannot be used, with what to do."""
    return Unreadable(_complaint(store, kind, name, reason), damage)


def _complaint(store: Store, kind: str, name: str, reason: str) -> str:
    return (
        f"{_where(store, kind, name)} is not a readable document ({reason}): delete it and "
        f"{FORMATS[kind].remake}"
    )


def _where(store: Store, kind: str, name: str) -> str:
    return f"{store.location}/{document_path(kind, name)}"
