"""The published tables and images."""

import os
from dataclasses import replace

import numpy as np
import pytest
import torch

from suite.core.errors import InvalidInput
from suite.experiments import registry
from tasks.datasets.files import locate
from tasks.pipeline import load_arrays
from tests.conftest import require


@pytest.mark.parametrize(
    ("name", "counts"),
    [("breast_cancer", [170, 285]), ("wine", [47, 57, 38])],
)
def test_tables_of_scikit_learn_are_standardised_and_split_by_class(name, counts):
    arrays, digest = load_arrays(registry.datasets()[name])
    assert torch.bincount(arrays.train_y).tolist() == counts
    assert float(arrays.train_x.mean(0).abs().max()) < 1e-3
    assert float((arrays.train_x.std(0) - 1).abs().max()) < 0.01
    assert digest == registry.datasets()[name].checksum


def test_covtype_is_read_from_the_published_table(tmp_path, monkeypatch):
    import gzip
    import hashlib

    rng = np.random.default_rng(0)
    rows = np.column_stack([rng.integers(0, 3000, (210, 54)), np.arange(210) % 7 + 1])
    lines = "\n".join(",".join(map(str, row)) for row in rows.tolist()) + "\n"
    raw = gzip.compress(lines.encode())
    (tmp_path / "covtype.data.gz").write_bytes(raw)
    monkeypatch.setenv("RESONANCE_DATA", str(tmp_path))
    declared = registry.datasets()["covtype"]
    options = {**declared.options, "sha256": hashlib.sha256(raw).hexdigest()}
    arrays, _ = load_arrays(replace(declared, train=168, test=42, options=options))
    assert torch.bincount(arrays.train_y).tolist() == [24] * 7
    with pytest.raises(InvalidInput, match="not the published file"):
        load_arrays(replace(declared, train=168, test=42))


def test_cifar10_jpeg_is_sixty_thousand_images_of_ten_classes():
    here = locate("cifar10-jpeg.tar.xz") is not None and "RESONANCE_CACHE" in os.environ
    require("cifar10-jpeg", here, "set RESONANCE_DATA and RESONANCE_CACHE")
    arrays, _ = load_arrays(registry.datasets()["cifar10-jpeg"])
    assert torch.bincount(arrays.train_y).tolist() == [5000] * 10
    mean = arrays.train_x.float().mean((0, 2, 3)) / 255
    assert mean.tolist() == pytest.approx([0.4914, 0.4822, 0.4465], abs=0.003)
