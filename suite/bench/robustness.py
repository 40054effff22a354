"""Accuracy under corruptions in seconds, and what the measures of every trial add to it."""

import os
import time
from collections.abc import Iterator
from typing import Any
from unittest import mock

import torch

from suite.bench.measurement import Bar, Measurement
from suite.bench.turns import seconds
from suite.core.errors import InvalidInput
from suite.evaluation.robustness import Pixels, corruption_accuracy, pixel_space
from suite.experiments.trial_config import Trial
from suite.training import final_metrics
from suite.training.context import TrialContext
from suite.training.model import make_model
from suite.training.seeding import reproducible
from suite.training.trial import run_trial
from tasks.data import Split
from tasks.loading import load_data

TRIAL = Trial.make(task="fashion_mnist/lenet_300_100", method="dense")
QUICKSTART = Trial.make(task="digits/mlp", method="rigl", sparsity=0.9)
IMAGES, BLOCKS = 10_000, 5
THREADS = 2


def corrupted(images: int = IMAGES, blocks: int = BLOCKS) -> Iterator[Measurement]:
    """Yield the seconds that 30 corrupted versions of Fashion-MNIST's test images take."""
    threads = min(THREADS, len(os.sched_getaffinity(0)))
    split, what = _test_split(images)
    pixels = pixel_space(TRIAL.dataset_declaration, split)
    assert isinstance(pixels, Pixels)
    model = make_model(TrialContext.of(TRIAL))
    with reproducible(torch.device("cpu"), threads):
        corruption_accuracy(model, Split(split.x[:1000], split.y[:1000]), pixels)  # warm-up
        found = [seconds(lambda: corruption_accuracy(model, split, pixels)) for _ in range(blocks)]
    name = f"accuracy under 30 corruptions of {images:,} {what}"
    yield Measurement.of(name, found, "s", Bar(20.0), f"{threads} threads")


def added(blocks: int = BLOCKS, trial: Trial = QUICKSTART) -> Iterator[Measurement]:
    """Yield the time of a small trial over the same without its last measures."""
    found = []
    for _ in range(blocks + 1):
        spent: list[float] = []

        def timed(
            *given: Any,
            spent: list[float] = spent,
            measure: Any = final_metrics.measure,
            **more: Any,
        ) -> Any:
            began = time.perf_counter()
            measured = measure(*given, **more)
            spent.append(time.perf_counter() - began)
            return measured

        with mock.patch.object(final_metrics, "measure", timed):
            total = run_trial(trial).record.timing["seconds"]
        assert isinstance(total, float)
        found.append(total / (total - sum(spent)))
    what = f"trial with its last measures / without, {trial.task}, {trial.method}"
    yield Measurement.of(what, found[1:], "×", Bar(1.1), "1 thread")


def _test_split(images: int) -> tuple[Split, str]:
    """Return Fashion-MNIST's first test images, or noise of their shape where they are missing."""
    dataset = TRIAL.dataset_declaration
    try:
        test = load_data(dataset, 0.1, torch.device("cpu")).test
        return Split(test.x[:images], test.y[:images]), "Fashion-MNIST images"
    except InvalidInput:
        x = (torch.rand(images, 1, 28, 28) - dataset.mean[0]) / dataset.std[0]
        return Split(x, torch.randint(10, (images,))), "noise images"
