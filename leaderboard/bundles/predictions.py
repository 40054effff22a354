"""Predictions in a bundle: which test examples a record's trial has right, one bit each.

A record's line then also has ``"files": {"correct.bits": "<Base64>"}``. It is taken out before the
record is read, and must be the file that the record's checksums name.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from suite.core.errors import InvalidInput
from suite.results.correct_bits import CORRECT_BITS, differing, load_correct_bits, stored_problem
from suite.results.record import Record
from suite.results.store import Store

MAX_SHIPPED = 4 * 2**20
"""Bytes of predictions in a bundle, before Base64: those of 3,355 trials on 10,000 examples."""

NO_PREDICTIONS: Mapping[str, bytes] = MappingProxyType({})

_SHIPPED = re.compile(
    rb'"files":\{"' + re.escape(CORRECT_BITS.encode()) + rb'":"([A-Za-z0-9+/]*={0,2})"\},'
)
"""As `with_predictions` writes it. Written in another way, or in another place, it is refused with
the record: as a field that no record has, or because the checksum does not match."""


class Predictions(dict[str, bytes]):
    """The predictions of a bundle's trials by key, limited in size."""

    def __init__(self) -> None:
        super().__init__()
        self._size = 0

    def add(self, record: Record, bits: bytes) -> None:
        """Add those of a record.

        Raises:
            InvalidInput: they are not those of the record, or more than a bundle may have.
        """
        if reason := stored_problem(record, bits):
            raise InvalidInput(f"trial {record.key}: {reason}")
        if self._size + len(bits) > MAX_SHIPPED:
            raise InvalidInput(
                f"trial {record.key}: more than {MAX_SHIPPED >> 20} MiB of predictions in one "
                "file: send fewer trials, or leave the predictions out"
            )
        self[record.key] = bits
        self._size += len(bits)

    def add_text(self, record: Record, text: bytes) -> None:
        """Add those of a record as its line has them, in Base64; raises as `add` does."""
        try:
            bits = base64.b64decode(text, validate=True)
        except binascii.Error as error:
            what = f"{CORRECT_BITS} is not Base64"
            raise InvalidInput(f"trial {record.key}: {what}") from error
        self.add(record, bits)


def take_out(line: bytes) -> tuple[bytes, bytes | None]:
    """Return a record's line without its predictions, and these in Base64; None without any."""
    found = _SHIPPED.search(line)
    if found is None:
        return line, None
    return line[: found.start()] + line[found.end() :], found[1]


def with_predictions(content: dict[str, Any], bits: bytes | None) -> dict[str, Any]:
    """Return the content of a record's line, with its predictions if there are any."""
    if bits is None:
        return content
    return content | {"files": {CORRECT_BITS: base64.b64encode(bits).decode()}}


def stored_predictions(store: Store, records: Iterable[Record]) -> Predictions:
    """Return the predictions that the trials of a store have beside their records.

    Raises:
        InvalidInput: no trial has any, a file is not the one that was stored, or they are more
            than a bundle may have.
    """
    found = Predictions()
    for record in records:
        if (bits := load_correct_bits(store, record)) is not None:
            found.add(record, bits)
    if not found:
        raise InvalidInput(
            f"none of these trials has {CORRECT_BITS}, the predictions of its test examples: run "
            "them again with this version, or leave --predictions out"
        )
    return found


def rerun_words(record: Record, shipped: bytes, again: bytes | None) -> str:
    """Return how many of a record's predictions a rerun of its trial makes otherwise, in words."""
    total = record.counts["test"].total
    if again is None or len(again) != len(shipped):
        return f"the rerun has no predictions of the same {total:,} test examples"
    count = differing(shipped, again, total)
    return f"{count:,} of {total:,} predictions on test examples differ in being right"
