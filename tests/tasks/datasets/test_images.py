"""Archives of images, decoded once."""

import hashlib
from dataclasses import replace

import pytest
import torch

from suite.core.errors import InvalidInput
from suite.experiments import registry
from tasks.datasets import folder
from tasks.datasets.images import by_split
from tests.tasks.samples import image_folder, tar


def jpeg_archive(place):
    image_folder(place / "made", size=(32, 32), kind="JPEG")
    found = {
        p.relative_to(place / "made").as_posix(): p.read_bytes()
        for p in sorted((place / "made").rglob("*.jpeg"))
    }
    return tar(place / "cifar10-jpeg.tar.xz", found)


def test_an_image_archive_is_decoded_once_and_then_read_from_the_cache(place, monkeypatch):
    path = jpeg_archive(place)
    declared = registry.datasets()["cifar10-jpeg"]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    options = {**declared.options, "sha256": digest}
    dataset = replace(declared, classes=2, train=12, test=6, options=options)
    first = folder.load(dataset)
    assert first.train_x.shape == (12, 3, 32, 32)
    assert first.train_y.tolist() == [0] * 6 + [1] * 6
    assert first.train_x[:6].float().mean() < 60 < 180 < first.train_x[6:].float().mean()
    with monkeypatch.context() as patch:
        patch.setattr(folder, "contents", lambda path: pytest.fail("decoded again"))
        again = folder.load(dataset)
    assert torch.equal(first.train_x, again.train_x)
    (cached,) = (place / "cache" / "decoded").iterdir()
    cached.write_bytes(cached.read_bytes()[:200])  # cut short by a crash
    assert torch.equal(folder.load(dataset).test_x, first.test_x)
    with pytest.raises(InvalidInput, match="not the published file"):
        folder.load(replace(dataset, options=declared.options))


def test_a_cache_that_cannot_be_written_is_done_without(place, monkeypatch):
    path = jpeg_archive(place)
    (place / "file").write_text("")
    monkeypatch.setenv("RESONANCE_CACHE", str(place / "file"))
    declared = registry.datasets()["cifar10-jpeg"]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    dataset = replace(declared, classes=2, options={**declared.options, "sha256": digest})
    assert len(folder.load(dataset).train_x) == 12


def test_a_folder_around_the_classes_is_not_taken_for_a_class():
    names = ["pets/cat/1.png", "pets/dog/1.png"]
    with pytest.raises(InvalidInput, match="if cat, dog, … are the classes, give them without"):
        by_split(names, "pets.zip")
    assert by_split(["cat/1.png", "dog/a/1.png"], "pets.zip")[0].keys() == {"cat", "dog"}
