"""Format `images`: one folder per class, or an archive of such folders."""

from pathlib import Path
from typing import Any

from suite.core.errors import InvalidInput
from tasks.formats.fields import Described, fraction


def describe(name: str, data: dict[str, Any], path: Path) -> Described:
    """Describe images: `path` of a folder or archive, `size` to scale to, `stream`, `test`."""
    from tasks.datasets.images import (
        by_split,
        check_empty_classes,
        contents,
        fingerprint,
        image_paths,
        open_image,
    )

    where = Path(data["path"])
    if where.is_dir():
        check_empty_classes(where)
        names = image_paths(where)
        first = (names[0], (where / names[0]).read_bytes()) if names else None
    else:
        images = list(contents(where))
        names = [item for item, _ in images]
        first = images[0] if images else None
    train, test = by_split(names, str(where))
    count = sum(map(len, train.values()))
    assert first is not None  # by_split refuses a folder without images
    image = open_image(first[1], f"{where}/{first[0]}")
    channels = 1 if image.mode in ("1", "L", "I", "I;16", "F") else 3
    size = data.get("size")
    if size is not None and (isinstance(size, bool) or not isinstance(size, int) or size < 1):
        raise InvalidInput(f"task file {path}: size={size!r}: give the side in pixels")
    stream = bool(data.get("stream", False))
    if stream and (test is None or size is None):
        raise InvalidInput(
            f"task file {path}: streamed images need folders 'train' and 'test', and a 'size'"
        )
    height, width = (size, size) if size is not None else (image.height, image.width)
    held = round(count * fraction(data, path)) if test is None else sum(map(len, test.values()))
    return {
        "load": "tasks.datasets.imagenet:find_files" if stream else "tasks.datasets.folder:load",
        "kind": "stream" if stream else "labels",
        "shape": (channels, height, width),
        "classes": len(train),
        "train": count - held if test is None else count,
        "test": held,
        "mean": (0.5,) * channels,
        "std": (0.25,) * channels,
        "fingerprint": fingerprint(where),
        "options": {"path": str(where), "resize": size is not None},
    }
