"""From a dataset to its splits: in memory as tensors on the device, or as a stream of files."""

import functools
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from suite.declare import load
from suite.errors import InvalidInput
from suite.seeds import derive_seed
from tasks.batches import Batch, Feed, MemoryFeed, TextFeed
from tasks.task import Dataset

PLACES_AT_ONCE = 2**14
"""Characters of a text that are evaluated at once."""


@dataclass(frozen=True)
class Arrays:
    """A dataset as stored: inputs [n, *shape] (uint8 counts as x/255) and labels int64 [n].

    A text's inputs are characters by number, int64 [n, length], in consecutive windows, and its
    labels the characters that follow each, of the same shape.
    """

    train_x: Tensor
    train_y: Tensor
    test_x: Tensor
    test_y: Tensor


@dataclass(frozen=True)
class Split:
    """Examples in memory, on the device.

    Attributes:
        x: normalised inputs, float32 [n, *shape]; characters, int64 [n, length], of a text.
        y: labels, int64 [n]; [n, length] of a text.
    """

    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        return len(self.y)

    @property
    def device(self) -> torch.device:
        """Where the examples are, and training happens."""
        return self.y.device

    @property
    def streamed(self) -> bool:
        """Whether inputs are read from files batch by batch, and there is no `x` of all of them."""
        return False

    def batches(self, size: int) -> Iterator[Batch]:
        """Yield all examples in order, `size` at a time, as they are evaluated."""
        yield from zip(self.x.split(size), self.y.split(size), strict=True)

    def pool(self, count: int, seed: int) -> "Split":
        """Return `count` examples drawn without replacement (all, where there are fewer)."""
        chosen = draw_pool(len(self), count, seed).to(self.device)
        return Split(self.x[chosen], self.y[chosen])

    def feed(self, recipe: Mapping[str, Any], seed: int) -> Feed:
        """Return what gives out the batches of training.

        Raises:
            InvalidInput: the recipe's augmentation does not fit the examples.
        """
        return MemoryFeed(self.x, self.y, recipe, seed)


@dataclass(frozen=True)
class TextSplit(Split):
    """Windows of a text, one after the other."""

    def batches(self, size: int) -> Iterator[Batch]:
        """Yield all windows in order, fewer at a time the longer they are: all places count."""
        yield from super().batches(max(1, min(size, PLACES_AT_ONCE // self.x.shape[1])))

    def feed(self, recipe: Mapping[str, Any], seed: int) -> Feed:
        """Return what gives out the batches of training: windows that begin anywhere."""
        return TextFeed(self.x, self.y, recipe, seed)


@dataclass(frozen=True)
class Data:
    """The three splits of a trial. `validation` is empty where all of train is trained on."""

    train: Split
    validation: Split
    test: Split
    checksum: str


def draw_pool(examples: int, count: int, seed: int) -> Tensor:
    """Return which examples a pool holds: int64 [min(count, examples)], a function of the seed."""
    generator = torch.Generator().manual_seed(derive_seed(seed, "pool"))
    return torch.randperm(examples, generator=generator)[:count]


def training_examples(dataset: Dataset, validation: float) -> int:
    """Return how many examples are trained on; known without loading anything."""
    return dataset.train - round(dataset.train * validation)


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
        InvalidInput: it cannot be found or read, or is not what the declaration says.
    """
    arrays: Arrays = load(dataset.load, dataset.origin)(dataset)
    expected = ((dataset.train, *dataset.shape), (dataset.test, *dataset.shape))
    found = (tuple(arrays.train_x.shape), tuple(arrays.test_x.shape))
    if found != expected:
        raise InvalidInput(
            f"dataset {dataset.name}: inputs of shape {found[0]} and {found[1]} were read, "
            f"{expected[0]} and {expected[1]} are declared; replace the files"
        )
    _check_values(dataset, "training", arrays.train_x, arrays.train_y)
    _check_values(dataset, "test", arrays.test_x, arrays.test_y)
    digest = checksum(arrays)
    if dataset.checksum and digest != dataset.checksum:
        raise InvalidInput(
            f"dataset {dataset.name}: the data read is not the published one (SHA-256 {digest}, "
            f"not {dataset.checksum}); replace the files"
        )
    return arrays, digest


def _check_values(dataset: Dataset, part: str, x: Tensor, y: Tensor) -> None:
    expected = x.shape if dataset.kind == "text" else x.shape[:1]
    if y.dtype != torch.int64 or y.shape != expected:
        raise InvalidInput(
            f"dataset {dataset.name}: {len(x)} {part} inputs need as many int64 labels, found "
            f"{y.dtype} of shape {tuple(y.shape)}"
        )
    if bool(((y < 0) | (y >= dataset.classes)).any()):
        raise InvalidInput(
            f"dataset {dataset.name}: {part} labels lie in {int(y.min())} … {int(y.max())}, "
            f"{dataset.classes} classes are declared (0 … {dataset.classes - 1})"
        )
    if x.is_floating_point() and not bool(x.isfinite().all()):
        row = int((~x.isfinite()).flatten(1).any(1).nonzero()[0])
        raise InvalidInput(
            f"dataset {dataset.name}: {part} example {row} holds a NaN or an infinity: give finite "
            "numbers"
        )


@functools.lru_cache(maxsize=2)
def load_data(dataset: Dataset, validation: float, device: torch.device) -> Data:
    """Return the splits, normalised, on the device.

    The validation split is fixed by the dataset, not by the trial's seed: stratified by class, or
    the end of a text.

    Raises:
        InvalidInput: the data cannot be found or read, or is not what the declaration says.
    """
    if dataset.kind == "stream":
        from tasks.stream import open_stream

        return open_stream(dataset, validation, device)
    arrays, digest = load_arrays(dataset)
    examples = training_examples(dataset, validation)
    train_x, test_x = (prepared(x, dataset) for x in (arrays.train_x, arrays.test_x))
    if dataset.kind == "text":
        make: type[Split] = TextSplit
        everything = torch.arange(dataset.train)
        kept, held = everything[:examples], everything[examples:]
    else:
        make = Split
        kept, held = stratified(arrays.train_y, dataset.train - examples, dataset.name)
    return Data(
        train=make(train_x[kept].to(device), arrays.train_y[kept].to(device)),
        validation=make(train_x[held].to(device), arrays.train_y[held].to(device)),
        test=make(test_x.to(device), arrays.test_y.to(device)),
        checksum=digest,
    )


def prepared(x: Tensor, dataset: Dataset) -> Tensor:
    """Return inputs as a model gets them: normalised, float32; a text's characters as they are."""
    if dataset.kind == "text":
        return x
    values = x.float() / 255 if x.dtype == torch.uint8 else x.float()
    shape = (-1, *[1] * (len(dataset.shape) - 1))
    mean, std = (torch.tensor(v, device=x.device).view(shape) for v in (dataset.mean, dataset.std))
    return (values - mean) / std


def stratified(labels: Tensor, held_out: int, name: str) -> tuple[Tensor, Tensor]:
    """Return the indices kept and held out for validation, each in ascending order.

    Raises:
        InvalidInput: some class has too few examples to be in both.
    """
    everything = torch.arange(len(labels))
    if held_out == 0:
        return everything, everything[:0]
    from sklearn.model_selection import train_test_split

    try:
        kept, held = train_test_split(
            everything.numpy(),
            test_size=held_out,
            stratify=labels.numpy(),
            random_state=derive_seed(name, "validation") % 2**32,
        )
    except ValueError as error:
        raise InvalidInput(f"validation: {held_out} examples of {name}: {error}") from error
    return torch.from_numpy(kept).sort().values, torch.from_numpy(held).sort().values
