"""The version of what is built: a tag's, or the one in development."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.infrastructure.workflows import ROOT
from tests.support.git_repository import commit_all, git

SETUP = (ROOT / "setup.py").read_text(encoding="utf-8")
IN_DEVELOPMENT = re.search('^IN_DEVELOPMENT = "(.+)"$', SETUP, re.MULTILINE)[1]


@pytest.fixture
def tree(tmp_path):
    """Make a small project with this one's way to its version."""
    folder = tmp_path / "tree"
    (folder / "suite").mkdir(parents=True)
    (folder / "suite" / "__init__.py").touch()
    (folder / "setup.py").write_text(SETUP)
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "resonance-bench"\ndynamic = ["version"]\n'
    )
    return folder


def version(folder: Path) -> str:
    words = [sys.executable, "-W", "ignore", "setup.py", "--version"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()[-1]


def test_a_tagged_commit_is_that_version_and_everything_else_is_in_development(tree, tmp_path):
    assert version(tree) == IN_DEVELOPMENT, "without git"
    commit_all(tree)
    assert version(tree) == IN_DEVELOPMENT, "without a tag"
    git(tree, "tag", "v7.8.9rc1")
    assert version(tree) == "7.8.9rc1"
    git(tree, "tag", "--delete", "v7.8.9rc1")
    git(tree, "tag", "v7.8.9")
    assert version(tree) == "7.8.9"
    git(tree, "clone", "--quiet", "--depth=1", f"file://{tree}", str(tmp_path / "shallow"))
    assert version(tmp_path / "shallow") == "7.8.9"
    (tree / "suite" / "__init__.py").write_text("1\n")
    assert version(tree) == IN_DEVELOPMENT, "with uncommitted changes"
    commit_all(tree)
    assert version(tree) == IN_DEVELOPMENT, "after the tag"
    git(tree, "clone", "--quiet", "--depth=1", f"file://{tree}", str(tmp_path / "later"))
    assert version(tmp_path / "later") == IN_DEVELOPMENT


def test_the_version_in_development_is_the_changelog_s_newest():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## (\S+)", changelog, re.MULTILINE)[1]
    assert f"{newest}.dev0" == IN_DEVELOPMENT


def test_what_is_cited_is_the_newest_release():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    released = re.findall(r"^## (\S+)(?! \(unreleased\))(?:$| \()", changelog, re.MULTILINE)
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {released[0]}\n" in citation
