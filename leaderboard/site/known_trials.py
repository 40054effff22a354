"""The trials that a site was last built from, so that the next build reads only what has changed.

``.trials`` in the site's folder holds the facts of each trial with the version of its record: time
and size. It is a cache: of another store, of other code, or damaged, it is not used.
"""

import contextlib
import io
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

import suite.core
import suite.experiments
import suite.results
from leaderboard.output_folder import code_digest, inputs_digest
from leaderboard.trial_facts import FactsText
from suite.core import bounded_parquet
from suite.core.files import atomic_write
from suite.core.redact import redact_file

FILE = ".trials"
COLUMNS = ("key", "version", "shared", "own")


class KnownTrial(NamedTuple):
    """A trial's facts, and the version of the record that they were read from."""

    version: str
    text: FactsText


@cache
def reading_digest() -> str:
    """Return a digest of the code that reads records, checks them and takes facts from them."""
    packages = (suite.core, suite.experiments, suite.results)
    files = [f for one in packages for f in sorted(Path(one.__path__[0]).glob("*.py"))]
    return inputs_digest(code_digest(), *(path.read_bytes() for path in files))


def load_known(root: Path, store: str) -> dict[str, KnownTrial]:
    """Return the trials of a store that the site in `root` was built from, by key; else none."""
    import polars as pl

    unusable: tuple[type[BaseException], ...] = (*bounded_parquet.errors(), ValueError)
    try:
        digest, _, content = (root / FILE).read_bytes().partition(b"\n")
        if digest != _digest(store, content):
            return {}
        frame = pl.read_parquet(io.BytesIO(content), columns=list(COLUMNS))
    except unusable:
        return {}
    once: dict[str, str] = {}  # each text that trials share is in memory once
    return {
        key: KnownTrial(version, FactsText(once.setdefault(shared, shared), own))
        for key, version, shared, own in frame.iter_rows()
    }


def save_known(root: Path, store: str, known: Mapping[str, KnownTrial]) -> None:
    """Keep the trials for the next build; where that cannot be done, it reads them again.

    So it does those whose facts hold a secret of this machine.
    """
    import polars as pl

    rows = _without_secrets([(key, one.version, *one.text) for key, one in known.items()])
    columns = dict(zip(COLUMNS, zip(*rows, strict=True), strict=True)) if rows else {}
    frame = pl.DataFrame(columns, schema=dict.fromkeys(COLUMNS, pl.String))
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="lz4")
    content = buffer.getvalue()
    with contextlib.suppress(OSError):
        atomic_write(root / FILE, _digest(store, content) + b"\n" + content, sync=False)


def _without_secrets(rows: list[tuple[str, str, str, str]]) -> list[tuple[str, str, str, str]]:
    texts = {row[2] for row in rows} | {row[3] for row in rows}
    whole = "\n".join(texts)
    if redact_file(whole) == whole:
        return rows
    plain = {text for text in texts if redact_file(text) == text}
    return [row for row in rows if row[2] in plain and row[3] in plain]


def _digest(store: str, content: bytes) -> bytes:
    """Return what the first line must be: another store, other code or damage gives another."""
    return inputs_digest(reading_digest(), store, content).encode()
