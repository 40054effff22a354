"""What is built and installed is whole: no file that the command needs stays behind."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILD = "import sys; from setuptools import build_meta as b; getattr(b, sys.argv[1])(sys.argv[2])"


def build(tree: Path, what: str, out: Path) -> Path:
    """Build an 'sdist' or a 'wheel' of `tree` with the backend that pyproject.toml names."""
    command = [sys.executable, "-c", BUILD, f"build_{what}", str(out)]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = out.glob("*.tar.gz" if what == "sdist" else "*.whl")
    return built


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """Return the folder into which the wheel, built from the sdist alone, was installed."""
    place = tmp_path_factory.mktemp("package")
    tree = place / "tree"  # building leaves traces in the tree it builds
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, tree / name)
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
