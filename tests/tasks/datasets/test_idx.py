"""IDX files, the format of MNIST and Fashion-MNIST."""

import gzip
from dataclasses import replace

import numpy as np
import pytest
import torch

from suite.core.discovery import load
from suite.core.errors import InvalidInput
from suite.experiments import registry
from tasks.datasets.idx import FILES, find, read_idx
from tasks.pipeline import load_arrays, load_data


def write_idx(path, array: np.ndarray, cut: int = 0) -> None:
    header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    raw = header + array.astype(np.uint8).tobytes()
    raw = raw[: len(raw) - cut]
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Return a Fashion-MNIST declaration of 30 + 10 images whose files lie in RESONANCE_DATA."""
    folder = tmp_path / "fashion-mnist"
    folder.mkdir()
    rng = np.random.default_rng(0)
    arrays = (
        rng.integers(0, 256, (30, 28, 28)),
        np.arange(30) % 10,
        rng.integers(0, 256, (10, 28, 28)),
        np.arange(10),
    )
    for name, array in zip(FILES, arrays, strict=True):
        write_idx(folder / f"{name}.gz", array)
    monkeypatch.setenv("RESONANCE_DATA", str(tmp_path))
    load_arrays.cache_clear()
    load_data.cache_clear()
    declared = registry.datasets()["fashion_mnist"]
    return replace(declared, train=30, test=10, checksum=""), folder, arrays


def test_idx_files_are_read_gzipped_or_not(small):
    dataset, folder, arrays = small
    plain = folder / FILES[1]
    write_idx(plain, arrays[1])
    assert torch.equal(read_idx(plain), read_idx(folder / f"{FILES[1]}.gz"))
    found, _ = load_arrays(dataset)
    assert found.train_x.shape == (30, 1, 28, 28)
    assert found.train_x.dtype == torch.uint8
    assert np.array_equal(found.test_x[:, 0].numpy(), arrays[2])


@pytest.mark.parametrize("cut", [1, 7000])
def test_a_truncated_file_is_refused_by_name(small, cut):
    dataset, folder, arrays = small
    write_idx(folder / f"{FILES[0]}.gz", arrays[0], cut)
    with pytest.raises(InvalidInput, match=f"{FILES[0]}.gz is cut short"):
        load_arrays(dataset)


def test_a_damaged_archive_is_refused_by_name(small):
    dataset, folder, _ = small
    path = folder / f"{FILES[2]}.gz"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(InvalidInput, match=f"{FILES[2]}.gz cannot be read"):
        load_arrays(dataset)


def test_a_file_of_another_format_is_refused(small):
    dataset, folder, _ = small
    (folder / f"{FILES[1]}.gz").write_bytes(gzip.compress(b"hello"))
    with pytest.raises(InvalidInput, match="not an IDX file"):
        load_arrays(dataset)


def test_other_data_under_the_same_name_is_refused(small):
    dataset, _, _ = small
    published = registry.datasets()["fashion_mnist"].checksum
    assert len(published) == 64
    with pytest.raises(InvalidInput, match="not the published one"):
        load_arrays(replace(dataset, checksum=published))
    with pytest.raises(InvalidInput, match="are declared"):
        load_arrays(replace(dataset, train=31))


def test_missing_data_names_all_three_ways(tmp_path, monkeypatch):
    import torchvision.datasets

    def offline(*args, **kwargs):
        raise RuntimeError("no network\nsecond line")

    monkeypatch.setattr(torchvision.datasets, "FashionMNIST", offline)
    monkeypatch.setenv("RESONANCE_DATA", str(tmp_path))
    declared = registry.datasets()["fashion_mnist"]
    dataset = replace(declared, options={**declared.options, "system_folders": ()})
    with pytest.raises(InvalidInput) as refusal:
        load(dataset.load)(dataset)
    for way in ("RESONANCE_DATA", "dataset-fashion-mnist", "download"):
        assert way in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_the_users_folder_comes_before_the_systems(small):
    dataset, folder, _ = small
    assert find(dataset) == folder


def test_fashion_mnist_is_the_published_one(fashion_mnist):
    arrays, digest = load_arrays(registry.datasets()["fashion_mnist"])
    assert arrays.train_x.shape == (60_000, 1, 28, 28)
    assert torch.bincount(arrays.train_y).tolist() == [6000] * 10
    assert digest == registry.datasets()["fashion_mnist"].checksum
