"""MNIST and similar datasets: four IDX files, from one of three sources.

1. ``$RESONANCE_DATA/<folder>``; 2. system folders; 3. a download through torchvision, which
verifies checksums, into ``$RESONANCE_DATA`` or ``~/.cache/resonance-bench``.
"""

import gzip
import math
import os
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from suite.core.errors import InvalidInput
from tasks.data import Arrays
from tasks.datasets.files import check_file, check_memory
from tasks.task import Dataset

FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def load(dataset: Dataset) -> Arrays:
    """Find and read the four files of a dataset of 28×28 grey images.

    Raises:
        InvalidInput: nothing was found (the message names all three sources), or a file is damaged.
    """
    folder = find(dataset) or _download(dataset)
    train_x, train_y, test_x, test_y = (read_idx(_file(folder, name)) for name in FILES)
    return Arrays(train_x.unsqueeze(1), train_y.long(), test_x.unsqueeze(1), test_y.long())


def find(dataset: Dataset) -> Path | None:
    """Return the first folder that contains all four files, gzipped or not."""
    folders = [Path(path) for path in dataset.options["system_folders"]]
    if data := os.environ.get("RESONANCE_DATA"):
        inside = dataset.options["folders"]
        folders = [Path(data) / name for name in inside] + folders
    folders.append(_cache() / dataset.options["torchvision"] / "raw")
    return next((f for f in folders if all(_present(f, name) for name in FILES)), None)


def read_idx(path: Path) -> Tensor:
    """Read an IDX file of unsigned bytes (gzipped if it ends in .gz): uint8, shape from the header.

    Raises:
        InvalidInput: it cannot be read, is not an IDX file of bytes, or has a wrong length.
    """
    check_file(path, str(path))
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            begin = file.read(4 + 4 * 255)  # of which the header is a part
            raw = begin + file.read(_size(begin) + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InvalidInput(
            f"{path} cannot be read ({error}): delete it and fetch it again"
        ) from error
    if len(raw) < 4 or raw[:3] != b"\x00\x00\x08":
        raise InvalidInput(f"{path} is not an IDX file of bytes: delete it and fetch it again")
    rank = raw[3]
    start = 4 + 4 * rank
    shape = np.frombuffer(raw[4:start], dtype=">u4").tolist()
    if len(shape) != rank or len(raw) != start + math.prod(shape):
        raise InvalidInput(
            f"{path} is cut short or too long: {len(raw)} bytes for shape {tuple(shape)}; "
            "delete it and fetch it again"
        )
    values = np.frombuffer(raw, dtype=np.uint8, offset=start).reshape(shape)
    return torch.from_numpy(values.copy())


def _size(begin: bytes) -> int:
    """Return the bytes that an IDX file's header claims; 0 if it is none."""
    if len(begin) < 4 or begin[:3] != b"\x00\x00\x08" or len(begin) < 4 + 4 * begin[3]:
        return 0
    size = math.prod(np.frombuffer(begin[4 : 4 + 4 * begin[3]], dtype=">u4").tolist())
    check_memory(size, "an IDX file", "fetch it again")
    return size


def _present(folder: Path, name: str) -> bool:
    return (folder / f"{name}.gz").is_file() or (folder / name).is_file()


def _file(folder: Path, name: str) -> Path:
    plain = folder / name
    return plain if plain.is_file() else folder / f"{name}.gz"


def _cache() -> Path:
    data = os.environ.get("RESONANCE_DATA")
    return Path(data) if data else Path.home() / ".cache" / "resonance-bench"


def _download(dataset: Dataset) -> Path:
    from torchvision import datasets

    name = dataset.options["torchvision"]
    root = _cache()
    try:
        getattr(datasets, name)(root, download=True)
    except (OSError, RuntimeError) as error:
        inside = dataset.options["folders"][0]
        system = dataset.options["system_hint"]
        raise InvalidInput(
            f"dataset {dataset.name} was not found: either set RESONANCE_DATA to a folder that "
            f"holds {inside}/{FILES[0]}.gz and its three companions, or {system}, or connect to "
            f"the network for a download into {root} (which failed: {_first_line(error)})"
        ) from error
    return root / name / "raw"


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
