"""Examples of any `torch.utils.data.Dataset`, read once into memory."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from suite.core.discovery import load as load_reference
from suite.core.errors import InvalidInput, first_line
from tasks.content_digest import DIGITS
from tasks.data import Arrays
from tasks.datasets.pixels import Reading, as_array, readable
from tasks.labels import encode
from tasks.task import Dataset

READ_TWICE = 16
"""Items of a split that are read twice, to notice random ones."""


def load(dataset: Dataset) -> Arrays:
    """Return the examples of two `torch.utils.data.Dataset`.

    Options: `train` and `test`, each ``module:name`` of a dataset, or of a function or class
    without arguments that returns one. Its items are (input, label), where the input is a tensor,
    an array or a PIL image (uint8 means x/255), the label a whole number.

    Raises:
        InvalidInput: it cannot be imported, has no items, or an item has another shape or is no
            example of real numbers.
    """
    parts: list[Tensor] = []
    for split in ("train", "test"):
        examples = open_split(dataset.options[split], dataset.origin)
        parts.extend(_read_all(dataset, split, examples))
    return Arrays(*parts)


def open_split(reference: str, origin: str = "") -> Any:
    """Return the torch dataset that ``module:name`` is, or returns.

    Raises:
        InvalidInput: it cannot be imported or made, or has no items.
    """
    loaded = load_reference(reference, origin)
    try:
        examples = loaded() if callable(loaded) else loaded
        count = len(examples)
    except Exception as error:  # a user's code raises anything
        raise InvalidInput(
            f"{reference} is no dataset of known length: {type(error).__name__}: "
            f"{first_line(error)}"
        ) from error
    if not count:
        raise InvalidInput(f"{reference} has no items")
    return examples


def items(examples: Any, where: str) -> Iterator[tuple[Any, int]]:
    """Yield each item's input and label.

    Raises:
        InvalidInput: an item is no pair, or its label no whole number.
    """
    for number in range(len(examples)):
        try:
            item = examples[number]
        except Exception as error:  # a user's code raises anything
            raise InvalidInput(
                f"{where} item {number} cannot be read: {type(error).__name__}: {first_line(error)}"
            ) from error
        if not isinstance(item, tuple | list) or len(item) != 2:
            raise InvalidInput(
                f"{where} item {number} is a {type(item).__name__}: give pairs (input, label)"
            )
        yield item[0], _label(item[1], f"{where} item {number}")


def items_digest(splits: Mapping[str, Any], where: str) -> str:
    """Return a digest of every item of every split: input, kind of input, and label.

    Raises:
        InvalidInput: as `items`; or an item is another one when it is read again.
    """
    digest = hashlib.sha256()
    for split, examples in splits.items():
        place = f"{where}: {split}"
        for number, (x, y) in enumerate(items(examples, place)):
            content = _content(x)
            if number < READ_TWICE and content != _content(examples[number][0]):
                raise InvalidInput(
                    f"{place} item {number} is another one each time it is read: leave random "
                    "transforms out (the recipe has flip and crop), or name what is read, path:"
                )
            digest.update(content + f" {y}\n".encode())
    return digest.hexdigest()[:DIGITS]


def _content(x: Any) -> bytes:
    if hasattr(x, "getpalette") and x.getpalette() is not None:
        x = x.convert("RGBA")
    array = x.detach().cpu() if isinstance(x, Tensor) else np.asarray(x)
    kind = f"{x.mode if hasattr(x, 'getbands') else ''} {array.dtype} {tuple(array.shape)} "
    if isinstance(array, Tensor):
        array = array.contiguous().flatten().view(torch.uint8).numpy()
    return kind.encode() + array.tobytes()


def _label(given: Any, where: str) -> int:
    value = given.item() if getattr(given, "shape", None) == () else given
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    advice = (
        "give data 'targets: real' for regression, or classes as whole numbers"
        if isinstance(value, float)
        else "give a whole number"
    )
    raise InvalidInput(f"{where} has the label {value!r:.80}: {advice}")


def _read_all(dataset: Dataset, split: str, examples: Any) -> tuple[Tensor, Tensor]:
    where = f"dataset {dataset.name}: {split}"
    reading = Reading.of(dataset.shape, dataset.options)
    inputs, labels = [], []
    for number, (x, y) in enumerate(items(examples, where)):
        tensor = _tensor(x, f"{where} item {number}", reading)
        if tuple(tensor.shape) != dataset.shape:
            raise InvalidInput(
                f"{where} item {number} has shape {tuple(tensor.shape)}, {dataset.shape} is "
                "declared"
            )
        inputs.append(tensor)
        labels.append(y)
    values = dataset.labels or tuple(range(dataset.classes))
    numbered = encode(np.array(labels), values, where)
    return torch.stack(inputs), torch.from_numpy(numbered)


def _tensor(x: Any, where: str, reading: Reading) -> Tensor:
    """Return one input as uint8 or float32."""
    if hasattr(x, "getbands"):  # a PIL image
        return torch.from_numpy(as_array(readable(x, where, reading), reading))
    try:
        tensor = x if isinstance(x, Tensor) else torch.from_numpy(np.array(x))
    except TypeError as error:
        raise InvalidInput(f"{where} is no array of numbers: {first_line(error)}") from error
    if tensor.is_complex():
        raise InvalidInput(
            f"{where} holds complex numbers ({tensor.dtype}): give plain arrays of real numbers"
        )
    return tensor if tensor.dtype == torch.uint8 else tensor.float()
