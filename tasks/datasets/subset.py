"""A fixed random subset of another dataset."""

import numpy as np
import torch

from tasks.data import Arrays
from tasks.loading import load_arrays
from tasks.task import Dataset


def load(dataset: Dataset) -> Arrays:
    """Return the first examples of the whole dataset after shuffling train, then test.

    The order is that of NumPy's legacy global stream (`numpy.random.seed`, then
    `numpy.random.shuffle`), which published experiments used to draw subsets.

    Raises:
        InvalidInput: the whole dataset cannot be found or read, or is not the published one.
    """
    whole, _ = load_arrays(dataset.options["whole"])
    random = np.random.RandomState(dataset.options["seed"])
    train, test = (_drawn(random, len(y)) for y in (whole.train_y, whole.test_y))
    train, test = train[: dataset.train], test[: dataset.test]
    return Arrays(
        whole.train_x[train], whole.train_y[train], whole.test_x[test], whole.test_y[test]
    )


def _drawn(random: np.random.RandomState, count: int) -> torch.Tensor:
    order = np.arange(count)
    random.shuffle(order)
    return torch.from_numpy(order)
