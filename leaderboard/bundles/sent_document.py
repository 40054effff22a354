"""Documents in a bundle, besides records: a line ``{"KIND": …}`` each, with a checksum.

They are from others: a line is refused as a whole if it is too large, contradicts its checksum or
its model, or has a text that cannot be shown.
"""

import json
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from suite.core.bounded_json import LINE, InvalidJson, parse
from suite.core.errors import InvalidInput
from suite.core.redact import redact_bytes
from suite.core.shown_text import is_shown, shown_data, texts_of
from suite.results.integrity import is_intact, with_integrity

MAX_TEXT = 4000
"""Characters of one text of a document."""

Model = TypeVar("Model", bound=BaseModel)


def prefix(kind: str) -> bytes:
    """Return how the line of a document of a kind begins, as no record's line does."""
    return f'{{"{kind}":'.encode()


def line_content(kind: str, document: BaseModel) -> dict[str, Any]:
    """Return the content of a document's line, with secrets of this machine redacted."""
    text = json.dumps(document.model_dump(mode="json"), allow_nan=False).encode()
    return {kind: with_integrity(shown_data(json.loads(redact_bytes(text))), {})}


def line_to_send(kind: str, name: str, document: BaseModel) -> bytes:
    """Return a document's line.

    Raises:
        InvalidInput: it is longer than a bundle may have it.
    """
    line = json.dumps(line_content(kind, document), separators=(",", ":")).encode()
    if len(line) > LINE.size:
        raise InvalidInput(
            f"{kind} {name} takes {len(line):,} bytes, a bundle at most {LINE.size:,} for one"
        )
    return line


def parse_line(kind: str, line: bytes, model: type[Model], version: int) -> Model:
    """Return the document of a line; `version` is the newest schema that is known.

    Raises:
        InvalidInput: it is none, or cannot be shown.
    """
    try:
        content = parse(line, LINE)[kind]
    except (InvalidJson, KeyError, TypeError) as error:
        raise InvalidInput(f"not {_a(kind)}: {error!s:.200}") from error
    if not isinstance(content, dict) or "seal" not in content or not is_intact(content):
        raise InvalidInput(f"{_a(kind)} that does not match its checksum")
    content = {name: value for name, value in content.items() if name != "seal"}
    stated = content.get("schema_version")
    if isinstance(stated, int) and stated > version:
        raise InvalidInput(
            f"{_a(kind)} of schema version {stated}, this program reads up to {version}: "
            "update resonance-bench"
        )
    if any(len(text) > MAX_TEXT or not is_shown(text) for text in texts_of(content)):
        raise InvalidInput(f"{_a(kind)} with a text that is too long or cannot be shown")
    try:
        return model.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise InvalidInput(f"not {_a(kind)}: {place!r:.80}: {first['msg']:.200}") from error


def _a(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"
