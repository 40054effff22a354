"""A lock that was left is removed, and one that is held is waited for and named."""

import fcntl
import os
import subprocess
import sys
import threading

import pytest
from optuna.storages.journal import JournalFileSymlinkLock

from suite.tuning.journal_lock import HELD_SECONDS, LINK_SECONDS, JournalLock, LockHeld


class Clock:
    """Time that passes only while one sleeps; `then` is called at a time."""

    def __init__(self) -> None:
        self.now, self.due, self.then = 0.0, float("inf"), lambda: None

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.now >= self.due:
            self.due = float("inf")
            self.then()

    def at(self, due: float, then) -> None:
        self.due, self.then = due, then


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lock(tmp_path, clock) -> JournalLock:
    (tmp_path / "t.journal").touch()
    return JournalLock(tmp_path / "t.journal", clock, clock.sleep)


def only_the_journal(tmp_path) -> bool:
    return [path.name for path in tmp_path.iterdir()] == ["t.journal"]


def test_a_free_lock_is_taken_at_once_and_leaves_nothing(lock, clock, tmp_path):
    assert lock.acquire()
    assert (tmp_path / "t.journal.lock").readlink() == tmp_path / "t.journal"
    lock.release()
    assert clock.now == 0
    assert only_the_journal(tmp_path)


@pytest.mark.parametrize("target", ["/somewhere/else/t.journal", "t.journal"])
def test_a_link_that_was_left_is_removed_within_30_seconds(lock, clock, tmp_path, target, capsys):
    (tmp_path / "t.journal.lock").symlink_to(target)
    assert lock.acquire()
    assert LINK_SECONDS < clock.now < 30
    assert "t.journal.lock was left by a process that is gone: removed" in capsys.readouterr().err
    lock.release()
    assert only_the_journal(tmp_path)


def test_a_plain_file_in_its_place_is_removed_too(lock, tmp_path):
    (tmp_path / "t.journal.lock").touch()
    assert lock.acquire()
    lock.release()
    assert only_the_journal(tmp_path)


def test_a_link_that_is_given_up_and_made_again_is_not_removed(lock, clock, tmp_path):
    theirs = JournalFileSymlinkLock(str(tmp_path / "t.journal"))
    theirs.acquire()

    def again() -> None:
        theirs.release()
        theirs.acquire()
        clock.at(clock.now + LINK_SECONDS - 1, theirs.release)

    clock.at(LINK_SECONDS - 1, again)
    assert lock.acquire()
    assert clock.now < 2 * LINK_SECONDS
    lock.release()


def test_progress_of_others_is_waited_for(lock, clock, tmp_path):
    journal = tmp_path / "t.journal"
    theirs = JournalLock(journal)
    theirs.acquire()
    turns = iter(range(3))

    def write() -> None:
        with journal.open("ab") as file:
            file.write(b"{}\n")
        done = next(turns, None) is None
        clock.at(clock.now + HELD_SECONDS - 1, theirs.release if done else write)

    clock.at(HELD_SECONDS - 1, write)
    assert lock.acquire()
    assert clock.now > 4 * (HELD_SECONDS - 1)
    lock.release()


def test_a_process_that_runs_keeps_its_lock_and_is_named(lock, clock, tmp_path):
    journal = tmp_path / "t.journal"
    code = (
        "import sys; from pathlib import Path; from suite.tuning.journal_lock import JournalLock; "
        "JournalLock(Path(sys.argv[1])).acquire(); print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, journal], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        with pytest.raises(
            LockHeld, match=rf"locked by process {process.pid}, which runs"
        ) as error:
            lock.acquire()
        assert "\n" not in str(error.value)
        assert HELD_SECONDS < clock.now < 30
        assert (tmp_path / "t.journal.lock").is_symlink()
        first = clock.now
        with pytest.raises(LockHeld):
            lock.acquire()
        assert clock.now - first < 2, "a search that ends waits once"
        process.kill()
    assert lock.acquire(), "its lock of the operating system ended with it"
    lock.release()
    assert only_the_journal(tmp_path)


def test_a_file_system_without_such_locks_is_served(lock, clock, tmp_path, monkeypatch):
    def unsupported(*given) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    (tmp_path / "t.journal.lock").symlink_to("gone")
    assert lock.acquire()
    assert clock.now < 30
    lock.release()


def test_a_wait_that_is_interrupted_leaves_the_link_of_another(lock, clock, tmp_path):
    link = tmp_path / "t.journal.lock"
    link.symlink_to("gone")

    def interrupt() -> None:
        raise KeyboardInterrupt

    clock.at(1, interrupt)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    with pytest.raises(KeyboardInterrupt):
        lock.acquire()
    assert link.is_symlink()
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_threads_exclude_each_other(tmp_path):
    journal = tmp_path / "t.journal"
    journal.write_text("0")

    def add() -> None:
        own = JournalLock(journal)
        for _ in range(25):
            own.acquire()
            journal.write_text(str(int(journal.read_text()) + 1))
            own.release()

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert journal.read_text() == "100"
