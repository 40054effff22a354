"""The package as users have it: built, and installed in an environment of its own."""

import fcntl
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest

from suite.cli import leaderboard
from tests.support.cli_runner import Command
from tests.support.git_repository import commit_all

ROOT = Path(__file__).parents[2]
BUILD = "import sys; from setuptools import build_meta as b; getattr(b, sys.argv[1])(sys.argv[2])"
MADE_OF = ("PYTHON", "RESONANCE_", "WANDB_", "VIRTUAL_ENV")
"""How variables begin that would lead a command elsewhere."""


def build(tree: Path, what: str, out: Path) -> Path:
    """Build an 'sdist', a 'wheel' or an 'editable' with the backend that pyproject.toml names."""
    command = [sys.executable, "-c", BUILD, f"build_{what}", str(out)]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = out.glob("*.tar.gz" if what == "sdist" else "*.whl")
    return built


def copy_of_tree(place: Path) -> Path:
    """Return a copy of what git knows of the project: building leaves traces in the tree."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, place / name)
    return place


@dataclass(frozen=True)
class Installation:
    """An environment that holds the package; its dependencies come from the tests' own."""

    folder: Path
    site: Path

    @classmethod
    def at(cls, folder: Path) -> Self:
        """Return the one in a folder."""
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        return cls(folder, folder / "lib" / version / "site-packages")

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    def run(
        self, words: list[str | Path], cwd: Path, more: Mapping[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """Run a program of it in a folder, without what this environment says about Python."""
        environment = {n: v for n, v in os.environ.items() if not n.startswith(MADE_OF)}
        return subprocess.run(
            [str(self.folder / "bin" / words[0]), *map(str, words[1:])],
            cwd=cwd,
            env=environment | {"OMP_NUM_THREADS": "1"} | (more or {}),
            capture_output=True,
            text=True,
            check=False,
        )


def install(wheel: Path, folder: Path) -> None:
    """Install a wheel, and nothing else, in a new environment."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install",
         "--quiet", "--disable-pip-version-check", "--no-deps", "--no-index", str(wheel)],
        env={n: v for n, v in os.environ.items() if not n.startswith(MADE_OF)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    # A folder on such a line is searched last, and its own .pth files (an editable installation of
    # this very project, for instance) are not read.
    outer = Installation.at(folder).site / "outer.pth"
    outer.write_text(f"{sysconfig.get_path('purelib')}\n")


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Wait until no other process is in here with the same file."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def installation(tmp_path_factory) -> Callable[[str], Installation]:
    """Return a function that installs the package as a 'wheel' or as an 'editable', once each.

    The wheel is built from the sdist alone, as from what a user downloads. All processes of a run
    of the tests use one installation: the folder above theirs is of that run alone.
    """
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    made: dict[str, Installation] = {}

    def make(how: str) -> Installation:
        if how not in made:
            place = shared / f"installed-{how}"
            with alone(shared / f"installed-{how}.lock"):
                if not (place / "is whole").exists():
                    shutil.rmtree(place, ignore_errors=True)  # what a process began that failed
                    _make(how, place)
                    (place / "is whole").touch()
            made[how] = Installation.at(place / "environment")
        return made[how]

    return make


def _make(how: str, place: Path) -> None:
    place.mkdir()
    tree = copy_of_tree(place / "tree")
    commit_all(tree)
    if how == "wheel":
        shutil.unpack_archive(build(tree, "sdist", place), place / "sdist", filter="data")
        (tree,) = (place / "sdist").iterdir()
    install(build(tree, how, place), place / "environment")


@pytest.fixture
def resonance(resonance, monkeypatch) -> Command:
    """Return the command; it builds sites in this process: two more would start for seconds.

    Sites are built by several processes in `test_working_folder`.
    """
    monkeypatch.setattr(leaderboard, "WORKERS", 1)
    return resonance
