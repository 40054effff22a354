"""How this process is asked to stop, and that it then does: signals and a time limit.

A program calls `install` first, `begin` when its imports are done, and `leave` last. In between,
the first signal raises KeyboardInterrupt in the main thread or, within `cooperating`, makes
`asked()` return True. A thread sees to it that the process ends `LIMIT_SECONDS` later whatever the
main thread does, and at once at a second Ctrl-C or SIGTERM, at SIGQUIT, and at any signal before
`begin` and after `leave`. If that thread cannot run any more, because native code keeps the
interpreter's lock, the system ends the process by its alarm. (If it could not run when the signal
came, the signal waits for that code.) docs/running.md has the table of signals.

A library does not handle signals of the program that uses it: without `install`, `cooperating`
handles Ctrl-C and SIGTERM while it is open, and nothing else happens here.
"""

import contextlib
import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from enum import Enum
from types import FrameType

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
"""Signals that ask for a checkpoint and the end. Schedulers send USR1 ahead of a time limit."""
REPEATABLE = (signal.SIGINT, signal.SIGTERM)
"""Signals that end the process at once if it was asked before. A terminal that closes sends HUP
several times, and systemd sends it right after TERM."""
AT_ONCE = (signal.SIGQUIT,)
"""Signals that end the process at once."""
WORKERS_IGNORE = (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
"""Signals that a terminal sends to all processes of a command: the parent handles them."""
GRACE_SECONDS = 5.0
"""Seconds in which trials may take a checkpoint."""
LIMIT_SECONDS = 8.5
"""Seconds from the first signal to the end of the process."""
ALARM_SECONDS = 9.5
"""Seconds from the first signal to the system's alarm."""
LAST_SECONDS = 1.0
"""Seconds that `at_end` functions may take when the process ends at once."""

RESUMABLE = "stopped; finished trials are stored: run the same command again to resume"
NOT_BEGUN = "stopped before anything was run"
HARD = (
    "stopped at once; finished trials and earlier checkpoints are stored: "
    "run the same command again to resume"
)


class _Phase(Enum):
    LIBRARY = 0
    LOADING = 1
    RUNNING = 2
    LEAVING = 3


class _State:
    """What this process has been asked; there is one, as signals are sent to a process."""

    def __init__(self) -> None:  # no dataclass: importing that takes longer than all the rest
        self.phase = _Phase.LIBRARY
        self.first = 0
        self.raised = False
        self.cooperating = 0
        self.patient = False
        self.terminals: tuple[int, ...] = ()
        self.at_end: list[Callable[[], object]] = []


_state = _State()


def install() -> None:
    """Handle signals from now on, to the end of the process; for a program's main thread.

    SIGHUP and SIGQUIT stay ignored if the process was started so, as ``nohup`` does.
    """
    if _state.phase is not _Phase.LIBRARY:
        return
    read, write = os.pipe()
    os.set_blocking(write, False)
    _state.phase = _Phase.LOADING
    _state.terminals = tuple(number for number in (0, 1, 2) if os.isatty(number))
    threading.Thread(target=_watch, args=(read,), daemon=True, name="stopping").start()
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    os.register_at_fork(after_in_child=_forget)
    take_over()


def take_over() -> None:
    """Handle the signals again after a library has replaced the handlers, as `ray.init` does."""
    if _state.phase is _Phase.LIBRARY:
        return
    for number in (*STOPPING, *AT_ONCE):
        kept = number in (signal.SIGHUP, signal.SIGQUIT)
        if not (kept and signal.getsignal(number) is signal.SIG_IGN):
            signal.signal(number, _receive)


def begin() -> None:
    """Begin what may be stopped: from now on the first signal does not end the process at once."""
    if _state.phase is _Phase.LOADING:
        _state.phase = _Phase.RUNNING


def leave() -> None:
    """Call the functions of `at_end`; from now on any signal ends the process at once."""
    if _state.phase is not _Phase.LIBRARY:
        _state.phase = _Phase.LEAVING
    _call_at_end()


def at_end(function: Callable[[], object]) -> None:
    """Call a function when the process leaves or is ended by a signal; it must be quick.

    It may be called from another thread, while the main thread runs.
    """
    if function not in _state.at_end:
        _state.at_end.append(function)


def asked() -> bool:
    """Return whether the process was asked to stop."""
    return _state.first != 0


def interrupted_by(error: BaseException) -> bool:
    """Return whether an exception is the user's Ctrl-C, and not one that other code has raised.

    Where Python itself handles Ctrl-C, nothing tells the two apart: any KeyboardInterrupt is one.
    """
    python_handles = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    return isinstance(error, KeyboardInterrupt) and (asked() or python_handles)


def exit_code() -> int:
    """Return the exit code of a process that was asked to stop: 128 and the signal's number."""
    return 128 + (_state.first or signal.SIGINT)


@contextlib.contextmanager
def cooperating(*, patient: bool = False) -> Iterator[Callable[[], bool]]:
    """While this is open, the first signal makes the yielded function return True.

    If `patient`, a second signal does nothing: torchrun sends one after the other. In a library,
    the second one raises KeyboardInterrupt; outside the main thread, where no signal arrives, the
    function returns False.
    """
    if _state.phase is _Phase.LIBRARY:
        with _library_signals(patient) as one:
            yield one
        return
    before = _state.patient
    _state.cooperating += 1
    _state.patient = before or patient
    try:
        yield asked
    finally:
        _state.cooperating -= 1
        _state.patient = before


@contextlib.contextmanager
def _library_signals(patient: bool) -> Iterator[Callable[[], bool]]:
    if _state.cooperating or threading.current_thread() is not threading.main_thread():
        yield asked
        return
    numbers = (signal.SIGINT, signal.SIGTERM)

    def receive(number: int, frame: FrameType | None) -> None:
        if _state.first and not patient:
            raise KeyboardInterrupt
        _state.first = _state.first or number

    before = {number: signal.signal(number, receive) for number in numbers}
    _state.cooperating += 1
    try:
        yield asked
    finally:
        _state.cooperating -= 1
        _state.first = 0
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def blocked() -> Iterator[Callable[[], object]]:
    """While this is open, processes are started that no signal but SIGKILL ends.

    For helper processes, which end with their parent and which a terminal would otherwise
    interrupt. Those that handle signals themselves call `unblock`. Yield a function that blocks
    them again, for after a call that unblocks them.
    """

    def block() -> set[int | signal.Signals]:
        return signal.pthread_sigmask(signal.SIG_BLOCK, {*STOPPING, *AT_ONCE})

    before = block()
    try:
        yield block
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def unblock() -> None:
    """Let signals arrive in a process that was started while they were `blocked`."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {*STOPPING, *AT_ONCE})


def _receive(number: int, frame: FrameType | None) -> None:
    """Run in the main thread when it can; `_watch` takes care of what cannot wait for that."""
    if _state.phase is not _Phase.RUNNING or number not in STOPPING:
        return
    _state.first = _state.first or number
    if not _state.cooperating and not _state.raised:
        _state.raised = True
        raise KeyboardInterrupt


def _watch(descriptor: int) -> None:
    """Read the signals as they arrive, also while the main thread is busy; keep the time limit."""
    deadline: float | None = None
    while True:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        if not select.select([descriptor], [], [], left)[0]:
            _end(_state.first)
        for number in os.read(descriptor, 64):
            if number not in (*STOPPING, *AT_ONCE):
                continue
            if number == signal.SIGHUP:
                _leave_terminal()
            again = deadline is not None and number in REPEATABLE and not _state.patient
            known = deadline is None and number == _state.first  # the main thread was faster
            if again or number in AT_ONCE or (_state.phase is not _Phase.RUNNING and not known):
                _end(_state.first or number)
            if deadline is None:
                _state.first = _state.first or number
                deadline = time.monotonic() + LIMIT_SECONDS
                signal.setitimer(signal.ITIMER_REAL, ALARM_SECONDS)


def _leave_terminal() -> None:
    """Write to nowhere what would go to a terminal that has been closed, which is an error."""
    for number in _state.terminals:
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
    _state.terminals = ()


def _end(number: int) -> None:
    """End the process now, from another thread than the main one."""
    signal.setitimer(signal.ITIMER_REAL, LAST_SECONDS)
    line = {_Phase.LOADING: NOT_BEGUN, _Phase.RUNNING: HARD}.get(_state.phase, "stopped")
    cursor = "\x1b[?25h" if 2 in _state.terminals else ""  # a progress display hides it
    with contextlib.suppress(OSError):
        os.write(2, f"{cursor}{line}\n".encode())
    _call_at_end()
    os._exit(128 + number)


def _call_at_end() -> None:
    while _state.at_end:
        with contextlib.suppress(Exception):
            _state.at_end.pop()()


def _forget() -> None:
    """Leave a forked child to itself: its signals must not be taken for those of this process."""
    if threading.current_thread() is threading.main_thread():
        signal.set_wakeup_fd(-1)
        for number in (*STOPPING, *AT_ONCE):
            if signal.getsignal(number) is _receive:
                plain = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
                signal.signal(number, plain)
    _state.phase = _Phase.LIBRARY
    _state.first = _state.cooperating = 0
    _state.at_end = []
