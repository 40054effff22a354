"""Every kind of YAML file is read by the same rules."""

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
    assert refusal(BOMB).startswith(": its aliases stand for")


def test_a_list_is_refused(refusal):
    assert refusal("[a, b]").startswith(": expected a mapping with ")


def test_a_key_given_twice_is_found_at_every_depth_and_in_every_spelling(tmp_path):
    for text, place in {
        "a:\n  - {b: 1, c: 2, b: 3}": "line 2, column 18: 'b'",
        "a: {1: x, 0x1: y}": "line 1, column 11: '0x1'",
        "a: 1\n'a': 2": "line 2, column 1: 'a'",
    }.items():
        message = f"^file some: {place} is given twice: give it once$"
        with pytest.raises(InvalidInput, match=message):
            read(text, tmp_path)


def test_a_merged_mapping_may_override_what_it_merges(tmp_path):
    text = "a: {b: {c: &base {<<: {x: 1, y: 1}, x: 2}}}\nd: {<<: *base, y: 3}"
    assert read(text, tmp_path) == {"a": {"b": {"c": {"x": 2, "y": 1}}}, "d": {"x": 2, "y": 3}}


@pytest.mark.parametrize(
    "text", ["a: 2020-13-45", "a: !!int b", "a: \x07", "a: !!python/name:os.system"]
)
def test_a_value_that_cannot_be_built_is_refused_in_one_line(tmp_path, text):
    with pytest.raises(InvalidInput, match="^file some is not valid YAML: .+$"):
        read(text, tmp_path)


def test_a_file_that_is_not_there_or_is_no_text_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match="file x cannot be read: No such file"):
        read_yaml(tmp_path / "nowhere.yaml", "file x", "a")
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9")
    with pytest.raises(InvalidInput, match="file x cannot be read: 'utf-8' codec"):
        read_yaml(tmp_path / "latin.yaml", "file x", "a")
