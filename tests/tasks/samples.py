"""Small data in the exact format of each dataset, made for tests."""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from suite.experiments import registry
from tasks.task import Dataset


def tar(path: Path, members: Mapping[str, bytes]) -> Path:
    """Write an archive with these members; compressed as its name says."""
    mode = {".gz": "w:gz", ".xz": "w:xz"}.get(path.suffix, "w")
    with tarfile.open(path, mode) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def picture(color: int, size: tuple[int, int] = (8, 6), kind: str = "PNG", mode: str = "RGB"):
    """Return an image file of one grey tone, width × height."""
    buffer = io.BytesIO()
    PIL.Image.new(mode, size, color if mode == "L" else (color,) * 3).save(buffer, kind)
    return buffer.getvalue()


def image_folder(root: Path, *, train: int = 6, test: int = 3, size=(8, 6), kind: str = "PNG"):
    """Write train/ and test/ folders with classes cat (dark) and dog (bright)."""
    for split, count in (("train", train), ("test", test)):
        for name, color in (("cat", 40), ("dog", 200)):
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                image = picture(color + number, size, kind)
                (folder / f"{number}.{kind.lower()}").write_bytes(image)
    return root


def cifar_rows(count: int, labels: int, classes: int) -> bytes:
    """Return records as in the binary archives: label bytes, then 3,072 bytes of an image."""
    rng = np.random.default_rng(count)
    rows = rng.integers(0, 256, (count, labels + 3072), dtype=np.uint8)
    rows[:, labels - 1] = np.arange(count) % classes
    return rows.tobytes()


def cifar_10(path: Path, per_batch: int = 20) -> Path:
    """Write a small archive with the members of cifar-10-binary.tar.gz."""
    names = [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]
    members = {f"cifar-10-batches-bin/{name}": cifar_rows(per_batch, 1, 10) for name in names}
    return tar(path, {**members, "cifar-10-batches-bin/readme.html": b"hello"})


def md5(path: Path) -> str:
    """Return the MD5 digest of a file."""
    return hashlib.md5(path.read_bytes()).hexdigest()


def small_cifar(path: Path, name: str = "cifar10", **options: Any) -> Dataset:
    """Return a CIFAR declaration that takes the archive at `path` for the published one."""
    declared = registry.datasets()[name]
    return replace(declared, options={**declared.options, "digest": ("md5", md5(path)), **options})


def iris_csv(path: Path) -> Path:
    """Write scikit-learn's iris as a table with the names of the species."""
    from sklearn.datasets import load_iris

    iris = load_iris()
    rows = ["sepal length,sepal width,petal length,petal width,species"]
    for features, label in zip(iris.data, iris.target, strict=True):
        rows.append(",".join(map(str, features)) + f",{iris.target_names[label]}")
    path.write_text("\n".join(rows) + "\n")
    return path


def gzipped(path: Path, text: str) -> Path:
    """Write a gzipped text."""
    path.write_bytes(gzip.compress(text.encode()))
    return path


SHAPES = """
import torch

def made(count, seed):
    x = torch.randn(count, 6, generator=torch.Generator().manual_seed(seed))
    return torch.utils.data.TensorDataset(x, (x[:, 0] > 0).long())

training = made(80, 0)
def testing():
    return made(40, 1)
"""


def hub_folder(folder: Path) -> None:
    """Write 40 images, dark and bright in turn, as Hugging Face stores them."""
    import polars as pl

    folder.mkdir()
    rows = [{"bytes": picture(40 + 160 * (n % 2) + n), "path": None} for n in range(40)]
    frame = pl.DataFrame({"image": rows, "label": [n % 2 for n in range(40)]})
    frame.write_parquet(folder / "train.parquet")


def own_data(folder: Path) -> None:
    """Write every kind of data that the task files of docs/own-data.md name."""
    iris_csv(folder / "iris.csv")
    image_folder(folder / "pets", train=12, test=6, size=(20, 16))
    rng = np.random.default_rng(0)
    x = rng.normal(size=(150, 5))
    np.savez(folder / "numbers.npz", x=x, y=(x[:, 0] + x[:, 1] > 0).astype(int))
    (folder / "book.txt").write_text("the quick brown fox jumps over the lazy dog. " * 60)
    (folder / "my_data.py").write_text(SHAPES)
    hub_folder(folder / "signs")
