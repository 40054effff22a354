"""What the formats of task files share."""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from suite.core.errors import InvalidInput
from tasks.content_digest import file_digest

Described = dict[str, Any]
"""Fields of `Dataset` that a format reads from the data."""

Describe = Callable[[str, dict[str, Any], Path], Described]
"""(name of the dataset, fields of ``data:``, path of the task file) → its description."""


def fraction(data: Mapping[str, Any], path: Path) -> float:
    """Return the share of the examples that is held out as the test split: `test`, or a fifth.

    Raises:
        InvalidInput: it is no fraction; the message names the task file.
    """
    fraction = data.get("test", 0.2)
    if isinstance(fraction, bool) or not isinstance(fraction, int | float) or not 0 < fraction < 1:
        raise InvalidInput(
            f"task file {path}: test={fraction!r:.80}: give a fraction between 0 and 1"
        )
    return fraction


def check_ignored(data: Mapping[str, Any], path: Path) -> None:
    """Check that `ignore` is a list of columns, and none of them the target.

    Raises:
        InvalidInput: it is not; the message names the task file.
    """
    ignored = data.get("ignore", [])
    if not isinstance(ignored, list) or not all(isinstance(name, str) for name in ignored):
        raise InvalidInput(
            f"task file {path}: ignore={ignored!r:.80}: give a list of columns, e.g. [id, name]"
        )
    target = data.get("target")
    targets = target if isinstance(target, list) else [target]
    if both := [name for name in ignored if name in targets]:
        raise InvalidInput(
            f"task file {path}: column '{both[0]}' is the target and is ignored: give it once"
        )


def files_digest(data: Mapping[str, Any]) -> str:
    """Return a digest of the files and of how they are read, but not of their location."""
    digest = hashlib.sha256()
    for key in sorted(data):
        if key in ("path", "test_path"):
            digest.update(f"{key}={file_digest(Path(data[key]))}".encode())
        else:
            digest.update(f"{key}={data[key]!r}".encode())
    return digest.hexdigest()[:16]
