"""Loads a dataset's splits: in memory as tensors on the device, or as a stream of files."""

import functools
import hashlib
from collections.abc import Callable

import torch
from torch import Tensor

from suite.core.discovery import load, when_dropped
from suite.core.errors import InvalidInput
from tasks.data import (
    Arrays,
    Data,
    RealSplit,
    Split,
    StandardizedSplit,
    TargetScale,
    TextSplit,
    check_varies,
    normalise,
    random_split,
    stratified,
    training_examples,
    unit_values,
)
from tasks.labels import check_several, printable, shown
from tasks.task import Dataset

DARK = 1 / 16
"""Images of 16 bits that use less of their range are noted: they may hold 12 bits, or labels."""
DEEPEST = 2**16 - 1


def checksum(arrays: Arrays) -> str:
    """Return the SHA-256 of the inputs' and labels' bytes, in the order of `Arrays`."""
    digest = hashlib.sha256()
    for array in (arrays.train_x, arrays.train_y, arrays.test_x, arrays.test_y):
        digest.update(array.contiguous().numpy().data)
    return digest.hexdigest()


@functools.lru_cache(maxsize=2)
def load_arrays(dataset: Dataset) -> tuple[Arrays, str]:
    """Return a dataset's arrays and their checksum, read once per process.

    Raises:
        InvalidInput: it cannot be found or read, or does not match its declaration.
    """
    arrays = load(dataset.load, dataset.origin)(dataset)
    if not isinstance(arrays, Arrays):
        raise InvalidInput(
            f"dataset {dataset.name}: {dataset.load} returned {type(arrays).__name__}; it must "
            "return tasks.data.Arrays"
        )
    expected = ((dataset.train, *dataset.shape), (dataset.test, *dataset.shape))
    shapes = (tuple(arrays.train_x.shape), tuple(arrays.test_x.shape))
    if shapes != expected:
        raise InvalidInput(
            f"dataset {dataset.name}: inputs of shape {shapes[0]} and {shapes[1]} were read, "
            f"{expected[0]} and {expected[1]} are declared; "
            "replace the files, or correct the declaration"
        )
    if (arrays.train_x.dtype == torch.uint8) != (arrays.test_x.dtype == torch.uint8):
        raise InvalidInput(
            f"dataset {dataset.name}: the training inputs are {arrays.train_x.dtype}, those for "
            f"test {arrays.test_x.dtype}, and only uint8 is divided by 255: give both the same type"
        )
    _check_values(dataset, "training", arrays.train_x, arrays.train_y)
    _check_values(dataset, "test", arrays.test_x, arrays.test_y)
    if not dataset.regression:
        check_several(arrays.train_y.unique().tolist(), f"dataset {dataset.name}: training data")
    digest = checksum(arrays)
    if dataset.checksum and digest != dataset.checksum:
        raise InvalidInput(
            f"dataset {dataset.name}: the data is not the published one (SHA-256 {digest}, "
            f"not {dataset.checksum}); replace the files"
        )
    return arrays, digest


def _check_values(dataset: Dataset, part: str, x: Tensor, y: Tensor) -> None:
    if dataset.regression:
        _check_targets(dataset, part, x, y)
    else:
        _check_labels(dataset, part, x, y)
    if x.is_complex():
        raise InvalidInput(
            f"dataset {dataset.name}: the {part} inputs are complex numbers ({x.dtype}): give real "
            "ones, e.g. real and imaginary parts as two channels"
        )
    if x.is_floating_point() and not bool(x.isfinite().all()):
        row = int((~x.isfinite()).flatten(1).any(1).nonzero()[0])
        raise InvalidInput(
            f"dataset {dataset.name}: {part} example {row} holds a NaN or an infinity: give finite "
            "numbers"
        )


def _notes(dataset: Dataset, arrays: Arrays) -> tuple[str, ...]:
    """Return what a record says where data may not be what its user takes it for."""
    notes, x = [], arrays.train_x
    if bool((x[0] == x[-1]).all()) and bool((x == x[:1]).all()):
        notes.append(f"all {len(x):,} training inputs are the same: there is nothing to learn")
    if not dataset.regression and len(found := arrays.test_y.unique()) == 1:
        number = int(found)
        name = printable(str(dataset.labels[number] if dataset.labels else number))
        notes.append(
            f"all test examples are of one class ({name}): the accuracy says only how often that "
            "class is predicted"
        )
    if dataset.options.get("deep") and "range" not in dataset.options:
        largest = max(float(x.max()), float(arrays.test_x.max()))
        if largest < DARK:
            notes.append(
                f"the images have 16 bits and use {100 * largest:.2g} % of their range: data "
                f"'range: [0, {round(largest * DEEPEST)}]' would scale them to it"
            )
    return tuple(notes)


def _check_targets(dataset: Dataset, part: str, x: Tensor, y: Tensor) -> None:
    shapes = [(len(x), dataset.classes), *([(len(x),)] if dataset.classes == 1 else [])]
    if not y.is_floating_point() or tuple(y.shape) not in shapes:
        raise InvalidInput(
            f"dataset {dataset.name}: {len(x)} {part} inputs need floating-point targets of shape "
            f"{shapes[0]}, found {y.dtype} of shape {tuple(y.shape)}"
        )
    if not bool(y.isfinite().all()):
        row = int((~y.isfinite()).reshape(len(y), -1).any(1).nonzero()[0])
        raise InvalidInput(
            f"dataset {dataset.name}: the target of {part} example {row} is a NaN or an infinity: "
            "give finite numbers"
        )


def _check_labels(dataset: Dataset, part: str, x: Tensor, y: Tensor) -> None:
    expected = x.shape if dataset.kind == "text" else x.shape[:1]
    if y.dtype != torch.int64 or y.shape != expected:
        raise InvalidInput(
            f"dataset {dataset.name}: {len(x)} {part} inputs need as many int64 labels, found "
            f"{y.dtype} of shape {tuple(y.shape)}"
        )
    if bool(((y < 0) | (y >= dataset.classes)).any()):
        raise InvalidInput(
            f"dataset {dataset.name}: {part} labels lie in {int(y.min())} … {int(y.max())} "
            f"({shown(y.unique().tolist())}), {dataset.classes} classes are declared (0 … "
            f"{dataset.classes - 1}): number the classes from 0 when loading"
        )


@functools.lru_cache(maxsize=2)
def load_data(
    dataset: Dataset,
    validation: float,
    device: torch.device,
    per_image: bool = False,
    split_seed: int | None = None,
) -> Data:
    """Return the normalised splits on the device.

    Inputs are normalised by the dataset's constants, or each image by itself if `per_image`.

    The validation split is stratified by class, the end of a text, or drawn at random where targets
    are real. It depends on the dataset alone, or also on `split_seed` (`validation_seed`). Real
    targets are standardised by mean and deviation of the training examples that are not held out.

    Raises:
        InvalidInput: the data cannot be found or read, or does not match its declaration; or
            `per_image` of what is not images with class labels in memory.
    """
    if per_image and (dataset.kind != "labels" or len(dataset.shape) != 3):
        raise InvalidInput(
            f"per_image_standardization=true is for images of [channels, height, width] in memory, "
            f"with class labels; dataset {dataset.name} holds others: leave it out of the recipe"
        )
    if dataset.kind == "stream":
        from tasks.stream import open_stream

        return open_stream(dataset, validation, device, split_seed)
    arrays, digest = load_arrays(dataset)
    examples = training_examples(dataset, validation)
    if dataset.regression:
        return _real(dataset, arrays, digest, dataset.train - examples, device, split_seed)
    prepare: Callable[[Tensor], Tensor]
    make: Callable[[Tensor, Tensor], Split]
    if per_image:
        make, prepare = StandardizedSplit.of, unit_values
    else:
        make = TextSplit if dataset.kind == "text" else Split
        prepare = functools.partial(normalise, dataset=dataset)
    train_x, test_x = prepare(arrays.train_x), prepare(arrays.test_x)
    if dataset.kind == "text":
        everything = torch.arange(dataset.train)
        kept, held = everything[:examples], everything[examples:]
    else:
        held_out = dataset.train - examples
        kept, held = stratified(arrays.train_y, held_out, dataset.name, split_seed)
    return Data(
        train=make(train_x[kept].to(device), arrays.train_y[kept].to(device)),
        validation=make(train_x[held].to(device), arrays.train_y[held].to(device)),
        test=make(test_x.to(device), arrays.test_y.to(device)),
        checksum=digest,
        notes=_notes(dataset, arrays),
    )


def _real(
    dataset: Dataset,
    arrays: Arrays,
    digest: str,
    held_out: int,
    device: torch.device,
    split_seed: int | None,
) -> Data:
    """Return the splits of a dataset with real targets."""
    train_x, test_x = (normalise(x, dataset) for x in (arrays.train_x, arrays.test_x))
    train_y, test_y = (y.reshape(len(y), dataset.classes) for y in (arrays.train_y, arrays.test_y))
    kept, held = random_split(dataset.train, held_out, dataset.name, split_seed)
    scale = TargetScale.of(train_y[kept], dataset.name)
    if held_out:
        check_varies(train_y[held], dataset.name, "validation")
    check_varies(test_y, dataset.name, "test")

    def split(x: Tensor, y: Tensor) -> RealSplit:
        return RealSplit(x.to(device), scale.standardise(y).to(device), scale)

    return Data(
        train=split(train_x[kept], train_y[kept]),
        validation=split(train_x[held], train_y[held]),
        test=split(test_x, test_y),
        checksum=digest,
        notes=_notes(dataset, arrays),
    )


when_dropped(load_arrays.cache_clear)
when_dropped(load_data.cache_clear)
