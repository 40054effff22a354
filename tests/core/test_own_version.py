"""The version and the commit: of a checkout from git, of what was built from what was written."""

import json

import pytest

import suite
from suite.core import own_version
from suite.core.own_version import Commit
from tests.support.git_repository import commit_all, git


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Take a folder `suite` for the package, and forget what was read of the real one."""
    folder = tmp_path / "suite"
    folder.mkdir()
    (folder / "code.py").write_text("1\n")
    monkeypatch.setattr(own_version, "_SUITE", folder)
    own_version.commit.cache_clear()
    yield folder
    own_version.commit.cache_clear()


def test_a_checkout_is_asked_for_its_commit_and_for_changes(package):
    head = commit_all(package.parent)
    (package / "new.py").write_text("not known to git\n")
    assert own_version.commit() == Commit(head, dirty=False)
    (package / "code.py").write_text("2\n")
    assert own_version.commit() == Commit(head, dirty=False), "git is asked once"
    own_version.commit.cache_clear()
    assert own_version.commit() == Commit(head, dirty=True)
    assert str(own_version.commit()) == f"commit {head[:12]}, with uncommitted changes"


def test_what_was_built_says_what_from_but_a_checkout_knows_better(package):
    (package / "built_from.json").write_text(json.dumps({"commit": "a" * 40, "dirty": True}))
    assert own_version.commit() == Commit("a" * 40, dirty=True)
    head = commit_all(package.parent)
    own_version.commit.cache_clear()
    assert own_version.commit() == Commit(head, dirty=False)


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"commit": 1'])
def test_without_either_the_commit_is_not_known(package, content):
    if content is not None:
        (package / "built_from.json").write_text(content)
    assert own_version.commit() is None


def test_a_repository_without_a_commit_is_no_error(package):
    git(package.parent, "init", "--quiet")
    assert own_version.commit() is None


def test_a_copy_that_nobody_installed_has_a_version_that_says_so(monkeypatch):
    assert suite.__version__ == own_version.version()
    monkeypatch.setattr(own_version, "NAME", "no-such-distribution")
    own_version.version.cache_clear()
    assert own_version.version() == "0+unknown"
    own_version.version.cache_clear()
