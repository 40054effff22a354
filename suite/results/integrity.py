"""Checksums: a stored record carries SHA-256 digests of its content and of the files beside it.

In the file they are the field ``seal``.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, Field, Strict
from pydantic_core import from_json

from suite.results.storage_backend import MAX_FILE, NAME

DIGEST = r"^[0-9a-f]{64}$"
CHECKSUMMED_SINCE = 2
"""The first schema version whose records have checksums."""


class FileChecksum(BaseModel, frozen=True, extra="forbid"):
    """Size in bytes and SHA-256 of a file that belongs to a record."""

    size: Annotated[int, Strict(), Field(ge=0, lt=2**60)]
    sha256: str = Field(pattern=DIGEST)

    @classmethod
    def of(cls, content: bytes) -> "FileChecksum":
        """Return the checksum of a file's content."""
        return cls(size=len(content), sha256=hashlib.sha256(content).hexdigest())


class Integrity(BaseModel, frozen=True, extra="forbid"):
    """The checksums a record was stored with: its own digest, and those of its files by name.

    A name that leads out of the trial's folder is refused: the record may not be our own.
    """

    digest: str = Field(pattern=DIGEST)
    files: dict[Annotated[str, Field(pattern=f"^{NAME.pattern}$")], FileChecksum] = {}

    def size_of(self, name: str) -> int:
        """Return how many bytes a file may have: as many as it was stored with."""
        return min(self.files[name].size, MAX_FILE) if name in self.files else MAX_FILE


def with_integrity(content: dict[str, Any], sums: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record's content with its checksums; `sums` are size and SHA-256 of its files."""
    content = {name: value for name, value in content.items() if name != "seal"}
    return content | {"seal": {"digest": digest_of(content, sums), "files": sums}}


def digest_of(content: Mapping[str, Any], sums: Any) -> str:
    """Return the digest of a record's content (without its checksums) and of its files' checksums.

    Keys are sorted and there is no white space, so it does not depend on the file's formatting.
    """
    return hashlib.sha256(canonical_text(content, sums).encode()).hexdigest()


def canonical_text(content: Mapping[str, Any], sums: Any) -> str:
    """Return the text that `digest_of` is the SHA-256 of."""
    return json.dumps([content, sums], sort_keys=True, separators=(",", ":"))


def is_intact(content: Mapping[str, Any]) -> bool:
    """Return whether a stored record's content matches its digest; only schema 1 may have none.

    Otherwise removing the checksums would be enough to hide a change.
    """
    seal = content.get("seal")
    if seal is None:
        return bool(content.get("schema_version", CHECKSUMMED_SINCE) < CHECKSUMMED_SINCE)
    rest = {name: value for name, value in content.items() if name != "seal"}
    return isinstance(seal, dict) and seal.get("digest") == digest_of(rest, seal.get("files"))


SEAL_NAMES = 3
"""Names that a record's file has and the text of its digest has not: seal, digest, files."""


def read_intact(data: bytes) -> dict[str, Any] | None:
    """Return the content of a record that matches its digest; None for one to look at more closely.

    It takes half as long as a strict reading, and lets nothing through that this would not: where a
    value is named twice the last one counts here, but then the file has more names than the text of
    its digest.
    """
    try:
        content = from_json(data, allow_inf_nan=False)
    except ValueError:
        return None
    if not isinstance(content, dict) or not isinstance(seal := content.get("seal"), dict):
        return None
    rest = {name: value for name, value in content.items() if name != "seal"}
    text = canonical_text(rest, seal.get("files"))
    if hashlib.sha256(text.encode()).hexdigest() != seal.get("digest"):
        return None
    names = data.count(b'":') - text.count('":')
    return content if seal.keys() == {"digest", "files"} and names == SEAL_NAMES else None
