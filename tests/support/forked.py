"""`resonance` as a real process that starts at once: forked from a server that has imported torch.

Tests of kills, signals and shared stores need a real process; importing torch in each of them would
only take time. A forked command is an ordinary process otherwise: it has its own session if
`new_session`, its own environment, folder and pipes, and starts its workers itself. Where
multiprocessing would start an interpreter for the server of the workers, the command is forked once
more: the processes and who ends with whom are the same, without importing everything again.
"""

import atexit
import contextlib
import gc
import importlib
import json
import multiprocessing.util
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

ROOT = Path(__file__).parents[2]
_server: tuple[int, socket.socket, "subprocess.Popen[bytes]"] | None = None
"""Process that started the server, its socket, the server: one per process that runs tests."""


class ForkedCommand:
    """A running command, with the methods of `subprocess.Popen` that tests use."""

    def __init__(self, pid: int, status: int, pipes: dict[str, BinaryIO], *, text: bool) -> None:
        self.pid, self.returncode = pid, None
        self._status, self._text = status, text
        self.stdin = pipes.pop("stdin", None)
        self.stdout, self.stderr = pipes.get("stdout"), pipes.get("stderr")
        self._pipes = pipes

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal; None while it runs."""
        if self.returncode is None and select.select([self._status], [], [], 0)[0]:
            self._read_status()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; return the exit code."""
        if self.returncode is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(["resonance"], timeout or 0.0)
            self._read_status()
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[Any, Any]:
        """Wait for the end; return what it wrote to its pipes."""
        end = None if timeout is None else time.monotonic() + timeout
        found, waiting = dict.fromkeys(self._pipes, b""), dict(self._pipes)
        while waiting:
            left = None if end is None else max(0.0, end - time.monotonic())
            ready = select.select(list(waiting.values()), [], [], left)[0]
            if not ready:
                raise subprocess.TimeoutExpired(["resonance"], timeout or 0.0)
            for name in [name for name, pipe in waiting.items() if pipe in ready]:
                chunk = os.read(waiting[name].fileno(), 2**16)
                found[name] += chunk
                if not chunk:
                    waiting.pop(name).close()
        self.wait(None if end is None else max(0.0, end - time.monotonic()))
        texts = {n: content.decode() if self._text else content for n, content in found.items()}
        return texts.get("stdout"), texts.get("stderr")

    def send_signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def deliver(self, number: int) -> None:
        """Send a signal, and wait until it has arrived: of two of a kind that wait one is lost."""
        self.send_signal(number)
        while self.poll() is None and _is_pending(self.pid, number):
            time.sleep(0.005)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def _read_status(self) -> None:
        content = os.read(self._status, 64)
        os.close(self._status)
        self.returncode = int(content) if content else -int(signal.SIGKILL)


def _is_pending(pid: int, number: int) -> bool:
    """Return whether a signal to a process has not arrived at any of its threads yet."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    waiting = int(status.partition("\nShdPnd:")[2].split()[0], 16)
    return bool(waiting >> (number - 1) & 1)


def start(
    words: list[str],
    *,
    cwd: Path,
    stdin: int | None = subprocess.DEVNULL,
    stdout: int | None = subprocess.PIPE,
    stderr: int | None = subprocess.PIPE,
    new_session: bool = False,
    text: bool = False,
    env: Mapping[str, str] | None = None,
    call: str = "suite.__main__:main",
) -> ForkedCommand:
    """Start ``resonance WORDS`` in a folder, with this process's environment and `env`.

    `call` names another function to run, as ``module:function``, with WORDS as ``sys.argv[1:]``.
    The streams are as for `subprocess.Popen`: PIPE, STDOUT, DEVNULL or a descriptor.
    """
    here: dict[str, BinaryIO] = {}
    theirs: list[int] = []
    if stdin == subprocess.PIPE:
        read, write = os.pipe()
        here["stdin"] = os.fdopen(write, "wb")
        theirs.append(read)
    else:
        assert stdin == subprocess.DEVNULL
        theirs.append(os.open(os.devnull, os.O_RDONLY))
    for name, given in (("stdout", stdout), ("stderr", stderr)):
        if given == subprocess.PIPE:
            read, write = os.pipe()
            here[name] = os.fdopen(read, "rb", buffering=0)
        elif given == subprocess.STDOUT:
            write = os.dup(theirs[1])
        elif given == subprocess.DEVNULL:
            write = os.open(os.devnull, os.O_WRONLY)
        else:
            assert given is not None
            write = os.dup(given)
        theirs.append(write)
    status, theirs_status = os.pipe()
    job = {"words": words, "cwd": str(cwd), "session": new_session}
    job |= {"env": {**os.environ, **(env or {})}, "call": call}
    server = _connection()
    socket.send_fds(server, [json.dumps(job).encode()], [*theirs, theirs_status])
    for descriptor in (*theirs, theirs_status):
        os.close(descriptor)
    return ForkedCommand(int(server.recv(64)), status, here, text=text)


def start_limited(module: str, errors: int | None) -> ForkedCommand:
    """Start what works on a file of strangers, in place of `limited_process.start`."""
    return start(
        [module],
        cwd=Path.cwd(),
        stdin=subprocess.PIPE,
        stderr=2 if errors is None else errors,
        new_session=True,
        call="tests.support.forked:run_module",
    )


def run_module() -> None:
    """Run the module that the command line names as ``__main__``, as `suite.core.start` does."""
    (module,) = sys.argv[1:]
    sys.modules.pop(module, None)  # runpy warns of a module that is imported already
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def python(
    words: list[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run ``python WORDS``, a script or ``-c CODE`` and their arguments, to its end.

    What is tested may not be what importing leaves out: nearly everything is imported.
    """
    ended = start(words, cwd=cwd or Path.cwd(), env=env, text=True, call=f"{__name__}:run_python")
    out, err = ended.communicate(timeout=300)
    return subprocess.CompletedProcess(words, ended.wait(), out, err)


def run_python() -> None:
    """Run the script, or the code after ``-c``, that the command line names as ``__main__``."""
    first, *rest = sys.argv[1:]
    try:
        if first == "-c":
            sys.argv = ["-c", *rest[1:]]
            exec(rest[0], {"__name__": "__main__"})
        else:
            sys.argv = [first, *rest]
            runpy.run_path(str(Path(first).resolve()), run_name="__main__")  # as Python names it
    except Exception:
        traceback.print_exc()
        sys.exit(1)


def _connection() -> socket.socket:
    """Return the socket of this process's server, which is started when first needed."""
    global _server
    if _server is None or _server[0] != os.getpid():
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**20)
        server = subprocess.Popen(
            [sys.executable, "-m", "tests.support.forked", str(theirs.fileno())],
            cwd=ROOT,
            pass_fds=[theirs.fileno()],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        theirs.close()
        _server = os.getpid(), ours, server
        atexit.register(_close)
    return _server[1]


def _close() -> None:
    """End this process's server; a process that was forked from this one has none."""
    assert _server is not None
    owner, ours, server = _server
    if owner == os.getpid():
        ours.shutdown(socket.SHUT_RDWR)
        ours.close()
        server.wait()


def serve(descriptor: int) -> None:
    """Import what commands and their workers need; fork a process for each job."""
    import sklearn.datasets
    import sklearn.model_selection
    import torch
    import torch._dynamo

    import suite.execution.runner
    import suite.training.trial
    import suite.tuning.search
    from suite.cli import app

    assert sklearn.datasets
    assert suite.training.trial
    for verb in app.VERBS:
        app._load(verb)
    torch.set_num_threads(1)
    gc.freeze()  # a collection would copy every page that the processes share
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    connection = socket.socket(fileno=descriptor)
    while True:
        content, descriptors, _, _ = socket.recv_fds(connection, 2**20, 4)
        if not content:
            return
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        read, write = os.pipe()
        if os.fork() == 0:
            _watch(json.loads(content), descriptors, write)
        os.close(write)
        for one in descriptors:
            os.close(one)
        connection.send(os.read(read, 64))
        os.close(read)


def _watch(job: dict[str, Any], descriptors: list[int], write: int) -> None:
    """Fork the command, report its process id and then its exit code."""
    *streams, status = descriptors
    pid = os.fork()
    if pid == 0:
        os.close(status)
        os.close(write)
        _become(job, streams)
    os.write(write, str(pid).encode())
    for one in (*streams, write):
        os.close(one)
    _, ended = os.waitpid(pid, 0)
    os.write(status, str(os.waitstatus_to_exitcode(ended)).encode())
    os._exit(0)


def _become(job: dict[str, Any], streams: list[int]) -> None:
    """Become the command: its folder, environment, streams and arguments."""
    if job["session"]:
        os.setsid()
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for standard, one in enumerate(streams):
        os.dup2(one, standard)
        os.close(one)
    os.chdir(job["cwd"])
    os.environ.clear()
    os.environ.update(job["env"])
    sys.argv = ["resonance", *job["words"]]
    multiprocessing.util.spawnv_passfds = _fork_interpreter
    code: Any = 0
    try:
        module, _, name = job["call"].partition(":")
        getattr(importlib.import_module(module), name)()
    except SystemExit as end:
        code = end.code or 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 1)


def _fork_interpreter(path: bytes, words: list[Any], descriptors: list[int]) -> int:
    """Fork, and run what a new interpreter was to run; in place of multiprocessing's function."""
    pid = os.fork()
    if pid:
        return pid
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    kept = sorted({0, 1, 2, *descriptors})
    for first, after in zip(kept, [*kept[1:], os.sysconf("SC_OPEN_MAX")], strict=True):
        os.closerange(first + 1, after)
    try:
        exec(words[words.index("-c") + 1], {})
    finally:  # it leaves by SystemExit: that must not go on into the command
        os._exit(0)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
