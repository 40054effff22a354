"""CIFAR's binary archives."""

import torch

from tasks.datasets import cifar
from tests.tasks.samples import cifar_10, cifar_rows, small_cifar, tar


def test_cifar_10_is_read_from_its_binary_archive(place):
    path = cifar_10(place / "cifar-10-binary.tar.gz")
    arrays = cifar.load(small_cifar(path))
    assert arrays.train_x.shape == (100, 3, 32, 32)
    assert arrays.train_x.dtype == torch.uint8
    assert arrays.test_y.tolist() == [n % 10 for n in range(20)]
    raw = cifar_rows(20, 1, 10)
    assert arrays.test_x[1, 0, 0, :4].tolist() == list(raw[3073 + 1 : 3073 + 5])


def test_cifar_100_takes_the_fine_label(place):
    members = {f"cifar-100-binary/{n}.bin": cifar_rows(200, 2, 100) for n in ("train", "test")}
    path = tar(place / "cifar-100-binary.tar.gz", members)
    arrays = cifar.load(small_cifar(path, "cifar100"))
    assert arrays.train_y.tolist() == [n % 100 for n in range(200)]
