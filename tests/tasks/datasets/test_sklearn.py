"""Datasets that scikit-learn contains: read without importing it, the same either way."""

import subprocess
import sys

import pytest
import torch

from suite.experiments import registry
from tasks.datasets import sklearn as datasets
from tasks.loading import checksum

NAMES = ("digits", "breast_cancer", "wine", "diabetes")


def arrays(name):
    dataset = registry.datasets()[name]
    return getattr(datasets, dataset.load.partition(":")[2])(dataset)


@pytest.mark.parametrize("name", NAMES)
def test_the_file_holds_what_the_library_returns(name, monkeypatch):
    read = arrays(name)
    assert registry.datasets()[name].checksum in ("", checksum(read))
    monkeypatch.setattr(datasets, "_bundled", lambda *file, **format: None)
    asked = arrays(name)
    for part in ("train_x", "train_y", "test_x", "test_y"):
        assert torch.equal(getattr(read, part), getattr(asked, part))


@pytest.mark.parametrize("content", [None, b"damaged\n1,2", b"\x1f\x8bno"])
def test_a_file_that_is_missing_or_damaged_is_not_used(content, monkeypatch, tmp_path):
    package = tmp_path / "sklearn"
    (package / "datasets" / "data").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    if content is not None:
        (package / "datasets" / "data" / "digits.csv.gz").write_bytes(content)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "sklearn", raising=False)
    assert datasets._bundled("digits.csv.gz") is None


def test_loading_digits_does_not_import_scikit_learn():
    code = (
        "import sys\n"
        "from suite.experiments import registry\n"
        "from tasks.datasets.sklearn import load_digits\n"
        "load_digits(registry.datasets()['digits'])\n"
        "print('sklearn.utils' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"
