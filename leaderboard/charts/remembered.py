"""Specifications of charts that earlier processes made: Altair takes a tenth of a second for each.

They are in the user's cache, each in a file that is named by all that decides its content.
"""

import contextlib
from collections.abc import Callable
from pathlib import Path

from leaderboard.output_folder import inputs_digest
from suite.core.files import atomic_write

CACHE = Path(".cache") / "resonance-bench" / "charts"
"""In the user's home, if there is one."""


def remembered(name: str, make: Callable[[], str]) -> str:
    """Return the text that `make` returns; it is remembered under `name`, a digest of its inputs.

    A file that is damaged is not used. One that cannot be written is made again the next time.
    """
    with contextlib.suppress(OSError, UnicodeDecodeError, RuntimeError):
        digest, _, text = _path(name).read_text(encoding="utf-8").partition("\n")
        if digest == inputs_digest(name, text):
            return text
    text = make()
    with contextlib.suppress(OSError, RuntimeError):
        atomic_write(_path(name), f"{inputs_digest(name, text)}\n{text}", sync=False)
    return text


def _path(name: str) -> Path:
    """Return the file of this name; raise RuntimeError if the user has no home."""
    return Path.home() / CACHE / name
