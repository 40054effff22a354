"""The target column of a table: classes, and what looks like real numbers."""

import numpy as np
import polars as pl
import pytest

from tasks.datasets.table import row_place


def write(place, targets, name="data.csv"):
    rows = len(targets)
    x = np.random.default_rng(0).normal(size=rows).round(3)
    frame = pl.DataFrame({"x": x, "y": targets})
    frame.write_parquet(place / name) if name.endswith("parquet") else frame.write_csv(place / name)
    return {"format": "table", "path": name, "target": "y"}


REAL = [round(n / 7, 3) for n in range(40)]


@pytest.mark.parametrize("name", ["data.csv", "data.parquet"])
@pytest.mark.parametrize(
    ("targets", "words"),
    [
        (REAL, "column 'y' holds 40 different real numbers (0.0, 0.143, 0.286, 0.429, 0.571, …)"),
        (REAL, "give data 'targets: real' for regression"),
        ([x for x in REAL for _ in range(4)], "40 different real numbers"),
        (list(range(40)), "40 classes for 40 examples (0, 1, 2, 3, 4, …): these look like real"),
        ([f"row {n}" for n in range(40)], "40 classes for 40 examples"),
        ([3] * 40, "column 'y': one class only (3), so there is nothing to learn"),
    ],
)
def test_targets_that_are_no_classes_are_refused_in_one_line(place, read, targets, words, name):
    assert words in read.refusal(**write(place, targets, name))


@pytest.mark.parametrize(
    ("sign", "name", "found"),
    [(";", "data.csv", "semicolons"), ("\t", "data.csv", "tabs"), (",", "data.tsv", "commas")],
)
def test_other_separators_are_named(place, read, sign, name, found):
    (place / name).write_text(f"x{sign}y\n" + "".join(f"{n},5{sign}{n % 2}\n" for n in range(40)))
    message = read.refusal(format="table", path=name, target="y")
    assert f"its columns seem to be separated by {found}: write it with commas" in message


@pytest.mark.parametrize(
    ("targets", "labels"),
    [
        ([0, 1000000] * 20, ("0", "1000000")),
        ([-1, 10, 9, 10] * 10, ("-1", "9", "10")),
        ([0.5, 1.5] * 20, ("0.5", "1.5")),
        (["dog", "cat"] * 20, ("cat", "dog")),
    ],
)
def test_classes_are_numbered_and_keep_their_names(place, read, targets, labels):
    dataset, arrays = read(**write(place, targets))
    assert dataset.labels == labels
    assert dataset.classes == len(labels)
    assert sorted(set(arrays.train_y.tolist())) == list(range(len(labels)))


def test_a_class_of_the_test_table_that_training_lacks_is_refused_with_those_seen(place, read):
    write(place, ["cat", "dog", "fox"] * 10, "test.csv")
    data = write(place, ["cat", "dog"] * 20)
    message = read.refusal(**data, test_path="test.csv")
    assert "line 4 has the class 'fox', which is not in the training table (it has cat, dog)" in (
        message
    )


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"ignore": "xy"}, "ignore='xy': give a list of columns, e.g. [id, name]"),
        ({"ignore": ["y"]}, "column 'y' is the target and is ignored: give it once"),
        ({"ignore": ["y"], "targets": "real"}, "column 'y' is the target and is ignored"),
    ],
)
def test_ignored_columns_are_a_list_without_the_target(place, read, more, words):
    assert words in read.refusal(**write(place, [0, 1] * 20), **more)


@pytest.mark.parametrize(
    ("name", "content", "place"),
    [
        ("t.csv", 'x,y\n1,a\n"2\n2",b\n?,c\n', "line 3"),
        ("t.csv", "\n\nx,y\n1,a\n\n3,b\n", "line 5"),
        ("t.tsv", "x\ty\r\n1\ta\r\n3\tb\r\n", "line 3"),
        ("t.parquet", "", "row 2"),
    ],
)
def test_a_row_is_named_by_the_line_that_it_begins_on(tmp_path, name, content, place):
    path = tmp_path / name
    path.write_bytes(content.encode())
    assert row_place(path, 1) == place


def test_a_row_after_one_of_two_lines_is_named_by_its_own_line(tmp_path):
    (tmp_path / "t.csv").write_text('x,y\n1,a\n"2\n2",b\n?,c\n')
    assert row_place(tmp_path / "t.csv", 2) == "line 5"
