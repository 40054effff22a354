"""The input pipeline: against a torchvision loader, and its share of a real epoch."""

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor

from suite.core.errors import InvalidInput
from suite.experiments import registry
from suite.experiments.trial_config import Trial
from suite.training import loop
from suite.training.context import TrialContext
from suite.training.loop import Training, train
from suite.training.setup import prepare
from tasks.batches import MemoryBatchSource
from tests.bench.measure import ratios

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


def run() -> bool:
    """Print how many times as fast as the loader our batches come; return whether it is ten.

    Ours come from one thread, the loader's from two processes.
    """
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (IMAGES, 32, 32, 3), dtype=np.uint8)
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float().div_(255).contiguous()
    recipe = registry.tasks()["cifar10/resnet_20"].resolve_recipe({"crop_fill": "reflect"})
    source = MemoryBatchSource(x, torch.arange(IMAGES) % 10, recipe, seed=0)
    loader = torch.utils.data.DataLoader(
        Pictures(images), BATCH, shuffle=True, num_workers=WORKERS, drop_last=True
    )
    batches, epoch = iter(loader), source.epoch(0)
    for _ in range(4):
        next(batches)  # the workers have started

    def ours() -> None:
        for _ in epoch.batches(0, OURS):
            pass

    def theirs() -> None:
        for _ in range(THEIRS):
            next(batches)

    values = [ratio * OURS / THEIRS for ratio in ratios(theirs, ours, BLOCKS)]
    speed = statistics.median(values)
    began = time.perf_counter()
    ours()
    rate = OURS * BATCH / (time.perf_counter() - began)
    ok = speed >= 10
    what = "input pipeline, CIFAR-shaped, crop + flip"
    print(
        f"{what:<58} {speed:6.1f} × a torchvision loader of {WORKERS} workers "
        f"({rate:,.0f} images/s)  bar ≥ 10  {'ok' if ok else 'MISSED'}"
    )
    return ok


def share() -> bool:
    """Print what part of an epoch of LeNet-300-100 is not forward, backward and step."""
    torch.set_num_threads(1)
    trial = Trial.make(task="fashion_mnist/lenet_300_100", method="dense", recipe={"epochs": 1})
    try:
        training = prepare(TrialContext.of(trial))
    except InvalidInput as error:
        print(f"fraction of an epoch outside of training: left out: {error}")
        return True
    inside = Clock()
    found = []
    with inside.around(training):
        for number in range(BLOCKS + 1):
            inside.seconds, began = 0.0, time.perf_counter()
            train(training, 0)
            if number > 0:  # the first one warms up
                found.append(1 - inside.seconds / (time.perf_counter() - began))
    value = statistics.median(found)
    print(f"{'epoch of LeNet-300-100, outside of forward, backward, step':<58} {value:6.1%}"
          f"  bar ≤ 10 %  {'ok' if value <= 0.1 else 'MISSED'}")  # fmt: skip
    return value <= 0.1


class Clock:
    """Adds up the seconds spent in forward (with the loss), backward and step."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def timed(self, work: Callable[..., Any]) -> Callable[..., Any]:
        """Return `work`, timed."""

        def call(*args: Any, **options: Any) -> Any:
            began = time.perf_counter()
            try:
                return work(*args, **options)
            finally:
                self.seconds += time.perf_counter() - began

        return call

    @contextlib.contextmanager
    def around(self, training: Training) -> Iterator[None]:
        """Time what a training calls."""
        made = loop.training_loss
        training.model.forward = self.timed(training.model.forward)
        training.optimizer.step = self.timed(training.optimizer.step)
        with (
            mock.patch.object(torch.Tensor, "backward", self.timed(torch.Tensor.backward)),
            mock.patch.object(loop, "training_loss", lambda recipe: self.timed(made(recipe))),
        ):
            yield
