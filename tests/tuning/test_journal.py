"""A journal that cannot be written or read during a search: one line, and nothing half-written."""

import errno
import os
import shutil

import optuna
import pytest

from suite.tuning import journal as module
from suite.tuning.journal import JournalLost, open_journal


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "t.journal"


@pytest.fixture
def study(path):
    return optuna.create_study(study_name="t", storage=open_journal(path))


def names(path) -> set[str]:
    """Return what another process reads from the journal."""
    return set(optuna.load_study(study_name="t", storage=open_journal(path)).user_attrs)


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "No space left on device); finished trials are kept: make room on the disk"),
        (errno.EDQUOT, "make room on the disk"),
        (errno.EFBIG, "raise the limit on the size of files"),
        (errno.EACCES, "Permission denied); finished trials are kept: make it writable"),
        (errno.EIO, "Input/output error); finished trials are kept: check the disk"),
    ],
)
def test_of_a_line_that_does_not_fit_nothing_stays(study, path, monkeypatch, number, remedy):
    study.set_user_attr("first", 1)
    before = path.read_bytes()
    write = os.write

    def full(descriptor, content):
        if len(content) < 40:
            raise OSError(number, os.strerror(number))
        return write(descriptor, content[:40])

    monkeypatch.setattr(module.os, "write", full)
    with pytest.raises(JournalLost) as lost:
        study.set_user_attr("second", 2)
    assert str(lost.value).startswith(f"journal {path} cannot be written (")
    assert str(lost.value).endswith(f"{remedy}, then run the same command to resume")
    assert "\n" not in str(lost.value)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == ["t.journal"]  # noqa: PTH208 - no lock is left
    monkeypatch.undo()
    assert names(path) == {"first"}
    study.set_user_attr("third", 3)
    assert names(path) == {"first", "third"}


def test_lines_before_one_that_does_not_fit_stay_because_others_may_have_read_them(
    path, monkeypatch
):
    path.parent.mkdir()
    path.write_bytes(b"0\n")
    write = os.write

    def full(descriptor, content):
        if len(content) < 6:
            raise OSError(errno.ENOSPC, "full")
        return write(descriptor, content[:6])

    monkeypatch.setattr(module.os, "write", full)
    with pytest.raises(OSError, match="full"):
        module._append(path, b"1234\n5678\n")
    assert path.read_bytes() == b"0\n1234\n"


def gone(path):
    shutil.rmtree(path.parent)


def removed(path):
    path.unlink()


def emptied(path):
    path.write_bytes(b"")


def a_folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (gone, "No such file or directory); finished trials are kept: put it back"),
        (removed, "No such file or directory); finished trials are kept: put it back"),
        (emptied, "it is shorter than it was); finished trials are kept: put it back"),
        (a_folder, "directory"),
    ],
)
def test_a_journal_that_is_gone_is_not_begun_anew(study, path, harm, why):
    study.set_user_attr("first", 1)
    harm(path)
    for use in (lambda: study.user_attrs, lambda: study.set_user_attr("second", 2)):
        with pytest.raises(JournalLost) as lost:
            use()
        assert why in str(lost.value)
        assert not path.is_file() or path.read_bytes() == b""


def test_a_journal_that_was_damaged_meanwhile_is_refused(study, path):
    with path.open("ab") as file:
        file.write(b"no JSON\n{}\n")
    with pytest.raises(JournalLost, match="cannot be read"):
        study.set_user_attr("first", 1)
