"""Digests of the content of files and folders; no file is read twice while it stays as it is.

What was read is remembered in the user's cache by path, size, times and inode. Where any of these
differs, or a file was written just before it was read, it is read again.
"""

import hashlib
import json
import os
import stat
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from suite.core.errors import InvalidInput
from suite.core.files import atomic_write
from tasks.datasets.files import cache_folder

DIGITS = 16
"""Hexadecimal digits of a digest."""
MAX_READ = 50_000
"""In a folder of more files only `SAMPLE` of them are read; of the others name and size count."""
SAMPLE = 5_000
RACY_NS = 2_000_000_000
"""A file may be written again within the resolution of a file system's clock: 2 s at most."""
FORMAT = 1
SAMPLED = "sampled"
"""The option of a dataset whose files were not all read."""


def content_digest(paths: Iterable[Path]) -> str:
    """Return a digest of files' and folders' content, whatever their location; '' for none.

    Raises:
        InvalidInput: one does not exist, or cannot be read.
    """
    digests = [tree_digest(p, all_files(p)) if p.is_dir() else file_digest(p) for p in paths]
    return hashlib.sha256("\0".join(digests).encode()).hexdigest()[:DIGITS] if digests else ""


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's content; raises as `content_digest`."""
    return _digests(path, path.parent, [path.name])[path.name]


def tree_digest(folder: Path, names: Sequence[str]) -> str:
    """Return a digest of the names and content of files under a folder.

    Of more than `MAX_READ` files the sizes of all, and the content of `SAMPLE` that are evenly
    spread over the sorted names; see `is_sampled`. Raises as `content_digest`.
    """
    names = sorted(names)
    digest = hashlib.sha256()
    read = names
    if is_sampled(len(names)):
        read = [names[number * len(names) // SAMPLE] for number in range(SAMPLE)]
        for name in names:
            digest.update(f"{name}\0{_stat(folder / name).st_size}\0".encode(*_TEXT))
    for name, content in _digests(folder, folder, read).items():
        digest.update(f"{name}\0{content}\0".encode(*_TEXT))
    return digest.hexdigest()


def is_sampled(files: int) -> bool:
    """Return whether only some of so many files of a folder are read."""
    return files > MAX_READ


def all_files(folder: Path) -> list[str]:
    """Return the paths of all files under a folder, relative to it, sorted."""
    found = (p for p in folder.rglob("*") if p.is_file())
    return sorted(path.relative_to(folder).as_posix() for path in found)


def option_paths(options: Mapping[str, Any], folder: Path) -> list[Path]:
    """Return the files and folders that a dataset's options name, in their order.

    They are paths, or strings that look like one (with a separator or a suffix), and exist: seen
    from the working folder or from `folder`, where the dataset is declared. Which of the two a
    loader reads is its own affair, so where both exist, both count.
    """
    found: list[Path] = []
    for value in options.values():
        for one in value if isinstance(value, list | tuple) else (value,):
            if isinstance(one, os.PathLike) or (isinstance(one, str) and _is_like_a_path(one)):
                with suppress(OSError, ValueError):  # a name that no file can have
                    found += [p for p in dict.fromkeys((Path(one), folder / one)) if p.exists()]
    return found


_TEXT = ("utf-8", "surrogateescape")


def _is_like_a_path(text: str) -> bool:
    return os.sep in text or bool(Path(text).suffix)


# ------------------------------------------------------------------ what was read before


def _digests(key: Path, folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Return the digest of each file, by name under `folder`; `key` names what is remembered."""
    where = _memory_file(key)
    memory = _remembered(where)
    digests, fresh, changed = {}, {}, False
    for name in names:
        version = _version(_stat(folder / name))
        known = memory.get(name)
        if isinstance(known, list) and known[:-1] == version:
            fresh[name] = known
            digests[name] = known[-1]
            continue
        began = time.time_ns()
        digests[name] = _hash(folder / name)
        is_settled = max(version[1:3]) < began - RACY_NS
        if is_settled and _version(_stat(folder / name)) == version:
            fresh[name] = [*version, digests[name]]
            changed = True
    if changed:
        with suppress(OSError):  # without a cache it is read again the next time
            content = json.dumps({"format": FORMAT, "files": fresh}, separators=(",", ":"))
            atomic_write(where, content, sync=False)
    return digests


def _version(about: os.stat_result) -> list[int]:
    return [about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino]


def _memory_file(path: Path) -> Path:
    place = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:32]
    return cache_folder() / "content" / f"{place}.json"


def _remembered(where: Path) -> dict[str, Any]:
    try:
        content = json.loads(where.read_bytes())
        files = content["files"] if content["format"] == FORMAT else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return files if isinstance(files, dict) else {}


def _stat(path: Path) -> os.stat_result:
    try:
        about = path.stat()
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(about.st_mode):
        raise InvalidInput(f"{path} cannot be read: it is not a plain file")
    return about


def _hash(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}") from error
