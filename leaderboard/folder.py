"""The folder of a site: files written whole, kept while current, removed where they are ours.

``.manifest.json`` names what former builds wrote and what each file was made from. A file that it
does not name is never removed.
"""

import contextlib
import hashlib
import json
from collections.abc import Collection
from pathlib import Path

from suite.core.files import atomic_write

MANIFEST = ".manifest.json"


def stamp(*parts: str | bytes) -> str:
    """Return a digest of what a file is made from."""
    digest = hashlib.sha256()
    for part in parts:
        content = part.encode(errors="replace") if isinstance(part, str) else part
        digest.update(len(content).to_bytes(8, "little") + content)
    return digest.hexdigest()[:32]


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file in one go; not forced to disk, since a site can be built again.

    Raises:
        OSError: it cannot be written; the name holds what it held before.
    """
    atomic_write(path, content, sync=False)


class SiteFolder:
    """A folder that pages are written into, between `begin` and `finish`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._before = _read_manifest(root / MANIFEST)
        self._now: dict[str, str] = {}

    def begin(self, planned: Collection[str]) -> None:
        """Make the folder and note what will be written: a build that is killed leaves no strays.

        Raises:
            OSError: it cannot be made or written to.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        self._save({**dict.fromkeys(planned, ""), **self._before})
        for parent in {(self.root / name).parent for name in planned}:
            parent.mkdir(parents=True, exist_ok=True)

    def current(self, name: str, made_from: str) -> bool:
        """Return whether a file is there that was made from the same; then it is kept."""
        if self._before.get(name) != made_from or not (self.root / name).is_file():
            return False
        self._now[name] = made_from
        return True

    def write(self, name: str, content: str | bytes, made_from: str = "") -> None:
        """Write a file, unless what it was made from is what it is made from now.

        Without `made_from` that is the content itself.

        Raises:
            OSError: it cannot be written.
        """
        made_from = made_from or stamp(content)
        if not self.current(name, made_from):
            write_whole(self.root / name, content)
            self.wrote(name, made_from)

    def wrote(self, name: str, made_from: str) -> None:
        """Note a file that has been written by another process."""
        self._now[name] = made_from

    def finish(self) -> None:
        """Remove what only former builds wrote, and save the manifest.

        Raises:
            OSError: a file cannot be removed.
        """
        for name in self._before.keys() - self._now.keys():
            path = self.root / name
            if _inside(self.root, path):
                path.unlink(missing_ok=True)
                with contextlib.suppress(OSError):  # not empty
                    path.parent.rmdir()
        self._save(self._now)

    def _save(self, names: dict[str, str]) -> None:
        write_whole(self.root / MANIFEST, json.dumps(dict(sorted(names.items())), indent=0) + "\n")


def _inside(root: Path, path: Path) -> bool:
    """Return whether a name of a manifest is a plain file that lies in the folder."""
    return (
        path.is_file()
        and not path.is_symlink()
        and path.resolve().parent.is_relative_to(root.resolve())
    )


def _read_manifest(path: Path) -> dict[str, str]:
    """Return what former builds wrote; nothing where it cannot be read."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(content, dict):
        return {}
    return {name: made for name, made in content.items() if isinstance(made, str)}
