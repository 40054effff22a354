"""Real targets, for regression: columns of a table, or an array of a NumPy archive.

They keep their unit; `tasks.loading` standardises them. The test part is drawn at random.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from suite.core.errors import InvalidInput
from suite.core.seeds import derive_seed

if TYPE_CHECKING:
    import numpy as np

    from tasks.data import Arrays
    from tasks.task import Dataset


class Examples(NamedTuple):
    """Inputs [n, …] and targets, float64 [n, targets]."""

    x: "np.ndarray"
    y: "np.ndarray"


def load_table(dataset: "Dataset") -> "Arrays":
    """Return a table's rows; features have mean 0 and deviation 1 over the training rows.

    Raises:
        InvalidInput: see `read_table`.
    """
    options = dataset.options
    examples = read_table(Path(options["path"]), options)
    if "test_path" in options:
        train, test = examples, read_table(Path(options["test_path"]), options)
    else:
        train, test = _drawn(examples, dataset)
    mean, deviation = train.x.mean(0), train.x.std(0)
    deviation[deviation == 0] = 1
    return _arrays(*(Examples((part.x - mean) / deviation, part.y) for part in (train, test)))


def load_archive(dataset: "Dataset") -> "Arrays":
    """Return the arrays of an .npz file.

    Raises:
        InvalidInput: see `read_archive`.
    """
    parts = read_archive(Path(dataset.options["path"]))
    return _arrays(*(parts if len(parts) == 2 else _drawn(parts[0], dataset)))


def read_table(path: Path, options: Mapping[str, Any]) -> Examples:
    """Read a table; options: `target`, names of the columns to predict, and `ignore`.

    Raises:
        InvalidInput: it cannot be read, lacks a target, or contains a value that is not a finite
            number; the message names column and line (of a Parquet file: row).
    """
    import numpy as np

    from tasks.datasets.table import column_numbers, no_column, read_frame

    frame = read_frame(path)
    targets, ignored = list(options["target"]), list(options.get("ignore", ()))
    for name in (*targets, *ignored):
        if name not in frame.columns:
            raise no_column(path, frame, name)
    features = [name for name in frame.columns if name not in (*targets, *ignored)]
    if frame.height == 0 or not features:
        raise InvalidInput(f"table {path}: there are no rows, or no columns beside the target")
    x, y = (
        np.stack([column_numbers(path, frame[name], what) for name in names], 1)
        for names, what in ((features, "all but the target"), (targets, "real targets"))
    )
    return Examples(x, y)


def read_archive(path: Path) -> list[Examples]:
    """Return the examples of an .npz file: of x and y, or the training and the test part.

    Raises:
        InvalidInput: it cannot be read, lacks an array, or holds something else than real numbers.
    """
    import numpy as np

    from tasks.datasets.arrays import read_archive as read

    arrays = read(path, real=True)
    parts = [("train_x", "train_y"), ("test_x", "test_y")] if "train_x" in arrays else [("x", "y")]
    found = []
    for x_name, y_name in parts:
        x, y = arrays[x_name], arrays[y_name]
        for name, array in ((x_name, x), (y_name, y)):
            if array.dtype.kind not in "iuf":
                raise InvalidInput(f"{path}: '{name}' holds {array.dtype}: give real numbers")
        if y.ndim > 2 or y.size == 0:
            raise InvalidInput(
                f"{path}: '{y_name}' has shape {y.shape}: give one real target per example, or "
                "[examples, targets]"
            )
        found.append(Examples(x, y.reshape(len(y), -1).astype(np.float64)))
    if len({part.y.shape[1] for part in found}) > 1:
        raise InvalidInput(
            f"{path}: {found[0].y.shape[1]} targets for training and {found[1].y.shape[1]} for "
            "test: give the same ones"
        )
    return found


def _drawn(examples: Examples, dataset: "Dataset") -> tuple[Examples, Examples]:
    """Return a training and a test part, drawn at random, fixed by the dataset's name."""
    import numpy as np

    order = np.random.default_rng(derive_seed(dataset.name, "test")).permutation(len(examples.y))
    held, kept = np.sort(order[: dataset.test]), np.sort(order[dataset.test :])
    return (
        Examples(examples.x[kept], examples.y[kept]),
        Examples(examples.x[held], examples.y[held]),
    )


def _arrays(train: Examples, test: Examples) -> "Arrays":
    import numpy as np
    import torch

    from tasks.data import Arrays

    def inputs(x: "np.ndarray") -> torch.Tensor:
        return torch.from_numpy(x.copy() if x.dtype == np.uint8 else x.astype(np.float32))

    return Arrays(
        inputs(train.x), torch.from_numpy(train.y), inputs(test.x), torch.from_numpy(test.y)
    )
