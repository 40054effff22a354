"""Work in a process with limits: whatever happens there, one line comes back and nothing stays."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from suite.core.errors import InvalidInput
from suite.core.limited_process import Allowance, LimitExceeded, ask
from suite.core.own_packages import ROOT

MODULE = """
import os, sys, time
from pathlib import Path
from suite.core.errors import InvalidInput
from suite.core.limited_process import OutOfMemory, answer, memory_limit

def work(request):
    print("this is no part of the answer")
    if request == "refuse":
        raise InvalidInput("this\\nis refused")
    if request == "fail":
        raise KeyError("x")
    if request == "memory":
        with memory_limit(50 * 2**20):
            return bytes(200 * 2**20)
    if request == "small":
        for size in range(0, 2**18, 2**13):
            many = []
            try:
                with memory_limit(size):
                    for i in range(100_000):
                        many.append({"i": [i]})  # kept while the error is handled
            except OutOfMemory:
                continue
        return b"each time"
    if request == "sleep":
        time.sleep(1000)
    if request == "abort":
        os.abort()
    if request == "much":
        return bytes(3 * 2**20)
    if isinstance(request, dict):
        partial = Path(request["pid"] + ".new")
        partial.write_text(str(os.getpid()))
        partial.rename(request["pid"])
        time.sleep(1000)
    return str(request).encode()

if __name__ == "__main__":
    answer(work)
"""
ENOUGH = Allowance(seconds=600, answer=2**20)
SHORT = Allowance(seconds=2, answer=2**20)


@pytest.fixture(autouse=True)
def module(tmp_path, monkeypatch):
    (tmp_path / "some_work.py").write_text(MODULE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


def asked(request, allowance=ENOUGH):
    return ask("some_work", request, allowance, "reading x")


def test_an_answer_comes_back_without_what_was_printed():
    assert asked(["a", 1]) == b"['a', 1]"


def test_lack_of_memory_is_told_however_little_is_left_to_tell_it_with():
    assert asked("small") == b"each time"


@pytest.mark.parametrize(
    ("request_", "allowance", "kind", "says"),
    [
        ("refuse", ENOUGH, InvalidInput, "^this is refused$"),
        ("fail", ENOUGH, InvalidInput, "reading x failed .KeyError"),
        ("memory", ENOUGH, LimitExceeded, "reading x takes more than the 50 MiB of memory"),
        ("sleep", SHORT, LimitExceeded, "reading x takes more than the 2 seconds"),
        ("abort", ENOUGH, LimitExceeded, "reading x broke down .SIGABRT"),
        ("much", ENOUGH, LimitExceeded, "reading x gives more than the 1 MiB"),
    ],
)
def test_a_limit_is_named_in_one_line(request_, allowance, kind, says):
    with pytest.raises(InvalidInput, match=says) as error:
        asked(request_, allowance)
    assert type(error.value) is kind
    assert "\n" not in str(error.value)


ASK = """
import sys
from suite.core.limited_process import Allowance, ask
ask("some_work", {"pid": sys.argv[1]}, Allowance(1000, 1000), "reading x")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_the_process_ends_with_its_parent(tmp_path, number):
    file = tmp_path / "pid"
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}
    words = [sys.executable, "-c", ASK, str(file)]
    with subprocess.Popen(words, env=environment, stderr=subprocess.DEVNULL) as parent:
        while not file.exists():
            assert parent.poll() is None
            time.sleep(0.02)
        parent.send_signal(number)
        parent.wait()
    child = int(file.read_text())
    while is_working(child):
        time.sleep(0.02)


def is_working(pid):
    """Return whether a process is there; one that ended may wait for whoever adopts it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
