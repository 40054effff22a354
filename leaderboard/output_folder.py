"""The folder of a site: files that are current are kept, those of earlier builds are removed.

``.manifest.json`` names the files that earlier builds wrote, each with a digest of its inputs. A
file that it does not name is never removed.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path

from suite import __version__
from suite.core.files import atomic_write
from suite.core.redact import redact_file

MANIFEST = ".manifest.json"


def inputs_digest(*parts: str | bytes) -> str:
    """Return a digest of the inputs that a file is made from."""
    digest = hashlib.sha256()
    for part in parts:
        content = part.encode(errors="replace") if isinstance(part, str) else part
        digest.update(len(content).to_bytes(8, "little") + content)
    return digest.hexdigest()[:32]


@cache
def code_digest() -> str:
    """Return a digest of the code, templates and assets of this package: pages depend on them."""
    package = Path(__file__).parent
    files = [path for name in ("*.py", "templates/*", "assets/*") for path in package.rglob(name)]
    return inputs_digest(__version__, *(path.read_bytes() for path in sorted(files)))


class SiteFolder:
    """A folder that pages are written to, between `begin` and `finish`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._before = _read_manifest(root / MANIFEST)
        self._now: dict[str, str] = {}

    @property
    def before(self) -> Mapping[str, str]:
        """What earlier builds wrote, and what each file was made from."""
        return self._before

    def begin(self, planned: Collection[str]) -> None:
        """Create the folder, and list the planned files, so that a later build can remove them.

        Raises:
            OSError: it cannot be created or written to.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        self._save({**dict.fromkeys(planned, ""), **self._before})
        for parent in {os.path.dirname(name) for name in planned}:  # noqa: PTH120 - many, and texts
            (self.root / parent).mkdir(parents=True, exist_ok=True)

    def current(self, name: str, made_from: str) -> bool:
        """Return whether a file exists that was made from the same inputs; if so, keep it."""
        if name in self._now:  # written by this build, whatever was there before
            return self._now[name] == made_from
        if self._before.get(name) != made_from or not os.path.isfile(f"{self.root}/{name}"):  # noqa: PTH113 - of 10,000 pages
            return False
        self._now[name] = made_from
        return True

    def write(self, name: str, content: str | bytes, made_from: str = "") -> None:
        """Write a file unless it is current. `made_from` is a digest of its inputs.

        Without `made_from`, the digest of the content is used.

        Raises:
            OSError: it cannot be written.
        """
        made_from = made_from or inputs_digest(content)
        if not self.current(name, made_from):
            # Not forced to disk: a site can be built again.
            if isinstance(content, str):
                content = redact_file(content)
            atomic_write(self.root / name, content, sync=False)
            self.wrote(name, made_from)

    def wrote(self, name: str, made_from: str) -> None:
        """Record that a file was written, perhaps by another process."""
        self._now[name] = made_from

    def finish(self) -> None:
        """Remove files that only earlier builds wrote, and save the manifest.

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
        lines = (f"{json.dumps(name)}: {json.dumps(made)}" for name, made in sorted(names.items()))
        atomic_write(self.root / MANIFEST, "{\n" + ",\n".join(lines) + "\n}\n")


def _inside(root: Path, path: Path) -> bool:
    """Return whether a path of a manifest is a regular file inside the folder."""
    return (
        path.is_file()
        and not path.is_symlink()
        and path.resolve().parent.is_relative_to(root.resolve())
    )


def _read_manifest(path: Path) -> dict[str, str]:
    """Return what earlier builds wrote; nothing if the manifest cannot be read."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(content, dict):
        return {}
    return {name: made for name, made in content.items() if isinstance(made, str)}
