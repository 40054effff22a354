"""Processes in a PID namespace of their own, as in a container: same machine, other numbers."""

import functools
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.conftest import require

ROOT = Path(__file__).parents[2]
UNSHARE = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
AS_USER = ["unshare", "--user", "--map-root-user", *UNSHARE[1:]]
LATER = 'for number in $(seq 40); do /bin/true; done; "$@"; exit $?'
"""Shell: run a command whose number is one that a fresh namespace does not have."""


@functools.cache
def _unshare() -> list[str] | None:
    for words in (UNSHARE, AS_USER):
        try:
            if subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0:
                return words
        except FileNotFoundError:
            break
    return None


def namespace() -> list[str]:
    """Return the words before a command that runs it in a PID namespace of its own.

    The command is the first process there. The test is skipped where that is not permitted.
    """
    words = _unshare()
    require("pid_namespaces", words is not None, "run as root, or allow user namespaces")
    assert words is not None
    return words


def in_new_namespace(code: str, *words: object, later: bool = False) -> "subprocess.Popen[str]":
    """Start Python in a namespace of its own; with `later` its number is a large one."""
    before = ["sh", "-c", LATER, "sh"] if later else []
    command = [*namespace(), *before, sys.executable, "-c", code, *map(str, words)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    return subprocess.Popen(command, cwd=ROOT, text=True, **pipes)
