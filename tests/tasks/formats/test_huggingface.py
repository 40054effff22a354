"""Data of Hugging Face that a test writes as Parquet files, saves to disk, or puts into a cache."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from suite.core.errors import InvalidInput
from tests.conftest import require
from tests.support import forked
from tests.tasks.samples import picture


@pytest.fixture
def datasets():
    """Import the library."""
    present = importlib.util.find_spec("datasets") is not None
    require("datasets", present, "pip install 'resonance-bench[datasets]'")
    import datasets

    return datasets


def images(count, first=0, **more):
    """Return rows of an image column as Hugging Face stores it, and labels 0 and 1 in turn."""
    rows = [{"bytes": picture(40 + 160 * (n % 2) + n, **more), "path": f"{n}.png"}
            for n in range(first, first + count)]  # fmt: skip
    return {"image": rows, "label": [n % 2 for n in range(first, first + count)]}


def write(path, columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    pl.DataFrame(columns).write_parquet(path)


@pytest.fixture
def pets(place):
    """Write a folder of Parquet files as the hub has them: 12 training images, 6 for test."""
    write(place / "pets/data/train-00000-of-00002.parquet", images(6))
    write(place / "pets/data/train-00001-of-00002.parquet", images(6, first=6))
    write(place / "pets/data/test-00000-of-00001.parquet", images(6, first=12))
    return place / "pets"


def test_images_in_parquet_files_are_read_by_their_splits(pets, read):
    dataset, arrays = read(format="huggingface", path="pets")
    assert (dataset.shape, dataset.classes, dataset.train, dataset.test) == ((3, 6, 8), 2, 12, 6)
    assert arrays.train_x[:, 0, 0, 0].tolist() == [40 + 160 * (n % 2) + n for n in range(12)]
    assert arrays.train_y.tolist() == [0, 1] * 6
    assert arrays.test_x[:, 2, 5, 7].tolist() == [40 + 160 * (n % 2) + n for n in range(12, 18)]
    scaled, arrays = read(format="huggingface", path="pets", size=4)
    assert scaled.shape == arrays.train_x.shape[1:] == (3, 4, 4)


def test_the_content_counts_and_neither_place_nor_file(pets, read):
    first, _ = read(format="huggingface", path="pets")
    pets.rename(pets.parent / "moved")
    moved = pl.read_parquet(sorted(pets.parent.glob("moved/data/train*")))
    assert read(format="huggingface", path="moved")[0].fingerprint == first.fingerprint
    for old in pets.parent.glob("moved/data/train*"):
        old.unlink()
    moved.write_parquet(pets.parent / "moved/train.parquet", compression="uncompressed")
    assert read(format="huggingface", path="moved")[0].fingerprint == first.fingerprint
    changed = images(6, first=12)
    changed["image"][3]["bytes"] = picture(99)
    write(pets.parent / "moved/data/test-00000-of-00001.parquet", changed)
    assert read(format="huggingface", path="moved")[0].fingerprint != first.fingerprint


def test_a_dataset_without_a_test_split_is_divided(place, read):
    write(place / "one/everything.parquet", images(20))
    dataset, arrays = read(format="huggingface", path="one", test=0.3)
    assert (dataset.train, dataset.test) == (14, 6)
    assert sorted(arrays.test_y.tolist()) == [0] * 3 + [1] * 3


def test_vectors_text_labels_configs_and_named_splits_are_read(place, read):
    x = np.arange(60.0).reshape(20, 3)
    rows = {"features": x.tolist(), "kind": ["cat", "dog"] * 10, "other": ["a"] * 20}
    write(place / "vectors/small/validation.parquet", rows)
    fields = {"config": "small", "split": "validation", "input": "features", "label": "kind"}
    dataset, arrays = read(format="huggingface", path="vectors", **fields)
    assert (dataset.shape, dataset.labels, dataset.train) == ((3,), ("cat", "dog"), 16)
    both = np.concatenate([arrays.train_x.numpy(), arrays.test_x.numpy()])
    assert np.array_equal(both[both[:, 0].argsort()], x)
    assert all(
        (row[0] // 3) % 2 == y for row, y in zip(arrays.train_x, arrays.train_y, strict=True)
    )


def test_sixteen_bits_and_a_background_are_read_as_in_folders(place, read):
    import io

    import PIL.Image

    def stored(array):
        buffer = io.BytesIO()
        PIL.Image.fromarray(array).save(buffer, "PNG")
        return {"bytes": buffer.getvalue(), "path": None}

    deep = [stored(np.full((4, 4), v, np.uint16)) for v in (0, 65535, 13107, 26214) * 3]
    write(place / "deep/train.parquet", {"image": deep, "label": [0, 1] * 6})
    _, arrays = read(format="huggingface", path="deep")
    values = {round(float(v), 4) for v in arrays.train_x.flatten()}
    assert values <= {0.0, 1.0, 0.2, 0.4}
    assert len(values) > 2
    clear = [stored(np.full((4, 4, 4), (9, 9, 9, 0), np.uint8))] * 12
    write(place / "clear/train.parquet", {"image": clear, "label": [0, 1] * 6})
    assert "clear: train row 0 has transparent" in read.refusal(format="huggingface", path="clear")
    _, arrays = read(format="huggingface", path="clear", background="white")
    assert arrays.train_x.unique().tolist() == [255]


def columns(**changed):
    return {**images(12), **changed}


@pytest.mark.parametrize(
    ("rows", "fields", "words"),
    [
        (columns(label=[5] * 12), {}, "one class only (5)"),
        (
            columns(label=[n / 7 for n in range(12)]),
            {},
            "'label' holds Float64: give data 'targets",
        ),
        (columns(label=list(range(12))), {}, "12 classes for 12 examples"),
        (columns(label=[None, *[0, 1] * 5, 1]), {}, "train row 0 has no 'label'"),
        (columns(second=images(12)["image"]), {}, "'image' could be image, second: give data"),
        (columns(), {"label": "kind"}, "no column 'kind': it has image, label"),
        (columns(), {"split": "dev"}, "no split 'dev' (split): it has train"),
        (columns(), {"image": "image", "input": "label"}, "not both"),
        (columns(), {"input": "label"}, "'label' cannot be both"),
        (columns(other=[1] * 12), {"input": "other"}, "'other' holds Int64, not vectors of num"),
        (columns(image=[[1.0]] * 11 + [[1.0, 2.0]]), {}, "lists of different lengths (1, 2)"),
        (columns(image=[["a"]] * 12), {}, "holds String, not vectors"),
        (columns(image=[[1.0]] * 12), {"size": 8}, "size is of images"),
        (columns(image=[{"bytes": b"no", "path": "/etc/x.png"}] * 12), {}, "row 0 (x.png) cannot"),
        (columns(image=[{"bytes": None, "path": "x.png"}] * 12), {}, "row 0 (x.png) has no image"),
        (columns(), {"config": "other"}, "holds no Parquet files"),
        (columns(), {"image": 3}, "image=3: give a name"),
        (columns(), {"columns": 3}, "unknown data field 'columns'"),
    ],
)
def test_what_cannot_be_right_is_refused(place, read, rows, fields, words):
    write(place / "data/train.parquet", rows)
    assert words in read.refusal(format="huggingface", path="data", **fields)


def test_a_test_label_that_training_lacks_is_refused(place, read):
    write(place / "data/train.parquet", images(12))
    write(place / "data/test.parquet", {**images(4), "label": [0, 1, -1, 1]})
    message = read.refusal(format="huggingface", path="data")
    assert "the test split: example 2 has the label -1" in message
    assert "it has 0, 1" in message


def test_files_that_are_no_dataset_are_refused(place, read):
    write(place / "data/train.parquet", images(12))
    write(place / "data/more.parquet", images(12))
    assert "more.parquet: its name says of no split" in read.refusal(
        format="huggingface", path="data"
    )
    (place / "data/more.parquet").rename(place / "data/test.parquet")
    write(place / "data/test.parquet", {"text": ["a"]})
    assert "has other columns than" in read.refusal(format="huggingface", path="data")
    (place / "data/test.parquet").write_bytes(b"PAR1 nothing")
    assert "cannot be read" in read.refusal(format="huggingface", path="data")
    assert "is a file" in read.refusal(format="huggingface", path="data/test.parquet")
    assert "not the name of a dataset" in read.refusal(format="huggingface", path="s3://bucket/x")


def features(datasets):
    """Return the description of a column of images and one of named classes."""
    names = datasets.ClassLabel(names=["cat", "dog"])
    return datasets.Features({"image": datasets.Image(), "label": names})


def test_the_names_of_classes_are_read_from_parquet_files_of_the_library(datasets, place, read):
    made = datasets.Dataset.from_dict(images(12), features=features(datasets))
    (place / "pets").mkdir()
    made.to_parquet(place / "pets" / "train.parquet")
    dataset, arrays = read(format="huggingface", path="pets")
    assert dataset.labels == ("cat", "dog")
    assert len(arrays.train_x) == 10


def test_unlabelled_rows_are_refused(datasets, place, read):
    rows = {**images(12), "label": [-1, *[0, 1] * 5, 1]}
    made = datasets.Dataset.from_dict(rows, features=features(datasets))
    (place / "pets").mkdir()
    made.to_parquet(place / "pets" / "train.parquet")
    assert "−1 means: not labelled" in read.refusal(format="huggingface", path="pets")


def test_a_dataset_saved_to_disk_is_read_as_its_parquet_files_are(datasets, pets, read):
    described, expected = read(format="huggingface", path="pets")
    splits = {
        split: datasets.Dataset.from_dict(rows, features=features(datasets))
        for split, rows in (("train", images(12)), ("test", images(6, first=12)))
    }
    datasets.DatasetDict(splits).save_to_disk(pets.parent / "saved")
    dataset, arrays = read(format="huggingface", path="saved")
    assert dataset.fingerprint == described.fingerprint
    assert dataset.labels == ("cat", "dog")
    assert arrays.train_x.equal(expected.train_x)
    assert arrays.test_y.equal(expected.test_y)
    (pets.parent / "saved/train/state.json").write_text("{")
    assert "cannot be read as a dataset saved to disk" in read.refusal(
        format="huggingface", path="saved"
    )


def test_matrices_saved_to_disk_are_inputs(datasets, place, read):
    x = np.arange(12 * 6.0, dtype=np.float32).reshape(12, 2, 3)
    kinds = datasets.Features(
        {"x": datasets.Array2D((2, 3), "float32"), "label": datasets.Value("int64")}
    )
    rows = {"x": list(x), "label": [500, 501] * 6}
    datasets.Dataset.from_dict(rows, features=kinds).save_to_disk(place / "saved")
    dataset, arrays = read(format="huggingface", path="saved", test=0.5)
    assert (dataset.shape, dataset.labels) == ((2, 3), (500, 501))
    assert sorted(arrays.train_x[:, 0, 0].tolist() + arrays.test_x[:, 0, 0].tolist()) == list(
        range(0, 72, 6)
    )


OFFLINE = """
import json, sys
from pathlib import Path
from tasks.loading import load_arrays
from tasks.taskfile import read_task_file
dataset, task = read_task_file(Path("mine.yaml"))
arrays, _ = load_arrays(dataset)
print(json.dumps([dataset.labels, dataset.fingerprint, arrays.train_x[:, 0, 0, 0].tolist()]))
"""


def offline(place):
    """Read the task file in a process where Hugging Face is offline and its cache in `place`."""
    environment = {"HF_HOME": str(place / "hf"), "HF_HUB_OFFLINE": "1"}
    return forked.python(["-c", OFFLINE], cwd=place, env=environment)


def test_a_dataset_is_read_by_its_name_from_the_offline_cache(datasets, place, read):
    from datasets.packaged_modules.parquet.parquet import Parquet

    (place / "made").mkdir()
    files = {}
    for split, rows in (("train", images(12)), ("test", images(6, first=12))):
        made = datasets.Dataset.from_dict(rows, features=features(datasets))
        files[split] = [str(place / "made" / f"{split}.parquet")]
        made.to_parquet(files[split][0])
    cache = place / "hf" / "datasets"
    builder = Parquet(dataset_name="tiny", data_files=files, cache_dir=str(cache))
    builder.download_and_prepare()
    (cache / "me___tiny" / "default").mkdir(parents=True)  # as for a name on the hub
    Path(builder.cache_dir).parent.rename(cache / "me___tiny" / "default" / "0.0.0")
    (place / "mine.yaml").write_text(
        "{name: tiny/mlp, model: mlp, data: {format: huggingface, path: me/tiny}}"
    )
    done = offline(place)
    assert done.returncode == 0, done.stderr
    labels, fingerprint, first_pixels = json.loads(done.stdout)
    assert labels == ["cat", "dog"]
    assert first_pixels == [40 + 160 * (n % 2) + n for n in range(12)]
    assert read(format="huggingface", path="made")[0].fingerprint == fingerprint


def test_a_name_that_is_not_in_the_cache_is_one_line_offline(datasets, place):
    (place / "mine.yaml").write_text(
        "{name: tiny/mlp, model: mlp, data: {format: huggingface, path: me/nowhere}}"
    )
    last = offline(place).stderr.strip().splitlines()[-1]
    assert "InvalidInput: dataset 'me/nowhere' of Hugging Face cannot be loaded" in last
    assert "give a folder of Parquet files" in last


def test_a_folder_of_the_working_directory_is_not_taken_for_a_name(place, read):
    from tasks.datasets.hub import open_source

    (place / "mnist").mkdir()
    with pytest.raises(InvalidInput, match="the working folder holds one of that name"):
        open_source("mnist")


def test_without_the_extra_the_message_names_it(place, read, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    message = read.refusal(format="huggingface", path="ylecun/mnist")
    assert "pip install 'resonance-bench[datasets]'" in message
