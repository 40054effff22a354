"""Work on files of strangers in a process of its own, with limits on memory and time.

The parent calls `ask` with the name of a module. That module, run as ``__main__``, calls `answer`
with the function that does the work, and the function puts `memory_limit` around what handles the
file. What comes back is bytes (JSON, never a pickle) of a limited length. The process ends when its
answer is read, when a limit is reached, and when its parent ends in whatever way.
"""

import contextlib
import json
import os
import resource
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from suite.core.errors import InvalidInput
from suite.core.own_packages import command

MAX_STATUS = 4000
"""Bytes of the line before an answer."""
BLOCK = 2**20
SECONDS_TO_END = 10
"""That a process has after its answer; it needs none."""
ALLOCATION_FAILED = ("can't allocate memory", "not enough memory", "out of memory")
"""How torch says it, in a RuntimeError."""


class LimitExceeded(InvalidInput):
    """Work on a file took more memory or time than it may."""


@dataclass(frozen=True)
class Allowance:
    """What a process may take: seconds (of the clock, and of processors), bytes of its answer."""

    seconds: int
    answer: int


def ask(
    module: str, request: Any, allowance: Allowance, what: str, *, show_errors: bool = False
) -> bytes:
    """Return what a module answers to a request (given as JSON), run in a process of its own.

    Args:
        module: its `main` calls `answer`.
        request: JSON-ready.
        allowance: of time and of the answer's length; memory is limited by the module.
        what: is done, for messages: "reading a.jsonl.gz".
        show_errors: let the process write to standard error, a progress bar for instance.

    Raises:
        LimitExceeded: it took too much memory or time, or answered too much.
        InvalidInput: the module's function raised it, or the process broke down.
    """
    process = start(module, None if show_errors else subprocess.DEVNULL)
    try:
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            given = json.dumps({"request": request, "seconds": allowance.seconds})
            process.stdin.write(given.encode() + b"\n")
            process.stdin.flush()  # and left open: that it closes tells that the parent has ended
        content = _read(process, allowance, what)
        return _judged(content, process, allowance, what)
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()


def start(module: str, errors: int | None) -> subprocess.Popen[bytes]:
    """Start a module; its standard error goes to `errors`, if that is None to this process's."""
    return subprocess.Popen(
        command(module),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        start_new_session=True,  # Ctrl-C reaches this process, which ends that one
    )


def _read(process: subprocess.Popen[bytes], allowance: Allowance, what: str) -> bytearray:
    """Return what the process writes, until it closes its output."""
    assert process.stdout is not None
    content = bytearray()
    deadline = time.monotonic() + allowance.seconds
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            if not selector.select(max(0.0, deadline - time.monotonic())):
                raise _too_long(allowance, what)
            block = os.read(process.stdout.fileno(), BLOCK)
            if not block:
                return content
            content += block
            if len(content) > allowance.answer + MAX_STATUS:
                raise LimitExceeded(
                    f"{what} gives more than the {allowance.answer >> 20} MiB allowed: split the "
                    "file, or leave it out"
                )


def _judged(
    content: bytearray, process: subprocess.Popen[bytes], allowance: Allowance, what: str
) -> bytes:
    """Return the answer, or raise what its status or the way the process ended says."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(SECONDS_TO_END)
    code = process.returncode
    if code == -signal.SIGXCPU:
        raise _too_long(allowance, what)
    if code != 0:
        raise LimitExceeded(
            f"{what} broke down ({_ending(code)}), most often for lack of memory: split the file, "
            "or leave it out"
        )
    status, _, rest = content.partition(b"\n")
    kind, _, message = status.decode(errors="replace").partition(" ")
    if kind == "memory":
        raise LimitExceeded(
            f"{what} takes more than the {message} of memory allowed: split the file, or leave it "
            "out"
        )
    if kind == "refused":
        raise InvalidInput(message)
    if kind != "done":
        raise InvalidInput(f"{what} failed ({message}): leave it out, and report this")
    return bytes(rest)


def _too_long(allowance: Allowance, what: str) -> LimitExceeded:
    return LimitExceeded(
        f"{what} takes more than the {allowance.seconds} seconds allowed: split the file, or leave "
        "it out"
    )


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        with contextlib.suppress(ValueError):
            return signal.Signals(-code).name
    return f"exit code {code}"


# ------------------------------------------------------------------ in the process itself


class OutOfMemory(Exception):
    """Work inside `memory_limit` needed more; the message is how much is allowed."""


def answer(work: Callable[[Any], bytes]) -> NoReturn:
    """Answer the request that `ask` wrote, from the main program of a module."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is no part of the answer
    given = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    seconds = given["seconds"]
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
    content = b""
    try:
        content = work(given["request"])
        status = "done"
    except OutOfMemory as error:
        status = f"memory {error}"
    except InvalidInput as error:
        status = f"refused {error}"
    except Exception as error:
        status = f"failed {type(error).__name__}: {error}"
    line = " ".join(status.split()).encode(errors="backslashreplace")
    out.write(line[: MAX_STATUS - 1] + b"\n" + content)
    out.close()
    os._exit(0)  # whatever libraries still do at their end


def _end_with_parent() -> None:
    """End this process when its parent has closed the other end of standard input."""
    with contextlib.suppress(OSError):
        while os.read(0, 1024):
            pass
    os._exit(1)


class memory_limit:  # noqa: N801 - used as a function, like contextlib.suppress
    """Let the block take at most `size` more bytes of memory; where Linux does not say, any.

    Memory that is only mapped (libraries) is not counted.

    Raises:
        OutOfMemory: it needed more.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._exceeded = OutOfMemory(f"{size >> 20} MiB")
        self._before = resource.getrlimit(resource.RLIMIT_DATA)

    def __enter__(self) -> None:
        taken = _data_bytes()
        if taken is not None:
            resource.setrlimit(resource.RLIMIT_DATA, (taken + self._size, self._before[1]))

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        # First, and with values made before: while the limit holds, there may be no memory even
        # for handling the error.
        resource.setrlimit(resource.RLIMIT_DATA, self._before)
        if isinstance(error, MemoryError) or (
            isinstance(error, RuntimeError)
            and any(words in str(error) for words in ALLOCATION_FAILED)
        ):
            raise self._exceeded from error


def _data_bytes() -> int | None:
    """Return what counts against RLIMIT_DATA; None where that is unknown."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmData:"):
                return int(line.split()[1]) * 1024
    return None
