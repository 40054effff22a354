"""Real targets from NumPy archives and tables: what is read, and what is refused."""

import numpy as np
import pytest
import torch
import yaml

from suite.core.errors import InvalidInput
from tasks.loading import load_arrays
from tasks.task import Dataset
from tasks.taskfile import read_task_file

RANDOM = np.random.default_rng(0)
X, Y = RANDOM.normal(size=(50, 3)), RANDOM.normal(size=50) * 9 + 4


def declared(place, **arrays) -> Dataset:
    """Return the dataset of a task file on an archive of these arrays."""
    np.savez(place / "numbers.npz", **arrays)
    content = {
        "name": "numbers/mlp",
        "data": {"format": "numpy", "path": "numbers.npz", "targets": "real"},
        "model": "mlp",
    }
    (place / "numbers.yaml").write_text(yaml.safe_dump(content))
    dataset, task = read_task_file(place / "numbers.yaml")
    assert task.metric == "r2"
    assert isinstance(dataset, Dataset)
    return dataset


def test_an_archive_of_real_targets_is_split_at_random(place):
    dataset = declared(place, x=X, y=Y)
    assert (dataset.kind, dataset.classes) == ("real", 1)
    assert (dataset.train, dataset.test) == (40, 10)
    arrays, _ = load_arrays(dataset)
    found = torch.cat([arrays.train_y, arrays.test_y]).flatten()
    assert found.dtype == torch.float64
    assert sorted(found.tolist()) == sorted(Y.tolist())  # exactly, in their own unit
    assert arrays.test_y.flatten().tolist() != Y[:10].tolist()


def test_several_targets_and_a_given_test_part_are_kept_as_they_are(place):
    two = np.stack([Y, -Y], 1)
    dataset = declared(place, train_x=X[:30], train_y=two[:30], test_x=X[30:], test_y=two[30:])
    assert (dataset.classes, dataset.train, dataset.test) == (2, 30, 20)
    arrays, _ = load_arrays(dataset)
    assert arrays.test_y.tolist() == two[30:].tolist()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": X, "y": Y.astype(complex)}, "'y' holds complex numbers"),
        ({"x": X.astype(complex), "y": Y}, "'x' holds complex numbers"),
        ({"x": X, "y": Y[:9]}, "one target per example"),
        ({"x": X, "y": np.array(["a"] * 50)}, "holds text"),
        ({"x": X, "y": np.zeros((50, 2, 2))}, "one target per example"),
        (
            {"train_x": X, "train_y": Y, "test_x": X, "test_y": np.stack([Y, Y], 1)},
            "1 targets for training and 2 for test",
        ),
    ],
)
def test_what_is_no_real_target_is_refused(place, arrays, message):
    with pytest.raises(InvalidInput, match=message):
        declared(place, **arrays)


def test_other_targets_give_other_trials(place):
    real = declared(place, x=X, y=np.round(np.abs(Y)))
    np.savez(place / "numbers.npz", x=X, y=np.round(np.abs(Y)).astype(int))
    text = (place / "numbers.yaml").read_text().replace("targets: real", "targets: classes")
    (place / "numbers.yaml").write_text(text)
    labels, _ = read_task_file(place / "numbers.yaml")
    assert isinstance(labels, Dataset)
    assert (real.kind, labels.kind) == ("real", "labels")
    assert real.fingerprint != labels.fingerprint
