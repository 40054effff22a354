"""Datasets that scikit-learn contains, and Covertype, which is downloaded."""

from typing import Any

import numpy as np
import torch

from suite.core.errors import InvalidInput
from suite.core.seeds import derive_seed
from tasks.data import Arrays
from tasks.datasets.files import fetch
from tasks.task import Dataset


def load_digits(dataset: Dataset) -> Arrays:
    """Return the 1,797 handwritten digits, 8×8 with values 0…16, as float inputs in [0, 1].

    There is no published test split, so a fixed stratified one is drawn.
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


def load_breast_cancer(dataset: Dataset) -> Arrays:
    """Return 569 tumours described by 30 numbers, standardised; malignant is 0, benign 1."""
    from sklearn.datasets import load_breast_cancer as tumours

    return _standardised(dataset, *tumours(return_X_y=True))


def load_wine(dataset: Dataset) -> Arrays:
    """Return 178 wines of three cultivars described by 13 numbers, standardised."""
    from sklearn.datasets import load_wine as wines

    return _standardised(dataset, *wines(return_X_y=True))


def load_diabetes(dataset: Dataset) -> Arrays:
    """Return 442 patients described by 10 numbers, standardised.

    The target, a real number, is the progression of their diabetes after a year (25 to 346).
    """
    from sklearn.datasets import load_diabetes as patients

    return _standardised(dataset, *patients(return_X_y=True, scaled=False))


def load_covtype(dataset: Dataset) -> Arrays:
    """Return 581,012 patches of forest described by 54 numbers, standardised; seven covers.

    The published file is read directly: scikit-learn would cache it as a pickle.

    Raises:
        InvalidInput: it is missing and cannot be downloaded, or has a wrong checksum.
    """
    import polars as pl

    options = dataset.options
    path = fetch(options["file"], options["url"], ("sha256", options["sha256"]), dataset.name)
    try:
        rows = pl.read_csv(path, has_header=False).to_numpy()
    except pl.exceptions.PolarsError as error:
        raise InvalidInput(f"{path} is not a table: {error}; fetch it again") from error
    return _standardised(dataset, rows[:, :-1].astype(np.float64), rows[:, -1].astype(int) - 1)


def _standardised(dataset: Dataset, x: Any, y: Any) -> Arrays:
    """Return a fixed split, standardised by the training part's mean and deviation.

    It is stratified, unless targets are real. They keep their unit.
    """
    from sklearn.model_selection import train_test_split

    kind = torch.float64 if dataset.regression else torch.int64
    train_x, test_x, train_y, test_y = train_test_split(
        x,
        y,
        test_size=dataset.test,
        stratify=None if dataset.regression else y,
        random_state=derive_seed(dataset.name, "test") % 2**32,
    )
    mean, deviation = train_x.mean(0), train_x.std(0)
    deviation[deviation == 0] = 1  # constant columns
    # Rounded, so that the checksum does not depend on the order of summation.
    train_x, test_x = (((part - mean) / deviation).round(4) for part in (train_x, test_x))
    return Arrays(
        torch.from_numpy(train_x).float(),
        torch.from_numpy(train_y).to(kind),
        torch.from_numpy(test_x).float(),
        torch.from_numpy(test_y).to(kind),
    )
