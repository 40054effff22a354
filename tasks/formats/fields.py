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


CHANNELS = (1, 3, 4)
"""Numbers of channels that images usually have: grey, colour, colour with transparency."""


def check_channels_first(shape: tuple[int, ...], path: Path) -> None:
    """Check that inputs of this shape, without the number of examples, have no channels last.

    Only three dimensions are checked, and only a height that is no number of channels itself:
    otherwise nothing tells the two orders apart.

    Raises:
        InvalidInput: they look like images [height, width, channels]; the message names the task
            file.
    """
    if len(shape) != 3 or shape[0] in CHANNELS or shape[1] in CHANNELS or shape[2] not in CHANNELS:
        return
    height, width, channels = shape
    raise InvalidInput(
        f"task file {path}: inputs of shape [n, {height}, {width}, {channels}] look like images "
        "with channels last, and [n, channels, height, width] is read: transpose them, "
        f"x.transpose(0, 3, 1, 2) (or, if the {height} are channels, x.swapaxes(2, 3))"
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
