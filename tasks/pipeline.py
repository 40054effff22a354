"""From a dataset to batches: everything in memory as tensors on the device, batched by index."""

import functools
import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor

from suite.declare import load
from suite.errors import InvalidInput
from suite.seeds import derive_seed
from tasks.task import Dataset


@dataclass(frozen=True)
class Arrays:
    """A dataset as stored: inputs [n, *shape] (uint8 counts as x/255) and labels int64 [n]."""

    train_x: Tensor
    train_y: Tensor
    test_x: Tensor
    test_y: Tensor


@dataclass(frozen=True)
class Split:
    """Normalised inputs, float32 [n, *shape], and labels, int64 [n], on the device."""

    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True)
class Data:
    """The three splits of a trial. `validation` is empty where all of train is trained on."""

    train: Split
    validation: Split
    test: Split
    checksum: str


def training_examples(dataset: Dataset, validation: float) -> int:
    """Return how many examples are trained on; known without loading anything."""
    return dataset.train - round(dataset.train * validation)


def epoch_order(count: int, seed: int, epoch: int, device: torch.device) -> Tensor:
    """Return the order of the examples in an epoch: int64 [count], a function of seed and epoch.

    It depends on nothing else, so paired trials see the same batches, and training can go on from
    any step without a state to restore.
    """
    generator = torch.Generator().manual_seed(derive_seed(seed, "data order", epoch))
    return torch.randperm(count, generator=generator).to(device)


def checksum(arrays: Arrays) -> str:
    """Return the SHA-256 of the inputs' and labels' bytes, in the order of `Arrays`."""
    digest = hashlib.sha256()
    for array in (arrays.train_x, arrays.train_y, arrays.test_x, arrays.test_y):
        digest.update(array.contiguous().numpy().tobytes())
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
    for name, x, y in (
        ("training", arrays.train_x, arrays.train_y),
        ("test", arrays.test_x, arrays.test_y),
    ):
        if y.dtype != torch.int64 or y.shape != x.shape[:1]:
            raise InvalidInput(
                f"dataset {dataset.name}: {len(x)} {name} inputs need as many int64 labels, found "
                f"{y.dtype} of shape {tuple(y.shape)}"
            )
        if bool(((y < 0) | (y >= dataset.classes)).any()):
            raise InvalidInput(
                f"dataset {dataset.name}: {name} labels lie in {int(y.min())} … {int(y.max())}, "
                f"{dataset.classes} classes are declared (0 … {dataset.classes - 1})"
            )
    digest = checksum(arrays)
    if dataset.checksum and digest != dataset.checksum:
        raise InvalidInput(
            f"dataset {dataset.name}: the data read is not the published one (SHA-256 {digest}, "
            f"not {dataset.checksum}); replace the files"
        )
    return arrays, digest


@functools.lru_cache(maxsize=2)
def load_data(dataset: Dataset, validation: float, device: torch.device) -> Data:
    """Return the splits, normalised, on the device.

    The validation split is stratified by class and fixed by the dataset, not by the trial's seed.
    """
    arrays, digest = load_arrays(dataset)
    held_out = dataset.train - training_examples(dataset, validation)
    kept, held = _stratified(arrays.train_y, held_out, dataset.name)
    train_x = _normalise(arrays.train_x, dataset)
    return Data(
        train=Split(train_x[kept].to(device), arrays.train_y[kept].to(device)),
        validation=Split(train_x[held].to(device), arrays.train_y[held].to(device)),
        test=Split(_normalise(arrays.test_x, dataset).to(device), arrays.test_y.to(device)),
        checksum=digest,
    )


def _normalise(x: Tensor, dataset: Dataset) -> Tensor:
    values = x.float() / 255 if x.dtype == torch.uint8 else x.float()
    shape = (-1, *[1] * (len(dataset.shape) - 1))
    return (values - torch.tensor(dataset.mean).view(shape)) / torch.tensor(dataset.std).view(shape)


def _stratified(labels: Tensor, held_out: int, name: str) -> tuple[Tensor, Tensor]:
    """Return the indices kept and held out, each in ascending order."""
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
