"""The meter of seconds and memory, on processes that hold a known amount."""

import subprocess
import sys

import pytest

from suite.bench import commands
from suite.bench.commands import run_process
from tests.conftest import require

HOLD = """
import subprocess, sys
held = bytearray(b"x") * (int(sys.argv[1]) * 2**20)
if sys.argv[2:]:
    child = subprocess.Popen([sys.executable, "-c", sys.argv[2], *sys.argv[3:]])
else:
    print("held", flush=True)
sys.stdin.read()
"""


def test_output_and_a_wrong_end_are_reported() -> None:
    assert run_process([sys.executable, "-c", "print('done')"]).output == "done\n"
    words = [sys.executable, "-c", "raise SystemExit(3)"]
    with pytest.raises(RuntimeError, match="ended with 3"):
        run_process(words)
    assert run_process(words, ends_with=(3,)).seconds > 0


def test_memory_is_that_of_the_process_and_its_children() -> None:
    require("proc", commands.PROC.exists(), "Linux, which has /proc: memory is read from it")
    words = [sys.executable, "-c", HOLD, "200", HOLD, "300"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        parent, child = (commands._bytes_of(pid) for pid in commands._tree(process.pid))
        process.communicate()
    assert 200 < parent / 2**20 < 250
    assert 300 < child / 2**20 < 350
