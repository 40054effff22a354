"""What is built and installed is whole: no file that the command needs stays behind."""

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

from tests.integration.conftest import ROOT, build, copy_of_tree


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """Return the folder into which the wheel, built from the sdist alone, was installed."""
    place = tmp_path_factory.mktemp("package")
    tree = copy_of_tree(place / "tree")
    shutil.unpack_archive(build(tree, "sdist", place), place / "sdist", filter="data")
    (unpacked,) = (place / "sdist").iterdir()
    with zipfile.ZipFile(build(unpacked, "wheel", place)) as wheel:
        wheel.extractall(place / "site")  # all that installing pure Python amounts to
    return place / "site"


@pytest.fixture
def resonance(installed, tmp_path):
    """Return the installed command, run in an empty folder."""

    def run(*words: str) -> str:
        # -P: what is imported is the installation, not what lies in the folder.
        code = f"import suite; assert suite.__file__.startswith({str(installed)!r}), suite.__file__"
        command = [sys.executable, "-P", "-c", f"{code}\nfrom suite.cli.app import main; main()"]
        environment = os.environ | {"PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [*command, *words],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_every_data_file_of_the_tree_is_installed(installed):
    listed = subprocess.run(
        ["git", "ls-files", "suite", "baselines", "tasks", "leaderboard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert [name for name in listed.stdout.split("\n") if not (installed / name).exists()] == []


def test_an_installation_runs_a_trial_and_builds_the_shipped_site(resonance, tmp_path):
    resonance("run", "digits/mlp", "rigl", "-s", "0.9", "--recipe", "epochs=1")
    assert "quickstart" in resonance("list", "studies")
    resonance("study", "official_digits", "--dry-run")
    resonance("reproduce", "rigl-cifar10-wrn22-2", "--published-only")
    resonance("leaderboard", "build", "--shipped", "--out", "site")
    assert (tmp_path / "site" / "index.html").is_file()


def test_packages_are_typed_for_those_who_import_them(installed):
    for package in ("suite", "baselines", "tasks", "leaderboard"):
        assert (installed / package / "py.typed").is_file()


def test_the_package_and_its_citation_say_the_same():
    package = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert package["version"] == citation["version"]
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
