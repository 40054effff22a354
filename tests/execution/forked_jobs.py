"""Jobs of submitit's local executor that start at once: forked, as commands are.

submitit starts an interpreter for the controller of a job and one for its task, and the task one
for the server of its worker. Here each is forked from a process that has imported torch
(`tests.support.forked`); what they do, and the signals between them, are submitit's own.
"""

import os
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import IO

import pytest

from tests.support import forked


def use(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let submitit's local executor fork the controllers of its jobs."""
    from submitit.local import local

    monkeypatch.setattr(local, "subprocess", SimpleNamespace(Popen=start_controller))


def start_controller(
    words: list[str], *, shell: bool, env: Mapping[str, str]
) -> forked.ForkedCommand:
    """Start the controller of a job, in place of `subprocess.Popen`."""
    _, *module, folder = words
    assert module == ["-m", "submitit.local._local"]
    assert not shell
    call = "tests.execution.forked_jobs:control"
    return forked.start([folder], cwd=Path.cwd(), stdout=1, stderr=2, env=env, call=call)


def control() -> None:
    """Be the controller of the job in the folder that the command line names."""
    from submitit.local import local

    local.subprocess = SimpleNamespace(Popen=Task)
    local.Controller(Path(sys.argv[1])).run()


class Task:
    """The task of a job, with what its controller uses of `subprocess.Popen`."""

    def __init__(
        self,
        words: list[str],
        *,
        shell: bool,
        env: Mapping[str, str],
        stderr: IO[str],
        stdout: IO[str],
        encoding: str,
    ) -> None:
        *_, option, module, folder = words
        assert (option, module, shell, encoding) == (
            "-m", "submitit.core._submit", False, "utf-8",
        )  # fmt: skip
        self.returncode: int | None = None
        self._pid = os.fork()
        if self._pid == 0:
            _become_task(folder, env, stdout, stderr)

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal; None while it runs."""
        if self.returncode is None:
            ended, status = os.waitpid(self._pid, os.WNOHANG)
            if ended:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        if self.poll() is None:
            os.kill(self._pid, number)


def _become_task(
    folder: str, variables: Mapping[str, str], stdout: IO[str], stderr: IO[str]
) -> None:
    from submitit.core.submission import submitit_main

    code: object = 1
    try:
        for standard, file in ((1, stdout), (2, stderr)):
            os.dup2(file.fileno(), standard)
        os.environ.clear()
        os.environ.update(variables)
        sys.argv = ["submitit", folder]
        submitit_main()
        code = 0
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code & 0xFF if isinstance(code, int) else 1)
