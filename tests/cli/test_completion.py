"""What the shell is given to complete, through the protocol of bash and of zsh."""

import json
import subprocess
import sys
from collections.abc import Callable

import pytest

from suite.experiments.study import shipped_studies

PLUGIN = """
from suite.core.declarations import Method
METHOD = Method("toy", "ours", title="Toy", summary="none", implementation="Toy",
                family="dense", dense=True)
"""
OFFICIAL = [name for name in shipped_studies() if name.startswith("official_")]


@pytest.fixture
def bash(resonance, monkeypatch) -> Callable[[str], list[str]]:
    """Return a function that completes the last word of a line, as bash asks for it."""

    def complete(line: str) -> list[str]:
        monkeypatch.setenv("_RESONANCE_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(line.count(" ")))
        result = resonance("")
        assert (result.code, result.err) == (0, "")
        return result.out.split()

    return complete


@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("resonance st", ["study", "status", "store"]),
        ("resonance --vers", ["--version"]),
        ("resonance study --dry", ["--dry-run"]),
        ("resonance study quick", ["quickstart"]),
        ("resonance study offici", [*OFFICIAL, "official"]),
        ("resonance study quickstart --task digits/m", ["digits/mlp"]),
        ("resonance ablate offici", OFFICIAL),
        ("resonance info offici", [*OFFICIAL, "official"]),
        ("resonance wandb push --study offici", OFFICIAL),
        ("resonance submit --study offici", [*OFFICIAL, "official"]),
        ("resonance status offici", [*OFFICIAL, "official"]),
        ("resonance list trials --study offici", [*OFFICIAL, "official"]),
        ("resonance run digits/m", ["digits/mlp"]),
        ("resonance run digits/mlp snf", ["snfs"]),
        ("resonance tune rigl --task digits/", ["digits/mlp"]),
        ("resonance ablate ablate_w", ["ablate_window_cooldown"]),
        ("resonance list stu", ["studies"]),
        ("resonance info fashion_a", ["fashion_anchors"]),
        ("resonance reproduce gmp", ["gmp-resnet50"]),
        ("resonance compare rigl snf", ["snfs"]),
        ("resonance compare --task digits/m", ["digits/mlp"]),
        ("resonance status quick", ["quickstart"]),
        ("resonance wandb push --study quick", ["quickstart"]),
        ("resonance list trials --method snf", ["snfs"]),
        ("resonance list trials --study quick", ["quickstart"]),
        ("resonance submit --method snf", ["snfs"]),
        ("resonance run nosuch", []),
    ],
)
def test_bash_completes_verbs_options_and_values(bash, line, completed):
    assert bash(line) == completed


def test_what_a_plugin_declares_is_completed_and_a_broken_one_is_not_in_the_way(bash, place):
    (place / "toy.py").write_text(PLUGIN)
    assert "toy" in bash("resonance --plugin toy.py run digits/mlp to")
    (place / "broken.py").write_text("METHOD = (")
    assert bash("resonance --plugin broken.py run digits/mlp ri") == []


def test_zsh_is_told_what_each_value_is(resonance, monkeypatch):
    monkeypatch.setenv("_RESONANCE_COMPLETE", "complete_zsh")
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", "resonance run digits/mlp sni")
    result = resonance("")
    assert result.code == 0
    assert result.out.startswith('_arguments \'*: :(("snip":"')
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", "resonance tu")
    assert '"tune":"Tune methods on validation data' in resonance("").out


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_the_script_of_a_shell_is_shown(resonance, monkeypatch, shell):
    monkeypatch.setattr("typer.completion._get_shell_name", lambda: shell)
    result = resonance("--show-completion")
    assert result.code == 0
    assert "_RESONANCE_COMPLETE" in result.out
    assert f"complete_{shell}" in result.out


def test_nothing_heavy_is_imported(place):
    code = (
        "import json, os, sys\n"
        "from suite.cli import app\n"
        "for environment in json.loads(sys.argv[1]):\n"
        "    os.environ.update(environment)\n"
        "    sys.argv = ['resonance']\n"
        "    try:\n"
        "        app.main()\n"
        "    except SystemExit:\n"
        "        pass\n"
        "    found = sorted({'torch', 'polars', 'optuna'} & sys.modules.keys())\n"
        "    print('then', found, flush=True)\n"
    )
    lines = ("resonance ", "resonance run digits/mlp ", "resonance tune rigl --task ")
    words = [sys.executable, "-c", code, json.dumps([_environment(line) for line in lines])]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=300)
    assert ended.stderr == ""
    answers = ended.stdout.split("then []\n")
    assert [bool(answer) for answer in answers] == [True, True, True, False], ended.stdout


def _environment(line: str) -> dict[str, str]:
    asked = {"_RESONANCE_COMPLETE": "complete_bash", "COMP_WORDS": line}
    return asked | {"COMP_CWORD": str(line.count(" "))}
