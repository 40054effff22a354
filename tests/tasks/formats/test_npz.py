"""Arrays whose labels are numbered, and what is refused before anything is allocated."""

import io
import zipfile

import numpy as np
import pytest
import torch

from tasks.loading import load_data

X = np.arange(40.0).reshape(20, 2)


def save(place, **arrays):
    np.savez(place / "data.npz", **arrays)
    return {"format": "numpy", "path": "data.npz"}


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([0, 1], ()),
        ([0, 1_000_000], (0, 1_000_000)),
        ([500, 501], (500, 501)),
        ([-1, 1], (-1, 1)),
        ([0, 10**9], (0, 10**9)),
        ([-(2**63), 2**63 - 1], (-(2**63), 2**63 - 1)),
        ([False, True], ()),
    ],
)
def test_labels_are_numbered_from_0(place, read, values, labels):
    y = np.array(values)[np.arange(20) % 2]
    dataset, arrays = read(**save(place, x=X, y=y))
    assert (dataset.classes, dataset.labels) == (2, labels)
    assert arrays.train_y.tolist() == [int(x) // 2 % 2 for x in arrays.train_x[:, 0]]


def test_what_is_odd_about_data_is_noted(place, read):
    y = np.array([500, 700])[np.arange(20) % 2]
    parts = {"train_x": X, "train_y": y, "test_x": X[:4], "test_y": y[:4]}

    def notes(**changed):
        dataset, _ = read(**save(place, **parts | changed))
        return load_data(dataset, 0, torch.device("cpu")).notes

    assert notes() == ()
    (one,) = notes(test_y=np.full(4, 700))
    assert one.startswith("all test examples are of one class (700): the accuracy says only")
    assert notes(train_x=np.ones((20, 2))) == (
        "all 20 training inputs are the same: there is nothing to learn",
    )


def test_a_test_label_is_numbered_as_in_training_or_refused(place, read):
    y = np.array([500, 700])[np.arange(20) % 2]
    parts = {"train_x": X, "train_y": y, "test_x": X[:4]}
    _, arrays = read(**save(place, **parts, test_y=np.array([700, 700, 500, 700])))
    assert arrays.test_y.tolist() == [1, 1, 0, 1]
    message = read.refusal(**save(place, **parts, test_y=np.array([700, 600, 500, 700])))
    assert "'test_y': example 1 has the label 600, which the training data lacks" in message
    assert "500, 700" in message


@pytest.mark.parametrize("kind", [np.int8, np.int16, np.uint16, np.int64, np.float16, bool])
def test_numbers_other_than_uint8_are_taken_as_they_are(place, read, kind):
    x = np.arange(40).reshape(20, 2).astype(kind)
    _, arrays = read(**save(place, x=x, y=np.arange(20) % 2))
    both = np.concatenate([arrays.train_x.numpy(), arrays.test_x.numpy()])
    assert sorted(both[:, 0].tolist()) == sorted(x[:, 0].astype(float).tolist())


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x": X + 1j, "y": np.arange(20) % 2}, "'x' holds complex numbers (complex128)"),
        ({"x": X.astype("M8[s]"), "y": np.arange(20) % 2}, "'x' holds dates"),
        ({"x": X.astype("m8[s]"), "y": np.arange(20) % 2}, "'x' holds durations"),
        ({"x": X.astype("U8"), "y": np.arange(20) % 2}, "'x' holds text"),
        ({"x": X.astype("S8"), "y": np.arange(20) % 2}, "'x' holds text"),
        ({"x": X, "y": np.array(["a", "b"] * 10)}, "'y' holds text"),
        ({"x": X, "y": np.array([object()] * 20)}, "'y' holds objects (pickles)"),
        ({"x": X, "y": np.full(20, 7)}, "one class only (7)"),
        ({"x": X, "y": np.arange(20) / 2}, "'y' holds float64: give whole numbers for classes"),
        ({"x": X, "y": np.arange(20) / 2}, "'targets: real' for regression"),
        ({"x": X, "y": np.arange(20)}, "20 classes for 20 examples (0, 1, 2, 3, 4, …)"),
        ({"x": X, "y": np.array([0, 2**64 - 1] * 10, np.uint64)}, "give labels below 2**63"),
        (
            {"x": np.stack([np.arange(20), 10**9 + np.arange(20)], 1), "y": np.arange(20) % 2},
            "'x'[:, 1] holds 1000000000 … 1000000019, which are one number in single precision",
        ),
        ({"x": np.arange(20), "y": np.arange(20) % 2}, "inputs of shape [n, …]"),
    ],
)
def test_what_are_no_examples_is_refused(place, read, arrays, words):
    assert words in read.refusal(**save(place, **arrays))


@pytest.mark.parametrize("shape", [(16, 16, 3), (8, 12, 1), (9, 9, 4)])
@pytest.mark.parametrize("targets", ["classes", "real"])
def test_images_with_channels_last_are_refused(place, read, shape, targets):
    y = np.arange(20) % 2 if targets == "classes" else X[:, 0]
    data = save(place, x=np.zeros((20, *shape), np.uint8), y=y)
    message = read.refusal(**data, targets=targets)
    assert f"shape [n, {', '.join(map(str, shape))}] look like images with channels last" in message
    assert "[n, channels, height, width] is read" in message
    assert "x.transpose(0, 3, 1, 2)" in message


@pytest.mark.parametrize("shape", [(3, 16, 16), (1, 16, 3), (3, 9, 3), (64, 1, 1), (12, 8), (9,)])
def test_other_shapes_are_read_as_they_are(place, read, shape):
    x = np.arange(20.0).repeat(np.prod(shape)).reshape(20, *shape)
    dataset, _ = read(**save(place, x=x, y=np.arange(20) % 2))
    assert dataset.shape == shape


def claim(place, shape, content=b"\0" * 64, member=None):
    """Write an archive whose x claims a shape that it does not hold."""
    header = io.BytesIO()
    described = {"descr": "<f8", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, described)
    y = io.BytesIO()
    np.save(y, np.arange(20) % 2)
    with zipfile.ZipFile(place / "data.npz", "w") as archive:
        archive.writestr("x.npy", header.getvalue() + content)
        archive.writestr("y.npy", y.getvalue())
    return {"format": "numpy", "path": "data.npz"}


@pytest.mark.parametrize("shape", [(10**9, 4), (10**6, 10**6), (20, 2**62), (9, 1), (-20, 2)])
def test_an_absurd_shape_is_refused_before_it_is_allocated(place, read, shape):
    message = read.refusal(**claim(place, shape))
    assert "the file does not hold them" in message or "cannot be read" in message


def test_a_size_that_the_archive_itself_lies_about_is_refused(place, read):
    data = claim(place, (10**9, 4))
    raw = bytearray((place / "data.npz").read_bytes())
    claimed = (32 * 10**9 & 0xFFFFFFFF).to_bytes(4, "little")
    at = raw.index(b"PK\x01\x02")
    raw[at + 24 : at + 28] = claimed  # uncompressed size in the central directory
    (place / "data.npz").write_bytes(raw)
    assert "does not hold them" in read.refusal(**data) or "cannot be read" in read.refusal(**data)
