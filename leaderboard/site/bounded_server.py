"""An HTTP server that no client can exhaust: limits on connections and time, 503 beyond them."""

import contextlib
import errno
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from http.server import ThreadingHTTPServer
from typing import Any

from suite.core.console import complain
from suite.core.redact import redacted_line

MAX_CONNECTIONS = 64
"""Connections at once; each has a thread while it is answered."""
IDLE_SECONDS = 10.0
"""How long a client may take to send its whole request, and between two parts of the answer."""
TOTAL_SECONDS = 300.0
"""How long a connection may last in all."""
EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS)
"""Errors of a machine, or a process, that has no more files or memory to give."""
UNAVAILABLE = (
    b"HTTP/1.0 503 Service Unavailable\r\nRetry-After: 2\r\nConnection: close\r\n"
    b"Content-Length: 0\r\n\r\n"
)
GONE = (ConnectionError, TimeoutError)
"""What a client that leaves, or is dropped, raises in the thread that answers it."""


class BoundedServer(ThreadingHTTPServer):
    """Answers each connection in a thread of its own, up to `MAX_CONNECTIONS`.

    Others are told 503 at once, and so is everyone while no thread or file can be had. A connection
    that stalls is dropped; `request_complete` says that the whole request has arrived.
    """

    daemon_threads = True
    block_on_close = False  # threads of stalled clients end on their own

    def __init__(self, *given: Any, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._until: dict[socket.socket, tuple[float, float]] = {}
        self._spare: int | None = None
        super().__init__(*given)
        # Closed for a moment when no other descriptor can be had: to accept, and refuse politely.
        self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def server_close(self) -> None:
        """Close the server's socket and its spare descriptor."""
        super().server_close()
        if self._spare is not None:
            os.close(self._spare)
            self._spare = None

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection; refuse it with 503 if no descriptor is left for it.

        Raises:
            OSError: there is none, or it was refused: the caller goes on with the next one.
        """
        try:
            return super().get_request()
        except OSError as error:
            if error.errno in EXHAUSTED:
                self._refuse_with_the_spare_descriptor()
            raise

    def _refuse_with_the_spare_descriptor(self) -> None:
        if self._spare is not None:
            os.close(self._spare)
            self._spare = None
        with contextlib.suppress(OSError):
            refuse(super().get_request()[0])
        with contextlib.suppress(OSError):
            self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        if self._spare is None:
            time.sleep(0.05)  # the connection still waits: do not ask for it without a pause

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer a connection in a new thread; with 503 if there are too many."""
        now = self._clock()
        with self._lock:
            full = len(self._until) >= MAX_CONNECTIONS
            if not full:
                self._until[request] = (now + IDLE_SECONDS, now + TOTAL_SECONDS)
        if full:
            refuse(request)
            return
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # no thread can be started
            self._forget(request)
            refuse(request)

    def shutdown_request(self, request: Any) -> None:
        """End a connection."""
        self._forget(request)
        super().shutdown_request(request)

    def request_complete(self, request: socket.socket) -> None:
        """Note that a client has sent its whole request: only the total time counts from now on."""
        with self._lock:
            if request in self._until:
                _, last = self._until[request]
                self._until[request] = (last, last)

    def service_actions(self) -> None:
        """Drop the connections whose time is over; called twice a second while it serves."""
        now = self._clock()
        with self._lock:
            overdue = [request for request, (until, _) in self._until.items() if until < now]
        for request in overdue:
            with contextlib.suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)  # its thread reads the end, and closes it

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report an error in one line; a client that leaves is none."""
        error = sys.exception()
        if error is not None and not isinstance(error, GONE):
            complain(f"a request was not answered ({type(error).__name__}: {redacted_line(error)})")

    def _forget(self, request: Any) -> None:
        with self._lock:
            self._until.pop(request, None)


def refuse(connection: socket.socket) -> None:
    """Answer 503 without waiting for the request, and close."""
    with contextlib.suppress(OSError):
        connection.setblocking(False)
        connection.send(UNAVAILABLE)
        connection.shutdown(socket.SHUT_WR)
    connection.close()
