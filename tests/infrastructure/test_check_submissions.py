"""What a pull request submits is found, checked and reported."""

import pytest

from tests.infrastructure.scripts import load
from tests.support.git_repository import commit_all, git

script = load("check_submissions")
FOLDER = "leaderboard/submissions"


@pytest.fixture
def repository(tmp_path):
    """Make a repository with two bundles and return it; the next commit is the request's."""
    (tmp_path / FOLDER).mkdir(parents=True)
    for name in ("kept.jsonl.gz", "removed.jsonl.gz", "changed.jsonl.gz"):
        (tmp_path / FOLDER / name).write_text(name)
    commit_all(tmp_path)
    return tmp_path


def test_new_and_changed_bundles_are_found_whatever_their_names(repository):
    odd = "-rf 'x' $(id)\nü.jsonl.gz"
    (repository / FOLDER / odd).write_text("new")
    (repository / FOLDER / "changed.jsonl.gz").write_text("other")
    (repository / FOLDER / "removed.jsonl.gz").unlink()
    (repository / FOLDER / "README.md").write_text("not a bundle")
    (repository / "leaderboard" / "elsewhere.jsonl.gz").write_text("not submitted")
    commit_all(repository)
    found = script.changed_bundles("HEAD^1", repository)
    assert sorted(found) == sorted([f"{FOLDER}/{odd}", f"{FOLDER}/changed.jsonl.gz"])


def test_a_request_without_bundles_passes(repository):
    (repository / FOLDER / "allowed_signers").write_text("somebody")
    commit_all(repository)
    assert script.changed_bundles("HEAD^1", repository) == []
    passed, text = script.report([])
    assert passed
    assert "is new or changed" in text


def test_one_bad_bundle_fails_all_and_every_one_is_reported(monkeypatch):
    printed = {"a.jsonl.gz": (True, "no error\n"), "b.jsonl.gz": (False, "x" * 60_000)}
    monkeypatch.setattr(script, "check", lambda bundle, root: printed[bundle])
    passed, text = script.report(list(printed))
    assert not passed
    assert "a.jsonl.gz: passed\n\nno error\n" in text
    assert "b.jsonl.gz: NOT passed" in text
    assert len(text) < 55_000
    assert text.endswith("the log of the job has the rest\n")


def test_a_file_that_is_no_bundle_is_an_error_of_its_own(tmp_path):
    (tmp_path / "bad.jsonl.gz").write_text("not gzip")
    passed, text = script.check(str(tmp_path / "bad.jsonl.gz"))
    assert not passed
    assert "bad.jsonl.gz" in text


def test_git_that_fails_is_no_empty_request(repository):
    git(repository, "rev-parse", "HEAD")
    with pytest.raises(script.subprocess.CalledProcessError):
        script.changed_bundles("HEAD^1", repository)  # it has one commit
