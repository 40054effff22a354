"""Images that do not fit in memory: read, decoded and augmented in worker processes.

The image at a position of an epoch, and its crop, are a function of (seed, epoch, position); the
number of workers and their order make no difference.
"""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from suite.core.errors import InvalidInput
from suite.core.seeds import derive_seed
from tasks.batches import Batch, BatchSource, Epoch, epoch_order
from tasks.data import Data, Split, draw_pool, normalise, stratified, training_examples
from tasks.datasets.images import image_bytes
from tasks.datasets.pixels import Reading, as_array, open_image, readable
from tasks.recipe import Recipe
from tasks.task import Dataset

EVALUATION_SCALE = 256 / 224
"""For evaluation, the shorter side is scaled to this multiple of the input's, then the centre is
cropped."""

EVALUATION_BATCH = 250
MAX_WORKERS = 16

Item = tuple[int, int]
"""(index of the file, seed of its random crop; −1 for none)."""


@dataclass(frozen=True)
class Files:
    """Paths of image files and their labels (int64), as returned by a stream's loader."""

    train: list[Path]
    train_y: Tensor
    test: list[Path]
    test_y: Tensor


def open_stream(
    dataset: Dataset, validation: float, device: torch.device, split_seed: int | None = None
) -> Data:
    """Return the splits of a streamed dataset; no image is read yet. See `load_data`.

    Raises:
        InvalidInput: files are missing, or their number is not the declared one.
    """
    from suite.core.discovery import load

    files: Files = load(dataset.load, dataset.origin)(dataset)
    counts = (len(files.train), len(files.test))
    if counts != (dataset.train, dataset.test):
        raise InvalidInput(
            f"dataset {dataset.name}: {counts[0]} training and {counts[1]} test images were "
            f"found, {dataset.train} and {dataset.test} are declared; complete the folders"
        )
    held_out = dataset.train - training_examples(dataset, validation)
    kept, held = stratified(files.train_y, held_out, dataset.name, split_seed)
    names = "\0".join(path.name for path in (*files.train, *files.test))
    return Data(
        train=Stream(dataset, files.train, files.train_y, kept, device),
        validation=Stream(dataset, files.train, files.train_y, held, device),
        test=Stream(dataset, files.test, files.test_y, torch.arange(len(files.test)), device),
        checksum=hashlib.sha256(names.encode()).hexdigest(),
    )


class Stream(Split):
    """A split whose images are read on demand. It has labels `y`, but no `x`."""

    def __init__(
        self, dataset: Dataset, paths: list[Path], y: Tensor, chosen: Tensor, device: torch.device
    ) -> None:
        set_ = object.__setattr__  # a frozen dataclass by inheritance
        set_(self, "dataset", dataset)
        set_(self, "paths", [paths[int(i)] for i in chosen])
        set_(self, "y", y[chosen].to(device))

    dataset: Dataset
    paths: list[Path]

    @property
    def x(self) -> Tensor:
        """Not available.

        Raises:
            InvalidInput: always; use `batches` or `pool` to read examples.
        """
        raise InvalidInput(
            f"dataset {self.dataset.name} is streamed, so it has no x: read its batches or a pool"
        )

    @property
    def streamed(self) -> bool:
        """Whether inputs are read from files: always True."""
        return True

    def batches(self, size: int) -> Iterator[Batch]:
        """Yield all examples in order, scaled and centre-cropped."""
        size = min(size, EVALUATION_BATCH)
        parts = torch.arange(len(self)).split(size)
        loader = self._loader([[(int(i), -1) for i in part] for part in parts], 0.0, False)
        for part, images in zip(parts, _read(loader), strict=True):
            yield self._on_device(images), self.y[part.to(self.device)]

    def pool(self, count: int, seed: int) -> Split:
        """Return `count` examples in memory, drawn without replacement and centre-cropped."""
        chosen = draw_pool(len(self), count, seed)
        part = Stream(self.dataset, self.paths, self.y.cpu(), chosen, self.device)
        batches = list(part.batches(EVALUATION_BATCH))
        return Split(torch.cat([x for x, _ in batches]), torch.cat([y for _, y in batches]))

    def batch_source(self, recipe: Recipe, seed: int) -> BatchSource:
        """Return the source of training batches.

        Raises:
            InvalidInput: the recipe has an augmentation that streams do not support.
        """
        for name, value in (("crop", recipe.crop), ("cutout", recipe.cutout)):
            if value:
                raise InvalidInput(
                    f"{name}={value}: streamed images support only smallest_crop and flip"
                )
        return StreamBatchSource(self, recipe, seed)

    def _loader(self, items: Any, smallest: float, flip: bool) -> DataLoader[Any]:
        shape, reading = self.dataset.shape, Reading.of(self.dataset.shape, self.dataset.options)
        decoder = Decoder(self.paths, shape, smallest, flip, reading)
        workers = min(MAX_WORKERS, len(os.sched_getaffinity(0)), max(1, len(items)))
        return DataLoader(
            decoder,  # type: ignore[arg-type]
            batch_sampler=items,
            num_workers=workers,
            pin_memory=self.device.type == "cuda",
            worker_init_fn=_one_thread,
            generator=torch.Generator(),  # otherwise it would draw from the global random state
        )

    def _on_device(self, images: Tensor) -> Tensor:
        return normalise(images.to(self.device, non_blocking=True), self.dataset)


class StreamBatchSource:
    """Training batches of a stream."""

    def __init__(self, split: Stream, recipe: Recipe, seed: int) -> None:
        self.split, self.seed = split, seed
        self.size = recipe.batch_size
        self.smallest = recipe.smallest_crop
        self.flip = recipe.flip
        self.layout = torch.channels_last if recipe.channels_last else torch.contiguous_format

    def epoch(self, number: int) -> Epoch:
        """Return the batches of epoch `number`."""
        return StreamEpoch(self, number)


class StreamEpoch:
    """An epoch's order, and the seed of each image's crop."""

    def __init__(self, source: StreamBatchSource, number: int) -> None:
        self.source, self.number = source, number
        cpu = torch.device("cpu")
        self.order = epoch_order(len(source.split), source.seed, number, cpu).tolist()

    def batch(self, index: int) -> Batch:
        """Return inputs and labels of the batch at `index`."""
        return next(self.batches(index, index + 1))

    def batches(self, begin: int, end: int) -> Iterator[Batch]:
        """Yield batches `begin` … `end` − 1, prefetched by the workers."""
        source = self.source
        items = [self._items(index) for index in range(begin, end)]
        loader = source.split._loader(items, source.smallest, source.flip)
        for chosen, images in zip(items, _read(loader), strict=True):
            examples = torch.tensor([number for number, _ in chosen], device=source.split.device)
            x = source.split._on_device(images).contiguous(memory_format=source.layout)
            yield x, source.split.y[examples]

    def _items(self, index: int) -> list[Item]:
        size = self.source.size
        return [
            (self.order[place], derive_seed(self.source.seed, "crop", self.number, place))
            for place in range(index * size, (index + 1) * size)
        ]


@dataclass
class Decoder:
    """Reads, decodes, crops and scales an image in a worker: [channels, h, w].

    uint8, or float32 in [0, 1] if the reading is deep.
    """

    paths: list[Path]
    shape: tuple[int, ...]
    smallest: float
    flip: bool
    reading: Reading

    def __getitem__(self, item: Item) -> Tensor:
        number, seed = item
        path = self.paths[number]
        image = open_image(image_bytes(path), str(path), self.reading.orient)
        image = readable(image, str(path), self.reading)
        rng = np.random.default_rng(seed) if seed >= 0 else None
        box = _centre_box(image.size, self.shape)
        if rng is not None and self.smallest > 0:
            box = random_box(rng, image.size, self.smallest) or box
        # Bilinear, antialiased over the whole box.
        image = image.resize((self.shape[2], self.shape[1]), 2, box=box)
        array = as_array(image, self.reading)
        if rng is not None and self.flip and rng.random() < 0.5:
            array = array[:, :, ::-1]
        return torch.from_numpy(array.copy())


def _centre_box(size: tuple[int, int], shape: tuple[int, ...]) -> tuple[float, float, float, float]:
    """Return the centre box; its shorter side is 1 / EVALUATION_SCALE of the image's."""
    width, height = size
    scale = min(width / shape[2], height / shape[1]) / EVALUATION_SCALE
    across, down = shape[2] * scale, shape[1] * scale
    left, top = (width - across) / 2, (height - down) / 2
    return left, top, left + across, top + down


def random_box(
    rng: np.random.Generator, size: tuple[int, int], smallest: float
) -> tuple[int, int, int, int] | None:
    """Return a random box of `smallest` to all of the area, with aspect ratio 3/4 to 4/3.

    None if ten attempts do not fit. Source: Szegedy et al. 2015, arXiv:1409.4842, §6,
    as in torchvision's RandomResizedCrop.
    """
    width, height = size
    for _ in range(10):
        area = width * height * rng.uniform(smallest, 1)
        ratio = np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3)))
        across, down = round(np.sqrt(area * ratio)), round(np.sqrt(area / ratio))
        if 0 < across <= width and 0 < down <= height:
            left = int(rng.integers(0, width - across + 1))
            top = int(rng.integers(0, height - down + 1))
            return left, top, left + across, top + down
    return None


def _read(loader: DataLoader[Any]) -> Iterator[Tensor]:
    """Yield the workers' batches; an error in a worker is re-raised as one line."""
    try:
        yield from loader
    except InvalidInput as error:  # from a worker: the message contains a traceback
        line = str(error).strip().splitlines()[-1]
        raise InvalidInput(line.removeprefix(f"{InvalidInput.__module__}.InvalidInput: ")) from None


def _one_thread(worker: int) -> None:
    torch.set_num_threads(1)
