"""Folders and archives of images of every mode, in memory and streamed."""

import io
import os

import numpy as np
import PIL.Image
import pytest
import torch

from suite.core.errors import InvalidInput
from tasks.datasets import survey
from tasks.loading import load_data
from tasks.taskfile import read_task_file
from tests.tasks.samples import picture, tar


def stored(array, kind="PNG"):
    buffer = io.BytesIO()
    PIL.Image.fromarray(array).save(buffer, kind)
    return buffer.getvalue()


def grey16(value):
    """Return a 16-bit PNG of one value."""
    return stored(np.full((4, 6), value, np.uint16))


def floats(value):
    return stored(np.full((4, 6), value, np.float32), "TIFF")


def rgba(*pixel):
    return stored(np.full((4, 6, 4), pixel, np.uint8))


def folder(place, make, other=None, suffix="png", split=True):
    """Write train/ and test/ folders of cat and dog; `make(number)` gives a file's content."""
    contents = {}
    for part, count in (("train", 8), ("test", 4)) if split else (("", 8),):
        for name in ("cat", "dog"):
            for n in range(count):
                dark = name == "cat"
                content = make(n if dark else 10 + n)
                contents["/".join(filter(None, (part, name, f"{n}.{suffix}")))] = content
    contents |= other or {}
    for name, content in contents.items():
        (place / "pets" / name).parent.mkdir(parents=True, exist_ok=True)
        (place / "pets" / name).write_bytes(content)
    return contents


def test_sixteen_bits_are_not_white(place, read):
    folder(place, lambda n: grey16(3276 * n))
    dataset, arrays = read(format="images", path="pets")
    assert dataset.shape == (1, 4, 6)
    expected = [3276 * n / 65535 for n in (*range(8), *range(10, 18))]
    assert arrays.train_x[:, 0, 0, 0].tolist() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("step", "more", "noted"),
    [
        (240, {}, "the images have 16 bits and use 6.2 % of their range: data 'range: [0, 4080]'"),
        (241, {}, ""),
        (240, {"range": [0, 4095]}, ""),
    ],
)
def test_images_that_use_little_of_16_bits_are_noted(place, read, step, more, noted):
    folder(place, lambda n: grey16(step * n))
    dataset, _ = read(format="images", path="pets", **more)
    notes = load_data(dataset, 0, torch.device("cpu")).notes
    assert len(notes) == bool(noted)
    assert "".join(notes).startswith(noted)


def test_a_range_and_a_background_make_another_dataset(place, read):
    folder(place, lambda n: grey16(100 * n))
    whole, _ = read(format="images", path="pets")
    part, arrays = read(format="images", path="pets", range=[0, 2000])
    assert part.fingerprint != whole.fingerprint
    assert arrays.train_x[3, 0, 0, 0] == pytest.approx(0.15)
    folder(place, lambda n: rgba(10 * n, 0, 0, 128))
    white, arrays = read(format="images", path="pets", background="white")
    black, other = read(format="images", path="pets", background="black")
    assert white.fingerprint != black.fingerprint
    assert arrays.train_x[0, :, 0, 0].tolist() == [127, 127, 127]
    assert other.train_x[0, :, 0, 0].tolist() == [0, 0, 0]


def test_images_without_a_range_are_refused_by_name(place, read):
    folder(place, lambda n: floats(n / 20), suffix="tif")
    message = read.refusal(format="images", path="pets")
    assert "pets/test/cat/0.tif holds floating-point numbers" in message
    _, arrays = read(format="images", path="pets", range=[0, 1])
    assert arrays.train_x[3, 0, 0, 0] == pytest.approx(0.15)
    message = read.refusal(format="images", path="pets", range=[0, 0.8])
    assert "0.85, outside of range: [0, 0.8]" in message


def test_alpha_is_refused_by_name_unless_it_is_opaque(place, read):
    folder(place, lambda n: rgba(10 * n, 0, 0, 255))
    _, arrays = read(format="images", path="pets")
    assert arrays.train_x[:3, :, 0, 0].tolist() == [[0, 0, 0], [10, 0, 0], [20, 0, 0]]
    (place / "pets/train/dog/5.png").write_bytes(rgba(9, 9, 9, 254))
    assert "pets/train/dog/5.png has transparent pixels" in read.refusal(
        format="images", path="pets"
    )


def test_the_last_image_decides_as_well(place, read):
    folder(place, lambda n: stored(np.full((4, 6), n, np.uint8)))
    dataset, arrays = read(format="images", path="pets")
    assert (dataset.shape, arrays.train_x.dtype) == ((1, 4, 6), torch.uint8)
    (place / "pets/train/dog/7.png").write_bytes(picture(200, (6, 4)))
    dataset, _ = read(format="images", path="pets")
    assert dataset.shape == (3, 4, 6)
    (place / "pets/train/dog/7.png").write_bytes(grey16(65535))
    dataset, arrays = read(format="images", path="pets")
    assert dataset.shape == (1, 4, 6)
    assert arrays.train_x[[0, 7, 15], 0, 0, 0].tolist() == pytest.approx([0, 7 / 255, 1])


@pytest.mark.parametrize("name", ["pets.zip", "pets.tar.gz"])
def test_an_archive_is_read_as_its_folder_is(place, read, name):
    import zipfile

    contents = folder(place, lambda n: grey16(3276 * n))
    described, expected = read(format="images", path="pets")
    if name.endswith(".zip"):
        with zipfile.ZipFile(place / name, "w") as archive:
            for member, content in contents.items():
                archive.writestr(member, content)
    else:
        tar(place / name, contents)
    dataset, arrays = read(format="images", path=name)
    assert dataset.shape == described.shape
    assert arrays.train_x.equal(expected.train_x)
    transparent = {**contents, "train/cat/9.png": rgba(1, 1, 1, 0)}
    tar(place / "clear.tar", transparent)
    assert "clear.tar/train/cat/9.png has transparent" in read.refusal(
        format="images", path="clear.tar"
    )


def test_streamed_images_are_read_as_those_in_memory(place, read):
    folder(place, lambda n: grey16(3276 * n))
    _, arrays = read(format="images", path="pets", size=4)
    streamed, _ = declared(read, format="images", path="pets", size=4, stream=True)
    data = load_data(streamed, 0.0, torch.device("cpu"))
    (x, y), *_ = data.train.batches(100)
    assert x[:, 0, 0, 0].tolist() == pytest.approx(
        ((arrays.train_x[:, 0, 0, 0] - 0.5) / 0.25).tolist(), abs=1e-5
    )
    assert y.equal(arrays.train_y)


def declared(read, **data):
    """Return what a task file declares, without loading the data."""
    import yaml

    read.path.write_text(yaml.safe_dump({"name": "mine/mlp", "model": "mlp", "data": data}))
    return read_task_file(read.path)


def test_streamed_images_are_refused_before_training(place, read):
    folder(place, lambda n: rgba(n, 0, 0, 255), {"test/dog/3.png": rgba(1, 1, 1, 7)})
    with pytest.raises(InvalidInput, match=r"test/dog/3\.png has transparent pixels"):
        declared(read, format="images", path="pets", size=4, stream=True)
    dataset, _ = declared(
        read, format="images", path="pets", size=4, stream=True, background="black"
    )
    data = load_data(dataset, 0.0, torch.device("cpu"))
    (x, _), *_ = data.test.batches(100)
    assert len(x) == 8


def test_headers_are_read_once_until_a_file_changes(place, read, monkeypatch):
    folder(place, lambda n: picture(10 * n, (6, 4)))
    declared(read, format="images", path="pets")
    with monkeypatch.context() as patch:
        patch.setattr(survey, "open_header", lambda *given: pytest.fail("read again"))
        declared(read, format="images", path="pets")
    path = place / "pets/train/dog/7.png"
    before = path.stat()
    changed = grey16(9).ljust(before.st_size, b"\0")  # the same size and time of change
    assert len(changed) == before.st_size
    path.write_bytes(changed)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    dataset, _ = declared(read, format="images", path="pets")
    assert dataset.options["deep"]


def test_a_cache_that_cannot_be_written_or_read_is_done_without(place, read, monkeypatch):
    folder(place, lambda n: picture(10 * n, (6, 4)))
    declared(read, format="images", path="pets")
    (kept,) = (place / "cache/surveys").iterdir()
    kept.write_text("{")
    assert declared(read, format="images", path="pets")[0].shape == (3, 4, 6)
    (place / "file").write_text("")
    monkeypatch.setenv("RESONANCE_CACHE", str(place / "file"))
    assert declared(read, format="images", path="pets")[0].shape == (3, 4, 6)


def test_one_class_is_refused(place, read):
    folder(place, lambda n: picture(10 * n), split=False)
    for path in (place / "pets/dog").iterdir():
        path.unlink()
    (place / "pets/dog").rmdir()
    assert "one class only (cat)" in read.refusal(format="images", path="pets")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"size": 10**6}, "size=1000000: give the side in pixels, 1 … 8192"),
        ({"size": "8"}, "size='8'"),
        ({"background": "green"}, "background='green': give white or black"),
        ({"range": [0, 1]}, "all images of"),
        ({"path": "mine.yaml"}, "there is no such folder or archive"),
    ],
)
def test_fields_that_cannot_be_used_are_refused(place, read, fields, words):
    folder(place, lambda n: picture(10 * n))
    assert words in read.refusal(**{"format": "images", "path": "pets", **fields})


def test_more_than_fits_in_memory_is_refused_before_it_is_allocated(place, read, monkeypatch):
    folder(place, lambda n: grey16(n))
    monkeypatch.setattr(
        os, "sysconf", lambda name: {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 100}[name]
    )
    message = read.refusal(format="images", path="pets", size=8000)
    assert "24 images of 8000×8000 pixels takes 5.7 GiB" in message
    assert "stream: true" in message
