"""Every kind of YAML file is read by the same rules."""

import os

import pytest

from leaderboard.reproduction import published_results as papers
from suite.core.errors import InvalidInput
from suite.core.yaml_reader import read_yaml
from suite.experiments.study import load_study
from tasks.taskfile import read_task_file

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [*{old}, *{old}, *{old}, *{old}, *{old}, *{old}, *{old}, *{old}, *{old}]\n"
    for old, new in zip("abcdef", "bcdefg", strict=True)
)


def read(text: str, tmp_path):
    (path := tmp_path / "some.yaml").write_text(text)
    return read_yaml(path, "file some", "a, b")


@pytest.fixture(params=["study", "task file", "published", "table"])
def refusal(request, tmp_path, monkeypatch):
    """Return what gives the one-line refusal of a text, as each kind of file."""

    def refuse(text: str) -> str:
        (folder := tmp_path / "tables").mkdir()
        path = (folder if request.param == "table" else tmp_path) / "x.yaml"
        path.write_text(text)
        monkeypatch.setattr(papers, "FOLDER", tmp_path)
        name = str(path) if request.param in ("study", "task file") else "x"
        load = {
            "study": load_study,
            "task file": lambda _: read_task_file(path),
            "published": papers.published.__wrapped__,
            "table": papers.table.__wrapped__,
        }[request.param]
        with pytest.raises(InvalidInput) as found:
            load(name)
        message = str(found.value)
        assert message.startswith(f"{request.param} {name}")
        assert "\n" not in message
        return message.removeprefix(f"{request.param} {name}")

    return refuse


def test_a_key_that_is_given_twice_is_refused_with_its_place(refusal):
    assert refusal("name: a\nseeds: 3\ntasks: []\nseeds: 5\n") == (
        ": line 4, column 1: 'seeds' is given twice: give it once"
    )


def test_what_is_not_yaml_is_refused_with_its_place(refusal):
    message = refusal("name: a\ntasks: [digits/mlp\nseeds: 3\n")
    assert message.startswith(" is not valid YAML: line 3, column 6: ")


def test_aliases_that_stand_for_too_much_are_refused(refusal):
    assert refusal(BOMB).startswith(": line 5, column 8: its aliases stand for more than 10,000")


def test_a_list_is_refused(refusal):
    assert refusal("[a, b]").startswith(": expected a mapping with ")


def test_a_key_given_twice_is_found_at_every_depth_and_in_every_spelling(tmp_path):
    for text, place in {
        "a:\n  - {b: 1, c: 2, b: 3}": "line 2, column 18: 'b'",
        "a: 1\n'a': 2": "line 2, column 1: 'a'",
    }.items():
        message = f"^file some: {place} is given twice: give it once$"
        with pytest.raises(InvalidInput, match=message):
            read(text, tmp_path)


def test_a_merged_mapping_may_override_what_it_merges(tmp_path):
    text = "a: {b: {c: &base {<<: {x: 1, y: 1}, x: 2}}}\nd: {<<: *base, y: 3}"
    assert read(text, tmp_path) == {"a": {"b": {"c": {"x": 2, "y": 1}}}, "d": {"x": 2, "y": 3}}


@pytest.mark.parametrize(
    "text", ["a: \x07", "a: [", "a: *b", '"\\UFFFFFFFF": 1', "a: b: c", "--- a"]
)
def test_what_no_yaml_can_hold_is_refused_in_one_line(tmp_path, text):
    with pytest.raises(InvalidInput, match=r"^file some(: expected| is not valid YAML: line 1).+$"):
        read(text, tmp_path)


def key_to_mapping(count: int) -> str:
    return "".join(f"k{n}: {n}\n" for n in range(count))


MERGED = "".join(
    f"{new}: &{new} {{<<: [{', '.join([f'*{old}'] * 9)}]}}\n"
    for old, new in zip("abcdefg", "bcdefgh", strict=True)
)


@pytest.mark.parametrize(
    ("text", "words"),
    {
        "a: 2020-13-45": "line 1, column 4: 2020-13-45 is read as a date: put it in quotes",
        "\na: !!float abc": "line 2, column 4: abc is no number",
        "a: !!int b": "b is no number",
        "a: !!bool 3": "3 is no truth value: give true or false",
        "a: " + "9" * 5000: "is a number of 5,000 digits: give fewer",
        "a: 9223372036854775808": "too large a number",
        "a: 1.0e+999": "too large a number",
        "a: !!python/name:os.system ''": "of type !!python/name:os.system is not",
        "a: !own 3": "of type !own is not used here",
        "a: !!binary aGVsbG8=": "of type !!binary is not used here",
        "a: !!set {b, c}": "a mapping of type !!set is not used here",
        "a: !!omap [b: 1]": "a list of type !!omap is not used here",
        "a: no": "YAML reads no as false: write false, or put it in quotes if it is a text",
        "on: 3": "YAML reads on as true",
        "a: 010": "YAML reads 010 as an octal number",
        "a: 12:30": "YAML reads 12:30 as a number of base 60",
        "a: 1e-3": "YAML reads 1e-3 as text: write 1.0e-3, or put it in quotes",
        "a: [=]": "= has a meaning of its own in YAML",
        "a: {1: x}": "'1' is a key and no text",
        "? [a]\n: 1": "a list or a mapping is a key and no text",
        'a: "\\ud800"': "the text has the character U+D800: remove it",
        'a: "\\0"': "the text has the character U+0000: remove it",
        "a: " + "x" * 10_001: "a text of 10,001 characters, more than the 10,000 that are read",
        "a: " + "[" * 51 + "]" * 51: "more than 50 lists and mappings are inside of each other",
        "a: &b [*b]": "*b stands for what it is part of",
        "a: &a {x: 1, y: 2}\n" + MERGED: "its aliases stand for more than 10,000 values",
        key_to_mapping(5_001): "line 5001, column 1: more than 10,000 values",
    }.items(),
    ids=lambda given: given[:20],
)
def test_what_can_be_misread_or_is_too_much_is_refused_with_its_place(tmp_path, text, words):
    with pytest.raises(InvalidInput, match=r"^file some: line \d+, column \d+: ") as refused:
        read(text, tmp_path)
    message = str(refused.value)
    assert words in message
    assert "\n" not in message
    assert len(message) < 300


def test_what_is_as_it_looks_is_read(tmp_path):
    text = "\ufeffa: [1, -2, 0x1f, 1_000, .5, 1.0e-3, .inf, true, null, ~, 'no', \"010\", !!str 3]"
    values = [1, -2, 31, 1000, 0.5, 0.001, float("inf"), True, None, None, "no", "010", "3"]
    assert read(text, tmp_path) == {"a": values}


def test_only_a_plain_file_of_ordinary_size_is_read_and_nothing_blocks(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link.yaml").symlink_to(tmp_path / "file.yaml")
    (tmp_path / "file.yaml").write_text("a: 1")
    with (tmp_path / "large.yaml").open("wb") as file:
        file.truncate(2**36)
    assert read_yaml(tmp_path / "link.yaml", "file x", "a") == {"a": 1}
    for name, words in {
        "pipe": "it is not a plain file",
        "/dev/zero": "it is not a plain file",
        str(tmp_path): "Is a directory",
        "large.yaml": "it is larger than the 500000 bytes allowed",
        "nowhere.yaml": "No such file",
        "x" * 5000: "File name too long",
        "a\0b": "embedded null byte",
    }.items():
        with pytest.raises(InvalidInput, match=f"^file x cannot be read: {words}"):
            read_yaml(tmp_path / name, "file x", "a")


def test_a_file_that_is_no_text_is_refused_with_its_line(tmp_path):
    (tmp_path / "latin.yaml").write_bytes(b"b: 1\na: \xe9")
    with pytest.raises(InvalidInput, match="file x cannot be read: line 2: byte 0xe9 is not UTF-8"):
        read_yaml(tmp_path / "latin.yaml", "file x", "a")
