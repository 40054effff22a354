"""What the documentation shows must work as it stands there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from suite.config import Study
from suite.pages import PAGES

ROOT = Path(__file__).parent.parent


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


@pytest.mark.parametrize(
    ("number", "trial"),
    [
        (0, ["digits/mlp", "random_walk", "-s", "0.9", "--set", "share=0.2"]),
        (1, ["digits/mlp", "random_cut", "-s", "0.9", "--set", "moment=0.3"]),
        (2, ["iris/mlp", "rigl", "-s", "0.8"]),
    ],
)
def test_the_examples_of_extending_run_as_plugins(tmp_path, number, trial):
    plugin = tmp_path / "mine.py"
    plugin.write_text(blocks("docs/extending.md", "python")[number], encoding="utf-8")
    command = [
        sys.executable, "-c", "from suite.cli import main; main()", "--plugin", str(plugin),
        "run", *trial, "--recipe", "epochs=4", "--store", str(tmp_path / "store"),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "test accuracy" in done.stdout


def test_the_loop_in_the_readme_runs_as_it_stands(tmp_path):
    script = tmp_path / "loop.py"
    script.write_text(blocks("README.md", "python")[0], encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("0.900 of the weights are zero")


def test_the_study_in_the_readme_is_valid():
    study = Study.make(**yaml.safe_load(blocks("README.md", "yaml")[0]))
    assert len(study.trials()) == 5 + 5 * 2 * 3


@pytest.mark.parametrize("page", PAGES)
def test_generated_pages_say_what_the_declarations_say(page):
    written = (ROOT / "docs" / page).read_text(encoding="utf-8")
    assert written == PAGES[page](), "run `make docs`"
