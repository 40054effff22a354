"""Keys that must not reach a record or a log, and YAML that wants to be more than data."""

import json

import pytest

from suite.core.errors import InvalidInput
from suite.experiments.study import load_study

SECRET = "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567"
LEAKY = """
import os
from suite.core.declarations import Method
from suite.sparsity.sparsifier import Sparsifier

METHOD = Method("leaky", "t", title="l", summary="l", implementation="Leaky", family="t")


class Leaky(Sparsifier):
    def start(self):
        self.draw_masks()

    def after_step(self, step):
        if step == 3:
            raise RuntimeError(f"no access with key {os.environ['WANDB_API_KEY']}")
"""


def test_a_key_in_the_message_of_a_failure_reaches_neither_store_nor_screen(
    resonance, place, monkeypatch
):
    monkeypatch.setenv("WANDB_API_KEY", SECRET)
    (place / "leaky.py").write_text(LEAKY)
    for more in ("", "--json"):
        line = f"--plugin leaky.py run digits/mlp leaky --recipe epochs=1 --overwrite always {more}"
        result = resonance(line)
        assert result.code == 1
        assert "no access with key [secret]" in result.err
        assert SECRET not in result.out + result.err
    written = [p.read_bytes() for p in (place / "results").rglob("*") if p.is_file()]
    assert any(b"no access with key [secret]" in content for content in written)
    assert not any(SECRET.encode() in content for content in written)
    assert SECRET not in resonance("status").out + resonance("status --json").out


def test_a_record_says_nothing_of_the_machines_user_folders_or_variables(
    resonance, place, monkeypatch
):
    monkeypatch.setenv("MY_OWN_VARIABLE", "a-value-that-nobody-else-has")
    result = resonance("run digits/mlp static --recipe epochs=1 --json")
    key = json.loads(result.out)["key"]
    text = (place / "results" / "trials" / key / "record.json").read_text()
    assert "a-value-that-nobody-else-has" not in text
    assert str(place) not in text


@pytest.mark.parametrize(
    "text",
    [
        "name: !!python/object/apply:os.system ['touch owned']",
        "name: !!python/name:os.system",
        "!!python/object/new:os.system ['touch owned']",
        "name: !include /etc/passwd",
    ],
)
def test_yaml_is_data_only(place, text):
    (place / "study.yaml").write_text(text)
    with pytest.raises(InvalidInput, match="not valid YAML"):
        load_study("study.yaml")
    assert not (place / "owned").exists()


def bomb(levels: int) -> str:
    """Return a study whose task is 10 ** levels values, in a few lines."""
    lines = ["name: n", "question: q", "methods: [static]", "sparsities: [0.9]", "seeds: 1"]
    lines += ["recipe:", "  a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"  a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join([*lines, f"tasks: [*a{levels - 1}]"])


@pytest.mark.parametrize("text", [bomb(12), "name: n\nrecipe: &a {epochs: [*a]}\ntasks: *a"])
def test_yaml_that_repeats_itself_without_end_is_refused_at_once(place, text):
    (place / "study.yaml").write_text(text)
    with pytest.raises(InvalidInput, match="aliases stand for") as refused:
        load_study("study.yaml")
    assert len(str(refused.value)) < 200


def test_a_few_aliases_are_fine(place):
    (place / "study.yaml").write_text(
        "name: n\nquestion: q\ntasks: [digits/mlp]\nseeds: 1\n"
        "methods: [{name: static, set: &s {distribution: erk}}, {name: magnitude, set: *s}]\n"
        "sparsities: [0.9]\n"
    )
    assert len(load_study("study.yaml").trials()) == 2


@pytest.mark.parametrize("name", ["../../escape", "/etc/cron.d/x", "a/b", "", ".."])
def test_a_study_named_by_a_path_is_refused(place, name):
    (place / "study.yaml").write_text(
        f"name: {json.dumps(name)}\nquestion: q\ntasks: [digits/mlp]\nmethods: [static]\n"
        "sparsities: [0.9]\nseeds: 1\n"
    )
    with pytest.raises(InvalidInput, match="name"):
        load_study("study.yaml")
