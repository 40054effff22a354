"""Datasets that scikit-learn contains, and Covertype, which is downloaded."""

import importlib.util
from pathlib import Path

import numpy as np
import torch

from suite.core.errors import InvalidInput
from suite.core.seeds import derive_seed
from tasks.data import Arrays
from tasks.datasets.files import fetch
from tasks.splits import shuffled_split, stratified_split
from tasks.task import Dataset


def load_digits(dataset: Dataset) -> Arrays:
    """Return the 1,797 handwritten digits, 8×8 with values 0…16, as float inputs in [0, 1].

    There is no published test split, so a fixed stratified one is drawn.
    """
    rows = _bundled("digits.csv.gz")
    if rows is None:
        from sklearn.datasets import load_digits as digits

        rows = np.column_stack(digits(return_X_y=True))
    x, y = rows[:, :-1] / 16.0, rows[:, -1]
    kept, held = stratified_split(y, dataset.test, _seed(dataset))
    return Arrays(
        torch.from_numpy(x[kept]).float().view(-1, *dataset.shape),
        torch.from_numpy(y[kept]).long(),
        torch.from_numpy(x[held]).float().view(-1, *dataset.shape),
        torch.from_numpy(y[held]).long(),
    )


def load_breast_cancer(dataset: Dataset) -> Arrays:
    """Return 569 tumours described by 30 numbers, standardised; malignant is 0, benign 1."""
    rows = _bundled("breast_cancer.csv", header=1)
    if rows is None:
        from sklearn.datasets import load_breast_cancer as tumours

        rows = np.column_stack(tumours(return_X_y=True))
    return _standardised(dataset, rows)


def load_wine(dataset: Dataset) -> Arrays:
    """Return 178 wines of three cultivars described by 13 numbers, standardised."""
    rows = _bundled("wine_data.csv", header=1)
    if rows is None:
        from sklearn.datasets import load_wine as wines

        rows = np.column_stack(wines(return_X_y=True))
    return _standardised(dataset, rows)


def load_diabetes(dataset: Dataset) -> Arrays:
    """Return 442 patients described by 10 numbers, standardised.

    The target, a real number, is the progression of their diabetes after a year (25 to 346).
    """
    x = _bundled("diabetes_data_raw.csv.gz", delimiter=" ")
    y = _bundled("diabetes_target.csv.gz", delimiter=" ")
    if x is None or y is None:
        from sklearn.datasets import load_diabetes as patients

        x, y = patients(return_X_y=True, scaled=False)
    return _standardised(dataset, np.column_stack([x, y]))


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
        rows = pl.read_csv(path, has_header=False).to_numpy().astype(np.float64)
    except pl.exceptions.PolarsError as error:
        raise InvalidInput(f"{path} is not a table: {error}; fetch it again") from error
    rows[:, -1] -= 1  # classes are counted from 1
    return _standardised(dataset, rows)


def _bundled(name: str, header: int = 0, delimiter: str = ",") -> np.ndarray | None:
    """Return the numbers of a file that scikit-learn contains, float64; None if it is not there.

    Importing scikit-learn to read it takes longer than training a small network on it.
    """
    found = importlib.util.find_spec("sklearn")
    if found is None or not found.submodule_search_locations:
        return None
    path = Path(found.submodule_search_locations[0], "datasets", "data", name)
    try:
        return np.loadtxt(path, delimiter=delimiter, skiprows=header, ndmin=2)
    except (
        OSError,
        ValueError,
        EOFError,
    ):  # another release may have it elsewhere: it is asked itself
        return None


def _seed(dataset: Dataset) -> int:
    """Return what the test split is drawn with."""
    return derive_seed(dataset.name, "test") % 2**32


def _standardised(dataset: Dataset, rows: np.ndarray) -> Arrays:
    """Return a fixed split, standardised by the training part's mean and deviation.

    It is stratified, unless targets are real. They keep their unit.

    Args:
        dataset: whose split it is.
        rows: inputs and, in the last column, targets; float64.
    """
    kind = torch.float64 if dataset.regression else torch.int64
    x, y = rows[:, :-1], rows[:, -1]
    if dataset.regression:
        kept, held = shuffled_split(len(y), dataset.test, _seed(dataset))
    else:
        kept, held = stratified_split(y, dataset.test, _seed(dataset))
    train_x, test_x, train_y, test_y = x[kept], x[held], y[kept], y[held]
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
