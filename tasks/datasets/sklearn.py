"""Datasets that ship with scikit-learn: no download."""

import torch

from suite.seeds import derive_seed
from tasks.pipeline import Arrays
from tasks.task import Dataset


def load_digits(dataset: Dataset) -> Arrays:
    """Return the 1,797 handwritten digits, 8×8 with values 0…16, as float inputs in [0, 1].

    There is no published test split: a stratified one is fixed here once for all.
    """
    from sklearn.datasets import load_digits as digits
    from sklearn.model_selection import train_test_split

    x, y = digits(return_X_y=True)
    train_x, test_x, train_y, test_y = train_test_split(
        x / 16.0,
        y,
        test_size=dataset.test,
        stratify=y,
        random_state=derive_seed(dataset.name, "test") % 2**32,
    )
    return Arrays(
        torch.from_numpy(train_x).float().view(-1, *dataset.shape),
        torch.from_numpy(train_y).long(),
        torch.from_numpy(test_x).float().view(-1, *dataset.shape),
        torch.from_numpy(test_y).long(),
    )
