"""The input pipeline against a torchvision loader."""

from collections.abc import Iterator
from importlib.metadata import version

import numpy as np
import torch
from torch import Tensor

from suite.bench.measurement import Bar, Measurement
from suite.bench.turns import ratios
from suite.experiments import registry
from suite.training.seeding import reproducible
from tasks.batches import MemoryBatchSource

IMAGES, BATCH, WORKERS = 50_000, 128, 2
OURS, THEIRS, BLOCKS = 100, 12, 5
"""Batches per block of each side: both blocks take a comparable time."""


class Pictures(torch.utils.data.Dataset[tuple[Tensor, int]]):
    """CIFAR-shaped images as torchvision has them: an array, a PIL image, transforms."""

    def __init__(self, images: np.ndarray) -> None:
        from torchvision import transforms

        self.images = images
        self.transform = transforms.Compose([
            transforms.RandomCrop(32, padding=4, padding_mode="reflect"),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize((0.49, 0.48, 0.45), (0.25, 0.24, 0.26)),
        ])  # fmt: skip

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        import PIL.Image

        return self.transform(PIL.Image.fromarray(self.images[index])), index % 10


def against_torchvision(
    images: int = IMAGES, ours: int = OURS, theirs: int = THEIRS, blocks: int = BLOCKS
) -> Iterator[Measurement]:
    """Yield how many times as fast as torchvision's loader batches of the same pictures come.

    Ours come from one thread, the loader's from `WORKERS` processes. A block holds `ours` and
    `theirs` batches.
    """
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (images, 32, 32, 3), dtype=np.uint8)
    x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float().div_(255).contiguous()
    recipe = registry.tasks()["cifar10/resnet_20"].resolve_recipe({"crop_fill": "reflect"})
    source = MemoryBatchSource(x, torch.arange(images) % 10, recipe, seed=0)
    loader = torch.utils.data.DataLoader(
        Pictures(pictures), BATCH, shuffle=True, num_workers=WORKERS, drop_last=True
    )
    with reproducible(torch.device("cpu"), threads=1):
        batches, epoch = iter(loader), source.epoch(0)
        for _ in range(min(4, theirs)):
            next(batches)  # the workers have started

        def take_ours() -> None:
            for _ in epoch.batches(0, ours):
                pass

        def take_theirs() -> None:
            for _ in range(theirs):
                next(batches)

        found = [ratio * ours / theirs for ratio in ratios(take_theirs, take_ours, blocks)]
    what = "input pipeline / torchvision's loader, CIFAR-shaped, crop and flip"
    note = f"1 thread, torchvision {version('torchvision')} with {WORKERS} workers"
    yield Measurement.of(what, found, "×", Bar(10.0, least=True), note)
