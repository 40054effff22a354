"""Ports of this machine for servers that cannot choose one themselves."""

import contextlib
import socket
from collections.abc import Iterator


@contextlib.contextmanager
def free_port() -> Iterator[int]:
    """Yield a port that the system gives to nobody else while this is open.

    It stays bound here, without listening: a server that sets SO_REUSEADDR, as most do, can have
    it, and another program that asks for any free port is given another one.
    """
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]
