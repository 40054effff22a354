"""Paths as users write them: too long, with a NUL, of a loop of links. Looking raises nothing."""

import os
import stat
from pathlib import Path

KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def exists(path: Path) -> bool:
    """Return whether there is something at a path; False for what no file can be named."""
    return os.path.exists(path)  # noqa: PTH110 - Path.exists raises for names that are too long


def is_file(path: Path) -> bool:
    """Return whether there is a plain file at a path; see `exists`."""
    return os.path.isfile(path)  # noqa: PTH113 - see above


def is_dir(path: Path) -> bool:
    """Return whether there is a folder at a path; see `exists`."""
    return os.path.isdir(path)  # noqa: PTH112 - see above


def real_path(path: Path) -> Path:
    """Return the absolute path without links, as far as they can be followed."""
    try:
        return Path(os.path.realpath(path))
    except (OSError, ValueError):  # a NUL
        return path.absolute()


def odd_kind(path: Path) -> str:
    """Return what is at a path if it is neither a file nor a folder ("a pipe"); else empty."""
    try:
        return KINDS.get(stat.S_IFMT(path.stat().st_mode), "")
    except (OSError, ValueError):
        return ""
