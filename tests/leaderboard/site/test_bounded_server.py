"""No client can exhaust the server: stalled, too many, gone; and no file left to open."""

import contextlib
import os
import resource
import socket
import struct
import threading
import time
from pathlib import Path

import pytest

from leaderboard.site import bounded_server as module
from leaderboard.site.server import Handler, Server
from tests.leaderboard.site.test_server import ask


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def server(tmp_path, clock, monkeypatch):
    monkeypatch.setattr(Handler, "timeout", 1000.0)  # the real clock drops nobody
    (tmp_path / "index.html").write_text("<!doctype html>page")
    (tmp_path / "large.csv").touch()
    os.truncate(tmp_path / "large.csv", 64 * 2**20)
    server = Server(tmp_path, 0, clock=clock)
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
    )
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def connect(server):
    return socket.create_connection(("127.0.0.1", server.server_port), 300)


def until(condition):
    """Wait for a condition, as long as a busy machine needs."""
    end = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def answer(connection):
    """Return all that the server sends until it closes; a reset counts as its end."""
    parts = []
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


def test_stalled_clients_are_refused_beyond_a_limit_and_dropped_in_time(server, clock, monkeypatch):
    monkeypatch.setattr(module, "MAX_CONNECTIONS", 4)
    stalled = [connect(server) for _ in range(4)]
    for number, one in enumerate(stalled):  # one says nothing, others begin to
        one.sendall(b"GET / HTTP/1.0\r\nHost:"[: 8 * number])
    until(lambda: len(server._until) == 4)
    with connect(server) as late:
        assert answer(late).startswith(b"HTTP/1.0 503 ")
    assert threading.active_count() < 20
    clock.now = module.IDLE_SECONDS + 1
    assert [answer(one) for one in stalled] == [b""] * 4
    until(lambda: not server._until)
    assert ask(server, "/")[0] == 200
    for one in stalled:
        one.close()


def test_a_slow_reader_has_longer_but_not_for_ever(server, clock):
    with connect(server) as slow:
        slow.sendall(
            f"GET /large.csv HTTP/1.0\r\nHost: localhost:{server.server_port}\r\n\r\n".encode()
        )
        assert slow.recv(12) == b"HTTP/1.0 200"
        clock.now = module.IDLE_SECONDS + 1
        server.service_actions()
        assert len(server._until) == 1
        clock.now = module.TOTAL_SECONDS + 1
        assert len(answer(slow)) < 64 * 2**20
    until(lambda: not server._until)


def test_a_client_that_leaves_is_no_error_of_the_server(server, capfd):
    for _ in range(5):
        one = connect(server)
        one.sendall(
            f"GET /large.csv HTTP/1.0\r\nHost: localhost:{server.server_port}\r\n\r\n".encode()
        )
        one.recv(10)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # resets
        one.close()
    until(lambda: not server._until)
    assert capfd.readouterr() == ("", "")


def test_another_error_is_one_line(server, monkeypatch, capfd):
    def fail(handler):
        raise ZeroDivisionError("no\nsuch thing")

    monkeypatch.setattr("leaderboard.site.server.Handler.send_head", fail)
    with connect(server) as one:
        one.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert answer(one) == b""
    until(lambda: not server._until)
    assert len(capfd.readouterr().err.splitlines()) == 1


def test_without_a_descriptor_left_it_answers_503_and_lives(server):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    early, held = socket.socket(), []
    used = max(int(path.name) for path in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 20, hard))
    try:
        with contextlib.suppress(OSError):
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))
        early.connect(("127.0.0.1", server.server_port))
        assert answer(early).startswith(b"HTTP/1.0 503 ")
    finally:
        for one in held:
            os.close(one)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        early.close()
    assert ask(server, "/")[0] == 200


def test_a_page_that_cannot_be_opened_for_want_of_files_is_503(server, monkeypatch):
    def exhausted(path, mode="r"):
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", exhausted)
        assert ask(server, "/large.csv")[0] == 503
    assert ask(server, "/")[0] == 200


def test_a_thread_that_cannot_be_started_is_503(server, monkeypatch):
    def refuse(*given):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with connect(server) as one:
            assert answer(one).startswith(b"HTTP/1.0 503 ")
    assert ask(server, "/")[0] == 200
