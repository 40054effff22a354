"""Format `images`: one folder per class, or an archive of such folders."""

import hashlib
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from suite.core.errors import InvalidInput
from tasks.content_digest import SAMPLED, is_sampled
from tasks.formats.fields import Described, fraction

if TYPE_CHECKING:
    from tasks.datasets.pixels import Reading
    from tasks.datasets.survey import Survey

FIELDS = ("path", "size", "stream", "test", "background", "range")
LARGEST_SIDE = 8192


def describe(name: str, data: dict[str, Any], path: Path) -> Described:
    """Describe images.

    Fields: `path` of a folder or archive, `size` to scale to, `stream`, `test` fraction,
    `background` of transparent pixels, `range` of values that mean black and white.
    """
    from tasks.datasets.images import by_split, check_empty_classes, fingerprint
    from tasks.datasets.survey import survey_files
    from tasks.labels import check_several

    where = Path(data["path"])
    if where.is_dir():
        check_empty_classes(where)
    found = survey_files(where)
    train, test = by_split(list(found.names), str(where))
    check_several(list(train), f"images {where}")
    count = sum(map(len, train.values()))
    shape, reading = shape_and_reading(found, data, path, str(where))
    stream = data.get("stream", False)
    if not isinstance(stream, bool):
        raise InvalidInput(f"task file {path}: stream={stream!r:.80}: give true or false")
    if stream and (test is None or data.get("size") is None):
        raise InvalidInput(
            f"task file {path}: streamed images need folders 'train' and 'test', and a 'size'"
        )
    held = round(count * fraction(data, path)) if test is None else sum(map(len, test.values()))
    if not stream:
        check_images_fit(len(found.names), shape, reading, f"images {where}")
    return {
        "load": "tasks.datasets.imagenet:find_files" if stream else "tasks.datasets.folder:load",
        "kind": "stream" if stream else "labels",
        "shape": shape,
        "classes": len(train),
        "labels": tuple(train),
        "train": count - held if test is None else count,
        "test": held,
        "mean": (0.5,) * shape[0],
        "std": (0.25,) * shape[0],
        "fingerprint": read_as(fingerprint(where), reading),
        "options": {
            "path": str(where),
            "resize": data.get("size") is not None,
            **({SAMPLED: True} if where.is_dir() and is_sampled(len(found.names)) else {}),
            **reading.options(),
        },
    }


def shape_and_reading(
    found: "Survey", data: dict[str, Any], path: Path, where: str
) -> tuple[tuple[int, int, int], "Reading"]:
    """Return the shape of images as the model receives them, and how their pixels are read.

    Args:
        found: what the images are.
        data: fields of the task file: `size`, `background`, `range`.
        path: of the task file.
        where: the folder or archive, for messages.

    Raises:
        InvalidInput: a field is not usable, or an image needs one that is missing.
    """
    size = data.get("size")
    if size is not None and (
        isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= LARGEST_SIDE
    ):
        raise InvalidInput(
            f"task file {path}: size={size!r:.80}: give the side in pixels, 1 … {LARGEST_SIDE}"
        )
    try:
        reading = found.reading(data.get("background"), data.get("range"), where)
    except InvalidInput as error:
        raise InvalidInput(f"task file {path}: {error}") from error
    height, width = (size, size) if size is not None else (found.height, found.width)
    return (reading.channels, height, width), reading


def check_images_fit(count: int, shape: tuple[int, ...], reading: "Reading", where: str) -> None:
    """Check that so many images fit in memory, before any is decoded.

    Raises:
        InvalidInput: they do not.
    """
    from tasks.datasets.files import check_memory

    size = count * math.prod(shape) * (4 if reading.deep else 1)
    what = f"{where}: {count:,} images of {shape[1]}×{shape[2]} pixels"
    check_memory(size, what, "give a smaller 'size', or 'stream: true' for a folder")


def read_as(fingerprint: str, reading: "Reading") -> str:
    """Return a fingerprint of images and of how they are read, if that is not as they are."""
    options = reading.options()
    if not options:
        return fingerprint
    return hashlib.sha256(f"{fingerprint} {sorted(options.items())}".encode()).hexdigest()[:16]
