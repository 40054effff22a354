"""Examples from a NumPy archive."""

import io
import math
import zipfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from suite.core.errors import InvalidInput, first_line
from tasks.data import Arrays
from tasks.datasets.files import UNREADABLE, check_file, check_memory
from tasks.datasets.folder import held_out
from tasks.labels import encode
from tasks.task import Dataset

NUMBERS = "biuf"
"""Kinds of NumPy's types that are real numbers: bool, int, unsigned, float."""
KINDS = {
    "c": "complex numbers",
    "O": "objects (pickles)",
    "S": "text",
    "U": "text",
    "M": "dates",
    "m": "durations",
    "V": "records",
}
MAX_HEADER = 16_384
"""More than the header of an array has, in bytes; NumPy itself reads at most 10,000."""
DEFLATE_RATIO = 1040
"""More than a member of a zip archive can unpack to, per byte (deflate reaches 1,032)."""


def load_archive(dataset: Dataset) -> Arrays:
    """Return the arrays of an .npz file: x and y, or train_x, train_y, test_x, test_y.

    Inputs are uint8 (meaning x/255) or other real numbers, which are taken as they are; labels are
    integers, numbered in their order. Without a test part, a stratified one is drawn, fixed by the
    dataset's name.

    Raises:
        InvalidInput: it cannot be read, lacks an array, or holds what are no numbers.
    """
    path = Path(dataset.options["path"])
    arrays = read_archive(path)
    if "train_x" in arrays:
        parts = [arrays[name] for name in ("train_x", "train_y", "test_x", "test_y")]
    else:
        kept, held = held_out(arrays["y"], dataset.test, dataset.name)
        parts = [arrays[name][part] for part in (kept, held) for name in ("x", "y")]
    train_x, train_y, test_x, test_y = parts
    return Arrays(
        _inputs(train_x),
        _numbered(dataset, train_y, "training"),
        _inputs(test_x),
        _numbered(dataset, test_y, "test"),
    )


def read_archive(path: Path, *, real: bool = False) -> dict[str, np.ndarray]:
    """Return a dataset's arrays from an .npz file; labels are int64, `real` targets as they are.

    Nothing is allocated before the arrays' headers have been compared with the file.

    Raises:
        InvalidInput: see `load_archive`.
    """
    names = ("train_x", "train_y", "test_x", "test_y")
    check_file(path, f"NumPy archive {path}")
    try:
        if not zipfile.is_zipfile(path):  # a single array, or a pickle
            raise ValueError("it is not an archive, as numpy.savez writes it")
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            wanted = names if "train_x" in file.files else ("x", "y")
            if missing := [name for name in wanted if name not in file.files]:
                raise InvalidInput(
                    f"{path} has no array '{missing[0]}': give x and y, or {', '.join(names)}"
                )
            size = sum(_checked_size(path, file.zip, name) for name in wanted)
            check_memory(size, f"NumPy archive {path}", "give fewer examples")
            arrays = {name: file[name] for name in wanted}
    except (ValueError, AttributeError, OverflowError, *UNREADABLE) as error:
        if isinstance(error, InvalidInput):
            raise
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InvalidInput(
            f"{path} cannot be read as a NumPy archive of plain arrays (.npz): {reason}"
        ) from error
    for x, y in ((a, a.replace("x", "y")) for a in arrays if a.endswith("x")):
        dimensions = (1, 2) if real else (1,)
        if (
            arrays[x].ndim < 2
            or 0 in arrays[x].shape[1:]
            or arrays[y].ndim not in dimensions
            or len(arrays[x]) != len(arrays[y])
        ):
            raise InvalidInput(
                f"{path}: '{x}' has shape {arrays[x].shape} and '{y}' {arrays[y].shape}: give "
                f"inputs of shape [n, …] and one {'target' if real else 'label'} per example"
            )
        if x != "test_x":
            _check_precision(arrays[x], f"{path}: '{x}'")
        if not real:
            arrays[y] = _whole_numbers(arrays[y], f"{path}: '{y}'")
    return arrays


def _checked_size(path: Path, archive: zipfile.ZipFile, name: str) -> int:
    """Return an array's bytes; check what it is before memory is allocated for it."""
    member = archive.getinfo(f"{name}.npy" if f"{name}.npy" in archive.namelist() else name)
    with archive.open(member) as stored:
        file = io.BytesIO(stored.read(MAX_HEADER))  # which may claim to be of any length
    try:
        version = np.lib.format.read_magic(file)
        if version == (1, 0):
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        else:
            shape, _, dtype = np.lib.format.read_array_header_2_0(file)
    except Exception as error:  # NumPy evaluates it as a literal of Python
        raise ValueError(f"the header of '{name}' cannot be read: {first_line(error)}") from error
    begin = file.tell()
    if dtype.kind not in NUMBERS:
        raise InvalidInput(
            f"{path}: '{name}' holds {KINDS.get(dtype.kind, str(dtype))} ({dtype}): give plain "
            "arrays of real numbers"
        )
    size = math.prod(shape) * dtype.itemsize
    packed = DEFLATE_RATIO * member.compress_size
    if size != member.file_size - begin or size > packed or member.compress_size > _size(path):
        raise InvalidInput(
            f"{path}: '{name}' claims the shape {shape} of {dtype}, {size:,} bytes, and the file "
            "does not hold them: write it again"
        )
    check_memory(size, f"{path}: '{name}' of shape {shape}", "give fewer examples")
    return size


def _size(path: Path) -> int:
    return path.stat().st_size


def _whole_numbers(labels: np.ndarray, where: str) -> np.ndarray:
    """Return labels as int64."""
    if labels.dtype.kind not in "biu":
        raise InvalidInput(
            f"{where} holds {labels.dtype}: give whole numbers for classes, or data 'targets: "
            "real' for regression"
        )
    if labels.dtype.kind == "u" and len(labels) and int(labels.max()) > np.iinfo(np.int64).max:
        raise InvalidInput(f"{where} holds {labels.max()}: give labels below 2**63")
    return labels.astype(np.int64)


def _check_precision(x: np.ndarray, where: str) -> None:
    """Refuse whole numbers that vary among the examples, and no longer do in single precision."""
    if x.dtype.kind not in "iu" or x.dtype.itemsize < 4 or not len(x):  # smaller ones fit
        return
    single = x.astype(np.float32)
    lost = (single == single[:1]).all(0) & (x != x[:1]).any(0)
    if lost.any():
        place = tuple(int(axis) for axis in np.argwhere(lost)[0])
        values = x.reshape(len(x), -1)[:, np.flatnonzero(lost)[0]]
        raise InvalidInput(
            f"{where}[:, {', '.join(map(str, place))}] holds {values.min()} … {values.max()}, "
            "which are one number in single precision, and inputs are computed with that: subtract "
            "their mean, or standardise them"
        )


def _inputs(array: np.ndarray) -> Tensor:
    if array.dtype == np.uint8:
        return torch.from_numpy(array.copy())
    with np.errstate(over="ignore"):  # an infinity, which `tasks.loading` refuses
        return torch.from_numpy(array.astype(np.float32))


def _numbered(dataset: Dataset, labels: np.ndarray, part: str) -> Tensor:
    values = dataset.labels or tuple(range(dataset.classes))
    return torch.from_numpy(encode(labels, values, f"dataset {dataset.name}: {part} data"))
