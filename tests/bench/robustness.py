"""Corruption evaluation in seconds, and what the measures of every trial add to it."""

import os
import time
from unittest import mock

import torch

from suite.core.errors import InvalidInput
from suite.evaluation.corruptions import corruptions
from suite.evaluation.robustness import Pixels, corruption_accuracy, pixel_space
from suite.experiments.trial_config import Trial
from suite.training import final_metrics
from suite.training.context import TrialContext
from suite.training.model import make_model
from suite.training.trial import run_trial
from tasks.data import Split
from tasks.loading import load_data
from tests.bench.measure import report

TRIAL = Trial.make(task="fashion_mnist/lenet_300_100", method="dense")
QUICKSTART = Trial.make(task="digits/mlp", method="rigl", sparsity=0.9)
IMAGES, BAR, BLOCKS = 10_000, 20.0, 5


def corrupted() -> bool:
    """Print the seconds of 30 conditions on 10,000 images, 2 cores; return whether under 20."""
    threads = min(2, len(os.sched_getaffinity(0)))
    torch.set_num_threads(threads)
    split, what = _test_split()
    pixels = pixel_space(TRIAL.dataset_declaration, split)
    assert isinstance(pixels, Pixels)
    model = make_model(TrialContext.of(TRIAL))
    corruption_accuracy(model, Split(split.x[:1000], split.y[:1000]), pixels)  # warm-up
    seconds = []
    for _ in range(BLOCKS):
        began = time.perf_counter()
        corruption_accuracy(model, split, pixels)
        seconds.append(time.perf_counter() - began)
    made = time.perf_counter()
    for number, (x, _) in enumerate(split.batches(1000)):
        for _ in corruptions(pixels.of(x), number):
            pass
    made = time.perf_counter() - made
    median = sorted(seconds)[BLOCKS // 2]
    print(
        f"{f'30 corruptions of 10,000 {what}, {threads} threads':<58} {median:6.2f} s "
        f"({min(seconds):.2f} … {max(seconds):.2f}; {made:.2f} to make them)  bar < {BAR:g} s  "
        f"{'ok' if median < BAR else 'MISSED'}",
        flush=True,
    )
    return median < BAR


def added() -> bool:
    """Print what the measures of every trial add to digits/mlp; return whether at most a tenth."""
    ratios = []
    for _ in range(BLOCKS + 1):
        spent = []

        def timed(*given, spent=spent, measure=final_metrics.measure, **more):
            began = time.perf_counter()
            found = measure(*given, **more)
            spent.append(time.perf_counter() - began)
            return found

        with mock.patch.object(final_metrics, "measure", timed):
            total = run_trial(QUICKSTART).record.timing["seconds"]
        assert isinstance(total, float)
        ratios.append(total / (total - spent[0]))
    return report("trial with its measures / without, digits/mlp, rigl", ratios[1:], 1.10)


def _test_split() -> tuple[Split, str]:
    """Return Fashion-MNIST's test images, or noise of their shape where they are missing."""
    dataset = TRIAL.dataset_declaration
    try:
        return load_data(dataset, 0.1, torch.device("cpu")).test, "Fashion-MNIST images"
    except InvalidInput:
        pixels = torch.rand(IMAGES, 1, 28, 28)
        x = (pixels - dataset.mean[0]) / dataset.std[0]
        return Split(x, torch.randint(10, (IMAGES,))), "noise images"
