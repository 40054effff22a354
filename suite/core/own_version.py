"""Which version of this project runs, and from which commit."""

import functools
import json
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

NAME = "resonance-bench"
UNKNOWN = "0+unknown"
"""The version of a copy of the packages that nobody has installed."""
BUILT_FROM = "built_from.json"
"""Beside the packages' code in what was built from a checkout: see setup.py."""
SHOWN_DIGITS = 12
_SUITE = Path(__file__).parents[1]


@dataclass(frozen=True)
class Commit:
    """A commit of this project.

    Attributes:
        head: all digits of it.
        dirty: whether files that git knows differ from it.
    """

    head: str
    dirty: bool

    def __str__(self) -> str:
        return f"commit {self.head[:SHOWN_DIGITS]}{', with uncommitted changes' * self.dirty}"


@functools.cache
def version() -> str:
    """Return the version that is installed; of a checkout, that when it was installed."""
    try:
        return metadata.version(NAME)
    except metadata.PackageNotFoundError:
        return UNKNOWN


@functools.cache
def commit() -> Commit | None:
    """Return the commit of the checkout that this is, or that it was built from; None if unknown.

    Git is asked once in a process.
    """
    if not (_SUITE.parent / ".git").exists():
        return _built_from()
    try:
        head = _git("rev-parse", "HEAD")
        return Commit(head, dirty=bool(_git("status", "--porcelain", "--untracked-files=no")))
    except (OSError, subprocess.SubprocessError):
        return None


def _built_from() -> Commit | None:
    try:
        found = json.loads((_SUITE / BUILT_FROM).read_text(encoding="utf-8"))
        return Commit(str(found["commit"]), bool(found["dirty"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments],
        cwd=_SUITE.parent,
        capture_output=True,
        text=True,
        check=True,
        timeout=10,
    )
    return done.stdout.strip()
