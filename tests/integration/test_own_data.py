"""One's own data through the command: what was wrong without a word is right, or refused."""

import io
import json
import zipfile

import numpy as np
import PIL.Image
import polars as pl
import pytest
import yaml

from suite.experiments import registry
from tests.tasks.samples import hub_folder, picture

RECIPE = {"epochs": 6, "batch_size": 8, "learning_rate": 0.05, "validation": 0}


class Task:
    """Runs the command on a task file."""

    def __init__(self, resonance, place, monkeypatch):
        self.resonance, self.place, self.monkeypatch = resonance, place, monkeypatch

    def _command(self, data):
        content = {"name": "mine/mlp", "model": "mlp", "data": data, "recipe": RECIPE}
        content["model_options"] = {"hidden": [8]}
        (self.place / "mine.yaml").write_text(yaml.safe_dump(content))
        self.monkeypatch.setattr(registry, "_plugins", [])  # as in a process of its own
        registry.use_plugins([])
        return self.resonance("run --task-file mine.yaml static -s 0.5 --json")

    def record(self, **data):
        """Return the record of a trial on this data."""
        result = self._command(data)
        assert result.code == 0, result.err
        return json.loads(result.out)

    def complaint(self, **data):
        """Return the one line with which this data is refused; nothing is written."""
        complaint = self._command(data).complaint
        assert not (self.place / "results").exists()
        return complaint


@pytest.fixture
def task(resonance, place, monkeypatch):
    monkeypatch.setenv("RESONANCE_CACHE", str(place / "cache"))
    return Task(resonance, place, monkeypatch)


def stored(array, kind="PNG"):
    buffer = io.BytesIO()
    PIL.Image.fromarray(array).save(buffer, kind)
    return buffer.getvalue()


def folder(place, make, suffix="png", classes=("cat", "dog")):
    """Write 20 images of each class; ``make(bright, n)`` gives a file's content."""
    for name in classes:
        (place / "pets" / name).mkdir(parents=True)
        for n in range(20):
            content = make(name == "dog", n)
            (place / "pets" / name / f"{n}.{suffix}").write_bytes(content)
    return {"format": "images", "path": "pets", "test": 0.25}


def test_sixteen_bits_are_scaled_and_floats_refused_by_name(task, place):
    data = folder(place, lambda bright, n: stored(
        np.full((4, 4), 40_000 * bright + 900 * n + 300, np.uint16)))  # fmt: skip
    assert task.record(**data)["metrics"]["test_accuracy"] == 1.0


def test_a_float_tiff_is_refused_by_name_and_read_with_a_range(task, place):
    data = folder(place, lambda bright, n: stored(
        np.full((4, 4), bright + n / 50, np.float32), "TIFF"), "tif")  # fmt: skip
    message = task.complaint(**data)
    assert "pets/cat/0.tif holds floating-point numbers" in message
    assert "give data a 'range: [LOW, HIGH]'" in message
    assert task.record(**data, range=[0, 2])["metrics"]["test_accuracy"] == 1.0


def test_alpha_is_refused_by_name_and_composited_when_said(task, place):
    # Without its alpha, every image is the same.
    data = folder(place, lambda bright, n: stored(
        np.full((4, 4, 4), (255, 255, 255, 150 * bright + 2 * n), np.uint8)))  # fmt: skip
    message = task.complaint(**data)
    assert "pets/cat/0.png has transparent pixels: give data a 'background" in message
    assert task.record(**data, background="black")["metrics"]["test_accuracy"] == 1.0


def test_one_class_only_is_refused(task, place):
    assert "one class only (cat)" in task.complaint(
        **folder(place, lambda bright, n: picture(n), classes=("cat",))
    )
    x = np.random.default_rng(0).normal(size=(40, 2))
    np.savez(place / "one.npz", x=x, y=np.full(40, 3))
    assert "one class only (3)" in task.complaint(format="numpy", path="one.npz")
    pl.DataFrame({"x": x[:, 0], "y": ["cat"] * 40}).write_csv(place / "one.csv")
    assert "one class only (cat)" in task.complaint(format="table", path="one.csv", target="y")


@pytest.mark.parametrize("labels", [(0, 1_000_000), (500, 501), (0, 10**9), (-1, 1)])
def test_labels_are_mapped_and_the_record_says_how(task, place, labels):
    x = np.random.default_rng(0).normal(size=(80, 3))
    np.savez(place / "data.npz", x=x, y=np.where(x[:, 0] > 0, labels[1], labels[0]))
    record = task.record(format="numpy", path="data.npz")
    assert record["layers"][-1]["shape"][0] == 2
    assert record["data"]["labels"] == list(labels)
    assert f"the labels {labels[0]}, {labels[1]} are the classes 0 … 1" in record["notes"]


def test_a_label_that_only_the_test_has_is_refused_with_those_seen(task, place):
    x = np.random.default_rng(0).normal(size=(40, 3))
    y = np.arange(40) % 2 + 500
    np.savez(place / "data.npz", train_x=x, train_y=y, test_x=x, test_y=y + 1)
    message = task.complaint(format="numpy", path="data.npz")
    assert "the label 502" in message
    assert "500, 501" in message


def test_complex_numbers_are_refused(task, place):
    x = np.random.default_rng(0).normal(size=(40, 3)) + 1j
    np.savez(place / "data.npz", x=x, y=np.arange(40) % 2)
    message = task.complaint(format="numpy", path="data.npz")
    assert "'x' holds complex numbers (complex128)" in message


PLUGIN = """
from tasks.task import Dataset, Task
DATASET = Dataset("mine", "", title="", load=":load", shape=(3,), classes={classes}, train=20,
                  test=20, mean=(0.0,), std=(1.0,))
TASK = Task("mine/mlp", "", title="", dataset="mine", model="tasks.models.mlp:mlp",
            model_options={{"hidden": (8,)}}, recipe={{"batch_size": 4}})

def load(dataset):
    import torch
    from tasks.data import Arrays
    x, y = {x}, {y}
    return Arrays(x, y, x, y)
"""


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"x": "torch.ones(20, 3) * 1j"}, "the training inputs are complex numbers"),
        ({"y": "torch.arange(20) % 2 - 1"}, "labels lie in -1 … 0 (-1, 0), 2 classes are declared"),
        ({"y": "torch.ones(20).long()"}, "training data: one class only (1)"),
        ({"classes": 10**9}, "classes=1,000,000,000 is more than the 100,000"),
    ],
)
def test_a_loader_of_ones_own_is_checked_as_well(resonance, place, changed, words):
    given = {"x": "torch.ones(20, 3)", "y": "torch.arange(20) % 2", "classes": 2} | changed
    (place / "mine.py").write_text(PLUGIN.format(**given))
    assert words in resonance("run --task-file mine.py static -s 0.5").complaint


def test_one_array_is_not_an_archive(task, place):
    np.save(place / "x.npy", np.ones((4, 2)))
    message = task.complaint(format="numpy", path="x.npy")
    assert "it is not an archive, as numpy.savez writes it" in message


@pytest.mark.parametrize("width", [0, 3])
def test_inputs_without_features_or_of_two_types_are_refused(task, place, width):
    labels, inputs = np.arange(40) % 2, np.ones((40, width))
    parts = {"train_x": inputs.astype(np.uint8), "test_x": inputs}
    np.savez(place / "a.npz", **parts, train_y=labels, test_y=labels)
    words = "only uint8 is divided by 255" if width else "has shape (40, 0)"
    assert words in task.complaint(format="numpy", path="a.npz")


def test_numbers_beyond_single_precision_are_refused_in_one_line(task, place):
    np.savez(place / "a.npz", x=np.full((40, 2), 1e300), y=np.arange(40) % 2)
    assert "holds a NaN or an infinity" in task.complaint(format="numpy", path="a.npz")


def test_a_column_of_lists_and_a_label_that_is_nan_are_refused(task, place):
    labels = [float(n % 2) for n in range(40)]
    pl.DataFrame({"x": [[1.0]] * 40, "kind": labels}).write_parquet(place / "a.parquet")
    message = task.complaint(format="table", path="a.parquet", target="kind")
    assert "column 'x' holds List(Float64)" in message
    labels[3:5] = [float("nan")] * 2
    pl.DataFrame({"x": range(40), "kind": labels}).write_parquet(place / "a.parquet")
    message = task.complaint(format="table", path="a.parquet", target="kind")
    assert "row 4 has no 'kind'" in message


def test_a_constant_real_target_is_not_called_a_class(task, place):
    pl.DataFrame({"x": range(40), "y": [3.5] * 40}).write_csv(place / "a.csv")
    message = task.complaint(format="table", path="a.csv", target="y", targets="real")
    assert "class" not in message
    assert "target" in message


def test_what_programs_leave_beside_images_is_left_out(task, place):
    for name in "ab":
        (place / "photos" / name).mkdir(parents=True)
        for n in range(10):
            (place / "photos" / name / f"{n}.png").write_bytes(stored(np.full((4, 4), n, "uint8")))
    first = task.record(format="images", path="photos")
    (place / "photos" / ".git").mkdir()
    (place / "photos" / "a" / "._0.png").write_bytes(b"Mac OS X")
    assert task.record(format="images", path="photos")["key"] == first["key"]
    with zipfile.ZipFile(place / "photos.zip", "w") as archive:
        for path in sorted((place / "photos").rglob("*.png")):
            archive.write(path, path.relative_to(place / "photos"))
        archive.writestr("__MACOSX/a/._0.png", b"Mac OS X")
    again = task.record(format="images", path="photos.zip")
    assert again["data"]["checksum"] == first["data"]["checksum"]


def test_whether_images_are_streamed_is_not_guessed(task, place):
    for name in "ab":
        (place / "photos" / name).mkdir(parents=True)
        (place / "photos" / name / "0.png").write_bytes(stored(np.zeros((4, 4), "uint8")))
    message = task.complaint(format="images", path="photos", stream="false")
    assert "stream='false': give true or false" in message


def test_a_task_file_can_be_given_twice_in_one_process(task, resonance, place):
    (place / "one.csv").write_text("x,kind\n" + "".join(f"{n},{n % 2}\n" for n in range(40)))
    first = task.record(format="table", path="one.csv", target="kind")
    again = resonance("run --task-file mine.yaml static -s 0.5 --json")
    assert json.loads(again.out)["key"] == first["key"]


@pytest.mark.parametrize(
    ("targets", "words"),
    [
        ([n / 7 for n in range(60)], "60 different real numbers"),
        (list(range(60)), "60 classes for 60 examples"),
    ],
)
def test_real_targets_are_told_apart_from_classes(task, place, targets, words):
    pl.DataFrame({"x": range(60), "price": targets}).write_csv(place / "houses.csv")
    message = task.complaint(format="table", path="houses.csv", target="price")
    assert words in message
    assert "give data 'targets: real' for regression" in message
    assert len(message) < 400


def test_parquet_files_of_hugging_face_train(task, place):
    hub_folder(place / "hub")
    record = task.record(format="huggingface", path="hub")
    assert record["metrics"]["test_accuracy"] == 1.0
