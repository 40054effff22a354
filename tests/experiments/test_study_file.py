from collections.abc import Callable
from typing import Any

import pytest
import yaml

from suite.core.errors import InvalidInput
from suite.experiments.study_file import read_study_file

BASE = {
    "name": "base",
    "question": "?",
    "tasks": ["digits/mlp"],
    "methods": ["dense", "static"],
    "sparsities": [0.8, 0.9],
    "seeds": 3,
    "recipe": {"epochs": 3, "batch_size": 64},
}


@pytest.fixture
def write(tmp_path) -> Callable[..., None]:
    """Return a function that writes a file of this content."""

    def write(name: str, /, **content: Any) -> None:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(content))

    return write


@pytest.fixture
def refusal(tmp_path) -> Callable[[str], str]:
    """Return a function that reads a file and returns the one line that it is refused with."""

    def refusal(name: str) -> str:
        with pytest.raises(InvalidInput) as refused:
            read_study_file(tmp_path / name, f"study {name}")
        assert "\n" not in str(refused.value)
        return str(refused.value)

    return refusal


def test_the_fields_of_a_file_win_and_lists_replace(tmp_path, write):
    write("base.yaml", **BASE)
    write(
        "mine.yaml",
        include="base.yaml",
        name="mine",
        methods=["rigl"],
        recipe={"epochs": 5},
        threads=2,
    )
    read = read_study_file(tmp_path / "mine.yaml", "study mine.yaml")
    assert read == BASE | {
        "name": "mine",
        "methods": ["rigl"],
        "recipe": {"epochs": 5, "batch_size": 64},
        "threads": 2,
    }


def test_of_two_included_files_the_later_one_wins(tmp_path, write):
    write("base.yaml", **BASE)
    write("small.yaml", seeds=1, sparsities=[0.5])
    write("mine.yaml", include=["base.yaml", "small.yaml"], name="mine", sparsities=[0.9])
    read = read_study_file(tmp_path / "mine.yaml", "study")
    assert (read["seeds"], read["sparsities"], read["tasks"]) == (1, [0.9], ["digits/mlp"])


def test_a_name_is_never_that_of_an_included_file(tmp_path, write):
    write("base.yaml", **BASE)
    write("mine.yaml", include="base.yaml")
    assert "name" not in read_study_file(tmp_path / "mine.yaml", "study")


def test_plugins_are_joined_and_relative_to_the_file_that_names_them(tmp_path, write):
    write("shared/base.yaml", **BASE, plugins=["methods/own.py", "../tasks.yaml"])
    write("shared/more.yaml", include="base.yaml", plugins=["more.py"])
    write("mine.yaml", include="shared/more.yaml", name="mine", plugins=["tasks.yaml", "x.py"])
    read = read_study_file(tmp_path / "mine.yaml", "study")
    assert read["plugins"] == ["shared/methods/own.py", "tasks.yaml", "shared/more.py", "x.py"]


def test_a_file_may_be_included_by_two_others(tmp_path, write):
    write("base.yaml", **BASE)
    write("one.yaml", include="base.yaml", seeds=1)
    write("two.yaml", include="base.yaml", sparsities=[0.5])
    write("mine.yaml", include=["one.yaml", "two.yaml"], name="mine")
    assert read_study_file(tmp_path / "mine.yaml", "study")["sparsities"] == [0.5]


def test_a_circle_is_refused_by_name(write, refusal):
    write("a.yaml", include="b.yaml")
    write("b.yaml", include="a.yaml")
    write("self.yaml", include="self.yaml")
    assert "in a circle: a.yaml → b.yaml → a.yaml" in refusal("a.yaml")
    assert "in a circle: self.yaml → self.yaml" in refusal("self.yaml")


@pytest.mark.parametrize(
    ("include", "words"),
    [
        (3, "include=3: give the path of a study file"),
        ([["a.yaml"]], "give the path of a study file, or a list"),
        ("base.txt", "include=base.txt: give a file that ends in .yaml"),
        ("nosuch.yaml", "nosuch.yaml (included by mine.yaml) cannot be read"),
        ("list.yaml", "list.yaml (included by mine.yaml): expected a mapping with"),
    ],
)
def test_what_cannot_be_included_is_refused(tmp_path, write, refusal, include, words):
    (tmp_path / "list.yaml").write_text("[1, 2]")
    write("mine.yaml", include=include)
    assert words in refusal("mine.yaml")


def test_too_many_files_are_refused_whether_in_a_row_or_side_by_side(write, refusal):
    write("end.yaml", **BASE)
    for number in range(30):
        write(f"row{number}.yaml", include=f"row{number + 1}.yaml" if number < 29 else "end.yaml")
        below = f"twice{number + 1}.yaml" if number < 15 else "end.yaml"
        write(f"twice{number}.yaml", include=[below, below])
    for name in ("row0.yaml", "twice0.yaml"):
        assert "at most 100 files, and at most 20 include each other in a row" in refusal(name)


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b"])
def test_a_path_that_no_file_can_have_is_refused(write, refusal, name):
    assert "cannot be read" in refusal(f"{name}.yaml")


def test_a_group_of_studies_is_not_included(write, refusal):
    write("group.yaml", name="g", question="?", studies=["quickstart"])
    write("mine.yaml", **BASE | {"include": "group.yaml"})
    message = refusal("mine.yaml")
    assert "group.yaml (included by mine.yaml) is a group of studies: include a study" in message
