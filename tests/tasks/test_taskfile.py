"""The examples of docs/own-data.md on data of one's own, and what is refused of such data."""

import json
import re

import numpy as np
import polars as pl
import pytest
import yaml

from suite.core.errors import InvalidInput
from suite.experiments import registry
from suite.experiments.trial_config import Trial
from tasks.loading import load_arrays
from tasks.taskfile import read_task_file
from tests.docs.collector import blocks
from tests.tasks.samples import own_data, picture, tar

EXAMPLES = {yaml.safe_load(text)["name"]: text for text in blocks("docs/own-data.md", "yaml")}


@pytest.fixture
def data(place):
    """Write every kind of data that the examples name, and their files of Python."""
    own_data(place)
    (net,) = (b for b in blocks("docs/own-data.md", "python") if "class Net" in b)
    (place / "my_net.py").write_text(net)
    return place


def write(place, text: str, **changes):
    """Write a task file: an example of the documentation, with changes to it or to its data."""
    content = yaml.safe_load(text)
    for name, value in changes.items():
        where = (
            content
            if name in content or name in ("extra", "model_options", "prunable")
            else content["data"]
        )
        where.pop(name, None) if value is None else where.update({name: value})
    path = place / "mine.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.mark.parametrize(
    ("name", "above"),
    [
        ("iris/mlp", 0.8),
        ("pets/conv", 0.8),
        ("numbers/net", 0.8),
        ("book/gpt", 0.2),
        ("shapes/mlp", 0.7),
    ],
)
def test_the_examples_of_the_documentation_train_on_ones_own_data(data, resonance, name, above):
    path = data / "mine.yaml"
    path.write_text(EXAMPLES[name])
    result = resonance(f"run --task-file {path} rigl -s 0.5 --json --set update_every=10")
    assert result.code == 0, result.err
    record = json.loads(result.out)
    assert record["trial"]["task"] == name
    assert record["metrics"]["test_accuracy"] > above
    # The task may be named as well, and the same file is a plug-in.
    again = resonance(f"--plugin {path} run {name} rigl -s 0.5 --set update_every=10")
    assert "done before" in again.out


RECURRENT = """
from torch import nn


class Rows(nn.Module):
    def __init__(self, shape, classes):
        super().__init__()
        self.rnn = nn.GRU(1, 6, batch_first=True)
        self.up = nn.ConvTranspose1d(6, 5, 2)
        self.head = nn.Linear(5, classes)

    def forward(self, x):
        states, _ = self.rnn(x.unsqueeze(-1))
        return self.head(self.up(states.transpose(1, 2)).mean(2))
"""


def test_a_task_file_declares_which_kinds_of_layers_are_pruned(data, resonance):
    (data / "rows.py").write_text(RECURRENT)
    kinds = ["linear", "recurrent", "conv_transpose"]
    changes = {"model": "rows.py:Rows", "model_options": {}, "prunable": kinds}
    path = write(data, EXAMPLES["iris/mlp"], **changes)
    result = resonance(f"run --task-file {path} rigl -s 0.5 --json --set update_every=10")
    assert result.code == 0, result.err
    layers = {layer["name"]: layer for layer in json.loads(result.out)["layers"]}
    assert {name: (layer["shape"], layer["flops"]) for name, layer in layers.items()} == {
        "rnn.weight_ih_l0": ([18, 1], 2 * 4 * 18),  # four features are four steps of the GRU
        "rnn.weight_hh_l0": ([18, 6], 2 * 4 * 108),
        "up": ([6, 5, 2], 2 * 4 * 60),
        "head": ([3, 5], 2 * 15),
    }
    assert sum(layer["zeros"] for layer in layers.values()) == 201 // 2
    units = {name: layer["units"] for name, layer in layers.items()}
    assert units == {"rnn.weight_ih_l0": 18, "rnn.weight_hh_l0": 18, "up": 5, "head": 3}


def test_kinds_of_layers_that_do_not_exist_are_refused_with_the_file(data):
    path = write(data, EXAMPLES["iris/mlp"], prunable=["lstm"])
    with pytest.raises(InvalidInput, match=f"task file {path}: prunable: 'lstm' is no kind"):
        read_task_file(path)


def test_a_python_task_file_is_run_as_well(place, resonance):
    (task,) = (b for b in blocks("docs/own-data.md", "python") if "\nTASK = " in b)
    (place / "mine.py").write_text(task)
    result = resonance(
        "run --task-file mine.py rigl -s 0.8 --recipe epochs=2 --recipe batch_size=8"
    )
    assert result.code == 0, result.err
    assert "iris/mlp rigl" in result.out


def test_a_task_file_with_no_task_and_no_method_is_refused(place, resonance):
    (place / "none.py").write_text("X = 1\n")
    assert "none.py declares nothing: assign" in resonance("run --task-file none.py rigl").complaint
    (place / "none.py").write_text("METHODS = ()\n")
    assert "declares 0 tasks" in resonance("run --task-file none.py rigl").complaint
    assert "there is no such file" in resonance("run --task-file nothing.yaml rigl").complaint
    assert "a method is missing" in resonance("run digits/mlp").complaint


def test_parquet_is_read_as_csv_is(data):
    pl.read_csv(data / "iris.csv").write_parquet(data / "iris.parquet")
    tables = []
    for name in ("iris.csv", "iris.parquet"):
        dataset, _ = read_task_file(write(data, EXAMPLES["iris/mlp"], path=name))
        tables.append(load_arrays(dataset)[0])
    assert np.array_equal(tables[0].train_x.numpy(), tables[1].train_x.numpy())
    assert tables[0].test_y.tolist() == tables[1].test_y.tolist()


def test_an_archive_of_images_and_class_folders_alone_are_read(data):
    images = {p.relative_to(data / "pets").as_posix(): p.read_bytes()
              for p in sorted((data / "pets").rglob("*.png"))}  # fmt: skip
    tar(data / "pets.tar.gz", images)
    archive, _ = read_task_file(write(data, EXAMPLES["pets/conv"], path="pets.tar.gz"))
    folder, _ = read_task_file(write(data, EXAMPLES["pets/conv"]))
    one, other = load_arrays(archive)[0], load_arrays(folder)[0]
    assert np.array_equal(one.train_x.numpy(), other.train_x.numpy())
    path = write(data, EXAMPLES["pets/conv"], path="pets/train", test=0.25)
    alone, _ = read_task_file(path)
    assert (alone.train, alone.test, alone.classes) == (18, 6, 2)
    assert load_arrays(alone)[0].test_y.tolist() == [0] * 3 + [1] * 3


def test_streamed_images_of_ones_own_are_not_loaded(data):
    dataset, _ = read_task_file(write(data, EXAMPLES["pets/conv"], stream=True))
    assert (dataset.kind, dataset.train, dataset.shape) == ("stream", 24, (3, 16, 16))


def test_other_data_under_the_same_name_is_another_trial_but_another_place_is_not(
    data, monkeypatch
):
    monkeypatch.setattr(registry, "_plugins", [])

    def key() -> str:
        registry.use_plugins([str(data / "mine.yaml")])
        registry._task_file.cache_clear()
        return Trial.make(task="iris/mlp", method="dense").key

    write(data, EXAMPLES["iris/mlp"])
    first = key()
    (data / "iris.csv").rename(data / "moved.csv")
    write(data, EXAMPLES["iris/mlp"], path="moved.csv")
    assert key() == first
    text = (data / "moved.csv").read_text()
    (data / "moved.csv").write_text(text.replace("5.1,", "5.2,", 1))
    assert key() != first
    monkeypatch.undo()
    registry.use_plugins([])


# ------------------------------------------------------------------------------- what is refused


def refusal(path) -> str:
    """Return why a task file's data cannot be used, found without training."""
    with pytest.raises(InvalidInput) as refused:
        load_arrays(read_task_file(path)[0])
    assert "\n" not in str(refused.value)
    return str(refused.value)


def edited(data, old: str, new: str):
    """Return the iris example with one change to its table."""
    text = (data / "iris.csv").read_text()
    assert old in text
    (data / "iris.csv").write_text(text.replace(old, new, 1))
    return write(data, EXAMPLES["iris/mlp"])


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("4.9,3.0,", "oops,3.0,", ["column 'sepal length'", "'oops'", "in line 3"]),
        ("4.9,3.0,", ",3.0,", ["column 'sepal length'", "None", "in line 3"]),
        ("4.9,3.0,", "NaN,3.0,", ["column 'sepal length'", "nan", "in line 3"]),
        ("4.9,3.0,", "inf,3.0,", ["column 'sepal length'", "inf", "in line 3"]),
        ("0.2,setosa", "0.2,", ["line 2", "no 'species'"]),
        ("species", "kind", ["no column 'species'", "kind"]),
        ("0.2,setosa", "0.2,setosa,7,8", ["cannot be read"]),
        ("0.2,setosa", "0.2,unicorn", ["test split"]),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_by_row_and_column(data, old, new, words):
    message = refusal(edited(data, old, new))
    assert all(word in message for word in [*words, "iris"]), message


def test_a_test_table_with_another_class_is_refused(data):
    (data / "test.csv").write_text((data / "iris.csv").read_text().replace("setosa", "tulip"))
    path = write(data, EXAMPLES["iris/mlp"], test_path="test.csv")
    assert "line 2 has the class 'tulip'" in refusal(path)


def damage(file: str, content: bytes):
    """Return what writes `content` over a file of the folder."""
    return lambda folder: (folder / file).write_bytes(content)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (damage("train/cat/0.png", b"no image"), "train/cat/0.png cannot be read"),
        (damage("train/cat/0.png", picture(9)[:40]), "train/cat/0.png cannot be read"),
        (damage("train/x.png", picture(1)), "'train/x.png' is not in a class folder"),
        (damage("x.png", picture(1)), "beside 'train' there must be 'test'"),
        (lambda p: (p / "test/dog").rename(p / "test/wolf"), "'wolf' has no images in 'train'"),
        (lambda p: (p / "train/fox").mkdir(), "fox: the class is empty"),
        (lambda p: (p / "train/cat/z.png").symlink_to("/etc/hostname"), "a link to outside of"),
    ],
)
def test_images_that_cannot_be_used_are_refused_by_name(data, spoil, words):
    spoil(data / "pets")
    assert words in refusal(write(data, EXAMPLES["pets/conv"]))


def test_images_of_mixed_sizes_are_refused_unless_they_are_to_be_scaled(data):
    (data / "pets" / "train" / "dog" / "9.png").write_bytes(picture(5, (30, 30)))
    message = refusal(write(data, EXAMPLES["pets/conv"], size=None))
    assert "train/dog/9.png is 30×30, others are 20×16" in message
    dataset, _ = read_task_file(write(data, EXAMPLES["pets/conv"]))
    assert load_arrays(dataset)[0].train_x.shape == (24, 3, 16, 16)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x": np.zeros((4, 2))}, "no array 'y'"),
        ({"x": np.zeros((4, 2)), "y": np.zeros(3, int)}, "one label per example"),
        ({"x": np.zeros((4, 2)), "y": np.zeros(4)}, "whole numbers"),
        ({"x": np.array([object()] * 4), "y": np.zeros(4, int)}, "plain arrays"),
        ({"x": np.full((10, 2), np.nan), "y": np.arange(10) % 2}, "NaN"),
    ],
)
def test_a_numpy_archive_that_cannot_be_used_is_refused(data, arrays, words):
    np.savez(data / "numbers.npz", **arrays)
    assert words in refusal(write(data, EXAMPLES["numbers/net"]))


def test_a_file_that_is_no_numpy_archive_is_refused(data):
    (data / "numbers.npz").write_bytes(b"PK nothing")
    assert "cannot be read as a NumPy archive" in refusal(write(data, EXAMPLES["numbers/net"]))


def test_a_text_whose_test_has_unseen_characters_is_refused(data):
    (data / "test.txt").write_text("the fox. and the ñandú " * 9)
    path = write(data, EXAMPLES["book/gpt"], test_path="test.txt")
    assert re.search(r"'ñ' in line 1", refusal(path))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "iris"}, "name='iris'"),
        ({"name": None}, "'name' is missing"),
        ({"extra": 1}, "unknown field 'extra'"),
        ({"format": "excel"}, "format='excel'"),
        ({"path": "nothing.csv"}, "there is no"),
        ({"target": None}, "'target'"),
        ({"sheet": 3}, "unknown data field 'sheet'"),
        ({"test": 1.5}, "test=1.5"),
        ({"model": "mpl"}, "model='mpl'"),
        ({"recipe": {"epoch": 3}}, "did you mean epochs"),
        ({"recipe": {"epochs": 0}}, "epochs=0"),
        ({"recipe": {"milestones": [2]}}, "milestones"),
    ],
)
def test_a_task_file_with_a_mistake_is_refused(data, change, words):
    assert words in refusal(write(data, EXAMPLES["iris/mlp"], **change))


@pytest.mark.parametrize("text", ["[1, 2]", "a: [", "", "\x00"])
def test_a_file_that_is_no_task_file_is_refused(data, text):
    (data / "mine.yaml").write_text(text)
    assert "task file" in refusal(data / "mine.yaml")


def test_a_model_with_other_outputs_than_classes_is_refused_before_training(data, resonance):
    text = (
        (data / "my_net.py").read_text().replace("nn.Linear(units, classes)", "nn.Linear(units, 7)")
    )
    (data / "my_net.py").write_text(text)
    path = write(data, EXAMPLES["numbers/net"])
    message = resonance(f"run --task-file {path} rigl -s 0.5").complaint
    assert "outputs of shape (7,) (its last layer is 'output')" in message
    assert "numbers has 2 classes" in message
