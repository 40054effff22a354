"""What a dataset's images are, from their headers: decided over all of them, and remembered."""

import hashlib
import io
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from suite.core.errors import InvalidInput
from suite.core.files import atomic_file
from tasks.datasets.files import MAX_MEMBER_BYTES, cache_folder
from tasks.datasets.images import contents, image_paths
from tasks.datasets.pixels import (
    BACKGROUNDS,
    COLOUR,
    DEEP,
    GREY,
    UNRANGED,
    Reading,
    checked_range,
    is_transparent,
    open_header,
    open_image,
    readable,
    transparent,
    without_range,
)

VERSION = 1
"""Of what is remembered."""


@dataclass(frozen=True)
class Survey:
    """The images of a dataset; a file's name is empty where no image is like that.

    Attributes:
        names: of the images, in the order in which they were read.
        width, height: of the first one, upright.
        colour, deep, unranged, transparent: the first that is in colour, has more than 8 bits per
            value, has values without a defined range, has pixels that are not opaque.
        mode, low, high: Pillow's mode and the values of the first image without a defined range.
    """

    names: tuple[str, ...]
    width: int = 0
    height: int = 0
    colour: str = ""
    deep: str = ""
    unranged: str = ""
    transparent: str = ""
    mode: str = ""
    low: float = 0.0
    high: float = 0.0

    def reading(self, background: object, range_: object, where: str) -> Reading:
        """Return how these images are read, with a task file's `background` and `range`.

        Raises:
            InvalidInput: one of them is not usable, or an image (named) needs it and it is missing.
        """
        if background not in (None, *BACKGROUNDS):
            raise InvalidInput(f"background={background!r:.80}: give white or black")
        if range_ is not None and not self.deep:
            raise InvalidInput(
                f"range={range_!r:.80} is of 16-bit, 32-bit and float images, and all images of "
                f"{where} have 8 bits or fewer: leave it out"
            )
        if self.unranged and range_ is None:
            raise without_range(_full(where, self.unranged), self.mode, self.low, self.high)
        if self.transparent and background is None:
            raise transparent(_full(where, self.transparent))
        return Reading(
            channels=3 if self.colour else 1,
            deep=bool(self.deep),
            background=str(background or ""),
            range=None if range_ is None else checked_range(range_),
        )


def _full(where: str, name: str) -> str:
    """Return the name of an image for messages; names that say where they are stay as they are."""
    return name if not where or name.startswith(where) else f"{where}/{name}"


def survey(images: Iterable[tuple[str, BinaryIO]], where: str) -> Survey:
    """Look at images, given as (name, open file); only those are decoded where more is needed.

    Raises:
        InvalidInput: one is damaged, too large, has several frames or a mode that is not read.
    """
    names: list[str] = []
    first: dict[str, Any] = {}
    for name, file in images:
        with closing(file):
            _look(file, name, _full(where, name), first)
        names.append(name)
    return Survey(tuple(names), **first)


def _look(file: BinaryIO, name: str, where: str, first: dict[str, Any]) -> None:
    """Note in `first` if an image is the first of its kind."""
    image = open_header(file, where)
    if image.mode not in GREY + COLOUR + DEEP + UNRANGED:
        readable(image, where, Reading())  # which refuses it
    if "width" not in first:
        upright = _decoded(file, where)
        first |= {"width": upright.width, "height": upright.height}
    if image.mode in COLOUR:
        first.setdefault("colour", name)
    if image.mode in DEEP + UNRANGED:
        first.setdefault("deep", name)
    if image.mode in UNRANGED and image.format != "PPM" and "unranged" not in first:
        low, high = _decoded(file, where).getextrema()
        first |= {"unranged": name, "mode": image.mode, "low": float(low), "high": float(high)}
    if (
        "transparent" not in first
        and image.has_transparency_data
        and is_transparent(_decoded(file, where))
    ):
        first["transparent"] = name


def _decoded(file: BinaryIO, where: str) -> Any:
    file.seek(0)
    return open_image(file.read(), where)


def survey_files(path: Path) -> Survey:
    """Look at the images of a folder or an archive; unchanged files are not looked at again.

    Raises:
        InvalidInput: see `survey`; or the path is no folder and no archive.
    """
    if not path.is_dir():
        states = file_states([path]) if path.is_file() else []
        found = remembered(states, lambda: asdict(survey(_unpacked(path), str(path))))
        return Survey(**{**found, "names": tuple(found["names"])})
    names = image_paths(path)
    by_name: list[Any] = [(name, _state(path / name)) for name in names]
    opened = ((name, _opened(path / name)) for name in names)
    found = remembered(by_name, lambda: {**asdict(survey(opened, str(path))), "names": []})
    return Survey(**{**found, "names": tuple(names)})


def _opened(path: Path) -> BinaryIO:
    try:
        if path.stat().st_size > MAX_MEMBER_BYTES:
            raise InvalidInput(f"image {path} has more than {MAX_MEMBER_BYTES:,} bytes: replace it")
        return path.open("rb")
    except OSError as error:
        raise InvalidInput(f"image {path} cannot be read: {error}") from error


def _unpacked(path: Path) -> Iterator[tuple[str, BinaryIO]]:
    for name, content in contents(path):
        yield name, io.BytesIO(content)


def file_states(files: Iterable[Path]) -> list[list[int]]:
    """Return what changes whenever the content of one of these files does."""
    return [_state(file) for file in files]


def _state(path: Path) -> list[int]:
    """Return what changes whenever a file's content does."""
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]


def remembered(states: list[Any], compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what `compute` returns (JSON), from the cache if these states were seen before."""
    digest = hashlib.sha256(json.dumps([VERSION, states]).encode()).hexdigest()[:32]
    path = cache_folder() / "surveys" / f"{digest}.json"
    try:
        found = json.loads(path.read_text())
        if isinstance(found, dict):
            return found
    except (OSError, ValueError):
        pass  # not seen yet, or cut short: look again
    found = compute()
    if states:
        try:
            with atomic_file(path, sync=False) as file:
                file.write(json.dumps(found).encode())
        except OSError:
            pass  # looked at again next time
    return found
