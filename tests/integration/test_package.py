"""What is built and installed is whole: no file that the command needs stays behind."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.integration.conftest import ROOT, Installation
from tests.support.git_repository import git


@pytest.fixture
def installed(installation) -> Installation:
    """Return an installation of the wheel, which was built from the sdist alone."""
    return installation("wheel")


def test_every_data_file_of_the_tree_is_installed(installed):
    listed = subprocess.run(
        ["git", "ls-files", "suite", "baselines", "tasks", "leaderboard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert [
        name for name in listed.stdout.split("\n") if not (installed.site / name).exists()
    ] == []


COMMANDS = """
import sys

import suite
from suite.cli import app
from suite.execution import estimate

estimate.PROBE_SECONDS = 0.0  # how long a study takes: a worker would train for seconds
print(suite.__file__)
for line in sys.argv[1:]:
    sys.argv = ["resonance", *line.split()]
    try:
        app.main()
    except SystemExit as end:
        assert not end.code, line
"""


def test_an_installation_has_what_the_command_reads(installed, tmp_path):
    """It trains, and builds the shipped site, in `test_working_folder`."""
    lines = (
        "list studies",
        "study official_small --dry-run",
        "study official --task digits/mlp --dry-run",
        "reproduce rigl-cifar10-wrn22-2 --published-only",
    )
    done = installed.run(["python", "-c", COMMANDS, *lines], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    file, _, shown = done.stdout.partition("\n")
    assert Path(file).is_relative_to(installed.site)
    for words in ("quickstart", "official_small:", "Group official:", "RigL"):
        assert words in shown


def test_an_installation_says_from_which_commit_it_was_built(installed, tmp_path):
    tree = installed.folder.parent / "tree"
    head = git(tree, "rev-parse", "HEAD")
    done = installed.run(["resonance", "--version"], tmp_path)
    assert done.stdout == f"resonance-bench {in_development()} (commit {head[:12]})\n"


def in_development() -> str:
    found = re.search('^IN_DEVELOPMENT = "(.+)"$', (ROOT / "setup.py").read_text(), re.MULTILINE)
    return found[1]


def test_a_release_s_smoke_test_passes_outside_of_the_checkout(installed, tmp_path):
    script = ROOT / ".github" / "scripts" / "smoke_test.py"
    done = installed.run(["python", script, in_development()], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith(f"resonance-bench {in_development()} works\n")
    done = installed.run(["python", script, "0.0.1"], tmp_path)
    assert done.returncode == 1
    assert done.stderr == f"version {in_development()} is installed, not 0.0.1\n"


def test_an_archive_of_the_sources_has_every_file_that_git_knows(installed):
    (unpacked,) = (installed.folder.parent / "sdist").iterdir()
    known = set(git(installed.folder.parent / "tree", "ls-files").splitlines())
    found = {str(path.relative_to(unpacked)) for path in unpacked.rglob("*") if path.is_file()}
    made = {name for name in found - known if not name.startswith("resonance_bench.egg-info/")}
    assert known - found == set()
    assert made <= {"PKG-INFO", "setup.cfg", "suite/built_from.json"} | {
        name
        for name in made
        if name.startswith("build/")  # of the wheel that was built from it
    }


def test_packages_are_typed_for_those_who_import_them(installed):
    for package in ("suite", "baselines", "tasks", "leaderboard"):
        assert (installed.site / package / "py.typed").is_file()


def test_the_package_and_its_citation_say_the_same():
    package = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert package["license"] == citation["license"]
    assert package["keywords"] == citation["keywords"]
    assert package["authors"] == citation["authors"]
    assert package.get("urls", {}).get("Repository") == citation.get("repository-code")


def test_a_user_installs_no_tools_of_development():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    dev = {requirement.split(">")[0] for requirement in project["optional-dependencies"]["dev"]}
    assert {"pytest", "ruff", "mypy", "playwright"} <= dev
    assert not dev & {requirement.split(">")[0] for requirement in project["dependencies"]}


def test_an_installation_with_more_extras_serves_for_the_quickstart():
    (rule,) = (
        x for x in (ROOT / "Makefile").read_text().splitlines() if x.startswith("quickstart:")
    )
    assert rule == "quickstart: $(VENV)/.ready"
