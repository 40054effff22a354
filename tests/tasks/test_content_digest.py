"""Digests of content, remembered while a file stays as it is."""

import os
import time
from pathlib import Path

import pytest

from suite.core.errors import InvalidInput
from tasks import content_digest as module
from tasks.content_digest import all_files, content_digest, file_digest, option_paths, tree_digest


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """Remember in a folder of its own."""
    monkeypatch.setenv("RESONANCE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def read(monkeypatch) -> list[str]:
    """Return the names of the files that are really read."""
    names: list[str] = []
    hashed = module._hash
    monkeypatch.setattr(module, "_hash", lambda p: names.append(p.name) or hashed(p))
    return names


@pytest.fixture
def later(monkeypatch) -> None:
    """Let ten seconds have passed since files were written."""
    now = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() + 10_000_000_000)


def folder(path: Path, **files: str) -> Path:
    path.mkdir(exist_ok=True)
    for name, text in files.items():
        (path / name).write_text(text)
    return path


@pytest.mark.usefixtures("later")
def test_a_file_is_read_once_and_again_when_it_changes(tmp_path, read):
    path = folder(tmp_path / "data", a="one") / "a"
    first = file_digest(path)
    assert file_digest(path) == first
    assert read == ["a"]
    about = path.stat()
    path.write_text("two")
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))  # same size and time of content
    assert file_digest(path) != first
    assert read == ["a", "a"]


def test_a_file_that_was_just_written_is_not_remembered(tmp_path, read):
    path = folder(tmp_path / "data", a="one") / "a"
    file_digest(path)
    file_digest(path)
    assert read == ["a", "a"]


@pytest.mark.usefixtures("later")
@pytest.mark.parametrize("damage", ["", "{", "[]", '{"format": 0, "files": {"a": [1]}}'])
def test_a_damaged_or_unusable_cache_only_costs_time(tmp_path, cache, read, damage):
    path = folder(tmp_path / "data", a="one") / "a"
    first = file_digest(path)
    (remembered,) = (cache / "content").iterdir()
    remembered.write_text(damage)
    assert file_digest(path) == first
    assert read == ["a", "a"]


def test_without_a_place_for_the_cache_files_are_read_each_time(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RESONANCE_CACHE", str(tmp_path / "file" / "cache"))
    path = folder(tmp_path / "data", a="one") / "a"
    assert file_digest(path) == file_digest(path)


@pytest.mark.usefixtures("later")
def test_a_tree_counts_by_names_and_content_not_by_its_place(tmp_path, read):
    one = folder(tmp_path / "one", a="1", b="2")
    two = folder(tmp_path / "two", a="1", b="2")
    assert content_digest([one]) == content_digest([two])
    read.clear()
    (two / "b").write_text("3")
    assert content_digest([one]) != content_digest([two])
    assert read == ["b"]
    (two / "b").write_text("2")
    (two / "b").rename(two / "c")
    assert content_digest([one]) != content_digest([two])
    assert content_digest([]) == ""


def test_of_a_very_large_tree_all_names_and_sizes_and_a_fixed_sample_are_read(
    tmp_path, monkeypatch, read
):
    monkeypatch.setattr(module, "MAX_READ", 10)
    monkeypatch.setattr(module, "SAMPLE", 4)
    tree = folder(tmp_path / "tree", **{f"f{i:02}": "x" for i in range(12)})
    first = tree_digest(tree, all_files(tree))
    assert read == ["f00", "f03", "f06", "f09"]
    (tree / "f01").write_text("y")  # not in the sample, same size: stated in docs/tasks.md
    assert tree_digest(tree, all_files(tree)) == first
    (tree / "f01").write_text("yy")
    assert tree_digest(tree, all_files(tree)) != first
    (tree / "f01").write_text("x")
    (tree / "f03").write_text("y")
    assert tree_digest(tree, all_files(tree)) != first


def test_a_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(InvalidInput, match="nothing cannot be read"):
        file_digest(tmp_path / "nothing")


def test_options_that_name_files_are_found(tmp_path, monkeypatch):
    monkeypatch.chdir(folder(tmp_path / "here", plain="", **{"a.csv": ""}))
    beside = folder(tmp_path / "beside", **{"b.csv": "", "a.csv": ""})
    options = {
        "one": "a.csv", "two": "b.csv", "three": "plain", "four": Path("plain"), "five": 3,
        "six": ["missing.csv", str(beside)], "seven": "x\0.csv",
    }  # fmt: skip
    assert option_paths(options, beside) == [
        Path("a.csv"), beside / "a.csv", beside / "b.csv", Path("plain"), beside,
    ]  # fmt: skip
