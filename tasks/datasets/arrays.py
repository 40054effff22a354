"""Examples from a NumPy archive, or from any `torch.utils.data.Dataset`."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from suite.core.discovery import load as load_reference
from suite.core.errors import InvalidInput
from tasks.data import Arrays
from tasks.datasets.folder import held_out
from tasks.task import Dataset


def load_archive(dataset: Dataset) -> Arrays:
    """Return the arrays of an .npz file: x and y, or train_x, train_y, test_x, test_y.

    Inputs are uint8 (meaning x/255) or numbers; labels are integers from 0. Without a test part, a
    stratified one is drawn, fixed by the dataset's name.

    Raises:
        InvalidInput: it cannot be read, lacks an array, or contains objects (which are pickles).
    """
    path = Path(dataset.options["path"])
    arrays = read_archive(path)
    if "train_x" in arrays:
        parts = [arrays[name] for name in ("train_x", "train_y", "test_x", "test_y")]
    else:
        kept, held = held_out(arrays["y"], dataset.test, dataset.name)
        parts = [arrays[name][part] for part in (kept, held) for name in ("x", "y")]
    return Arrays(*(_tensor(part, i % 2 == 1) for i, part in enumerate(parts)))


def read_archive(path: Path, *, real: bool = False) -> dict[str, np.ndarray]:
    """Return a dataset's arrays from an .npz file; `real` targets need not be labels.

    Raises:
        InvalidInput: see `load_archive`.
    """
    names = ("train_x", "train_y", "test_x", "test_y")
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            wanted = names if "train_x" in file.files else ("x", "y")
            if missing := [name for name in wanted if name not in file.files]:
                raise InvalidInput(
                    f"{path} has no array '{missing[0]}': give x and y, or {', '.join(names)}"
                )
            arrays = {name: file[name] for name in wanted}
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        if isinstance(error, InvalidInput):
            raise
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InvalidInput(
            f"{path} cannot be read as a NumPy archive of plain arrays (.npz): {reason}"
        ) from error
    for x, y in ((a, a.replace("x", "y")) for a in arrays if a.endswith("x")):
        dimensions = (1, 2) if real else (1,)
        if arrays[y].ndim not in dimensions or len(arrays[x]) != len(arrays[y]):
            raise InvalidInput(
                f"{path}: '{x}' has shape {arrays[x].shape} and '{y}' {arrays[y].shape}: give one "
                f"{'target' if real else 'label'} per example"
            )
        if not real and not np.issubdtype(arrays[y].dtype, np.integer):
            raise InvalidInput(f"{path}: '{y}' holds {arrays[y].dtype}: give whole numbers from 0")
    return arrays


def _tensor(array: np.ndarray, labels: bool) -> Tensor:
    if labels:
        return torch.from_numpy(array.astype(np.int64))
    return torch.from_numpy(array.copy() if array.dtype == np.uint8 else array.astype(np.float32))


def load_torch(dataset: Dataset) -> Arrays:
    """Return the examples of two `torch.utils.data.Dataset`, read once into memory.

    Options: `train` and `test`, each ``module:name`` of a dataset, or of a function or class
    without arguments that returns one. Its items are (input, label), where the input is a tensor,
    an array or a PIL image (uint8 means x/255).

    Raises:
        InvalidInput: it cannot be imported, has no items, or an item has another shape.
    """
    parts: list[Tensor] = []
    for split in ("train", "test"):
        loaded = load_reference(dataset.options[split], dataset.origin)
        parts.extend(_read_all(dataset, split, loaded() if callable(loaded) else loaded))
    return Arrays(*parts)


def _read_all(dataset: Dataset, split: str, examples: Any) -> tuple[Tensor, Tensor]:
    inputs, labels = [], []
    for number in range(len(examples)):
        x, y = examples[number]
        tensor = x if isinstance(x, Tensor) else torch.from_numpy(_channels_first(x))
        if tuple(tensor.shape) != dataset.shape:
            raise InvalidInput(
                f"dataset {dataset.name}: {split} item {number} has shape {tuple(tensor.shape)}, "
                f"{dataset.shape} is declared"
            )
        inputs.append(tensor if tensor.dtype == torch.uint8 else tensor.float())
        labels.append(int(y))
    if not inputs:
        raise InvalidInput(f"dataset {dataset.name}: {dataset.options[split]} has no items")
    return torch.stack(inputs), torch.tensor(labels)


def _channels_first(item: Any) -> np.ndarray:
    array = np.array(item)
    if hasattr(item, "getbands"):  # a PIL image
        return array[None] if array.ndim == 2 else np.ascontiguousarray(array.transpose(2, 0, 1))
    return array
