"""What is remembered of charts is used only if it is what would be made."""

import pytest

from leaderboard.boards import Entry
from leaderboard.charts import board_specifications, remembered
from leaderboard.charts.board_specifications import specification
from leaderboard.charts.theme import styles


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(remembered, "CACHE", tmp_path)
    return tmp_path


def made(name: str, text: str) -> tuple[str, bool]:
    """Return what is remembered, and whether it had to be made."""
    calls = []
    return remembered.remembered(name, lambda: calls.append(1) or text), bool(calls)


def test_a_text_is_made_once_for_each_name(cache):
    assert made("one", "text") == ("text", True)
    assert made("one", "another") == ("text", False)
    assert made("two", "another") == ("another", True)


@pytest.mark.parametrize(
    "harm", [lambda b: b[:-1], lambda b: b + b"x", lambda b: b"\xff", lambda b: b""]
)
def test_a_damaged_file_is_not_used(cache, harm):
    made("one", "a text")
    path = cache / "one"
    path.write_bytes(harm(path.read_bytes()))
    assert made("one", "a new text") == ("a new text", True)
    assert made("one", "") == ("a new text", False)


def test_a_file_of_another_name_is_not_used(cache):
    made("one", "text")
    (cache / "one").rename(cache / "two")
    assert made("two", "another") == ("another", True)


def test_it_is_written_whole_or_not_at_all(cache, monkeypatch):
    def full(path, content, *, sync=True):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(remembered, "atomic_write", full)
    assert made("one", "text") == ("text", True)
    assert list(cache.iterdir()) == []


def test_charts_of_other_styles_or_code_are_others(cache, monkeypatch):
    few, many = (styles([Entry(m, "") for m in names]) for names in (("rigl",), ("rigl", "set")))
    for looks, code in ((few, "a"), (many, "a"), (many, "b")):
        monkeypatch.setattr(board_specifications, "code_digest", lambda code=code: code)
        board_specifications._specification.cache_clear()
        specification("accuracy", looks)
    assert len(list(cache.iterdir())) == 3
    board_specifications._specification.cache_clear()
    assert specification("accuracy", many) == specification("accuracy", many)
    assert len(list(cache.iterdir())) == 3


def test_a_user_without_a_home_makes_each_anew(monkeypatch):
    def none():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(remembered.Path, "home", none)
    assert made("one", "text") == ("text", True)
    assert made("one", "another") == ("another", True)
