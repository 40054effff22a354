"""A helper process ends with its parent, however that ends and whatever the helper is doing."""

import contextlib
import ctypes
import os
import signal
import threading
from multiprocessing import forkserver
from multiprocessing.connection import wait
from multiprocessing.process import parent_process
from typing import Any

from suite.core import stopping

PR_SET_PDEATHSIG = 1


def follow_parent() -> None:
    """End when the parent has died; leave the signals of a terminal to it.

    For a process of `multiprocessing` that was started while signals were `stopping.blocked`. The
    system kills it together with the process that it was forked from, also if it is suspended or in
    native code. Where the system cannot, and where the server that it was forked from outlives the
    parent, a thread notices.
    """
    for number in stopping.WORKERS_IGNORE:
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(OSError, AttributeError):  # only Linux has it
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    _let_server_end()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _let_server_end() -> None:
    """Close this process's end of the pipe that keeps the fork server running.

    The server then ends with the parent, and the system ends this process, even if it is suspended.
    """
    server: Any = forkserver._forkserver
    descriptor = getattr(server, "_forkserver_alive_fd", None)
    if descriptor is not None:
        os.close(descriptor)
        server._forkserver_alive_fd = None


def _end_with_parent() -> None:
    """Exit at once when the parent has died: nothing is left to report to."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def follow_parent_without_saving() -> None:
    """Do so in a process that has nothing to save: SIGTERM ends it, SIGUSR1 does not."""
    follow_parent()
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    stopping.unblock()
