"""The seal of a record: SHA-256 of what it says and of the files beside it."""

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from suite.results.storage_backend import NAME, RECORD

DIGEST = r"^[0-9a-f]{64}$"
CHECKSUMMED_SINCE = 2
"""The first schema version whose records the store seals."""


class FileChecksum(BaseModel):
    """A file that belongs to a record."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: int
    sha256: str = Field(pattern=DIGEST)


class Integrity(BaseModel):
    """What a record was when it was stored: its own digest, and its files by name.

    A name that leads out of the trial's folder is refused: others may have written it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    digest: str = Field(pattern=DIGEST)
    files: dict[Annotated[str, Field(pattern=f"^{NAME.pattern}$")], FileChecksum] = {}


def checksummed(content: dict[str, Any], files: Mapping[str, bytes]) -> dict[str, Any]:
    """Return a record's content with its seal; `files` are those of its folder."""
    beside = {
        name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in sorted(files.items())
        if name != RECORD
    }
    return with_integrity(content, beside)


def with_integrity(content: dict[str, Any], beside: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record's content with its seal; `beside` are size and digest of its files."""
    content = {name: value for name, value in content.items() if name != "seal"}
    return content | {"seal": {"digest": digest_of(content, beside), "files": beside}}


def digest_of(content: Mapping[str, Any], files: Any) -> str:
    """Return the digest of a record's content (without its seal) and of its files' digests.

    Keys are sorted and no space is used, so that it does not depend on how the file is laid out.
    """
    text = json.dumps([content, files], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def is_intact(content: Mapping[str, Any]) -> bool:
    """Return whether a stored record's content fits its seal, without which schema 1 alone may be.

    Else who alters a record would only have to take its seal away.
    """
    seal = content.get("seal")
    if seal is None:
        return bool(content.get("schema_version", CHECKSUMMED_SINCE) < CHECKSUMMED_SINCE)
    said = {name: value for name, value in content.items() if name != "seal"}
    return isinstance(seal, dict) and seal.get("digest") == digest_of(said, seal.get("files"))
