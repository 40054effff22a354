"""Serving the site to browsers on this machine, and rebuilding it when records change."""

import base64
import contextlib
import errno
import hashlib
import threading
import time
from collections.abc import Callable
from functools import lru_cache, partial
from html.parser import HTMLParser
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import BinaryIO

from leaderboard.site.bounded_server import EXHAUSTED, IDLE_SECONDS, BoundedServer
from suite.core.errors import InvalidInput
from suite.core.redact import redacted_line

ADDRESS = "127.0.0.1"
POLL_SECONDS = 2.0
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


class Server(BoundedServer):
    """Serves on the loopback address only; `allowed` are the accepted values of Host."""

    allow_reuse_address = True

    def __init__(
        self, folder: Path, port: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        try:
            handler = partial(Handler, directory=str(folder.resolve()))
            super().__init__((ADDRESS, port), handler, clock=clock)
        except OverflowError as error:
            raise InvalidInput(f"--port {port}: give one from 0 to 65535") from error
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            reason = "is taken by another program" if taken else f"cannot be used: {error.strerror}"
            raise InvalidInput(
                f"--port {port} {reason}: give another, or 0 for any that is free"
            ) from error
        self.allowed = {f"{name}:{self.server_port}" for name in (ADDRESS, "localhost")}

    @property
    def url(self) -> str:
        """The address of the site."""
        return f"http://{ADDRESS}:{self.server_port}/"


class Handler(SimpleHTTPRequestHandler):
    """Serves the files of one folder; symbolic links to outside of it are not followed."""

    server: Server
    timeout = IDLE_SECONDS

    def send_head(self) -> BinaryIO | None:
        """Send the headers of the requested file; return the open file, or None."""
        self.server.request_complete(self.connection)
        if (
            self.headers.get("Host") not in self.server.allowed
        ):  # DNS rebinding: another site's name
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST)
            return None
        if (file := self._file()) is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return None
        try:
            file.open("rb").close()
        except OSError as error:  # the parent's method would say that there is no such file
            if error.errno in EXHAUSTED:
                self.send_error(HTTPStatus.SERVICE_UNAVAILABLE)
                return None
        return super().send_head()

    def end_headers(self) -> None:
        """Add headers that let a browser run only the page's own code."""
        for name, value in {**HEADERS, "Content-Security-Policy": policy(self._file())}.items():
            self.send_header(name, value)
        super().end_headers()

    def _file(self) -> Path | None:
        """Return the requested file; None if the folder does not hold it."""
        folder = Path(self.directory).resolve()
        try:
            path = Path(self.translate_path(self.path)).resolve()
            if path.is_dir():
                path = (path / "index.html").resolve()
            parts = path.relative_to(folder).parts
            return path if path.is_file() and not any(p.startswith(".") for p in parts) else None
        except (OSError, ValueError, RuntimeError, AttributeError):
            return None

    def version_string(self) -> str:
        """Do not reveal versions."""
        return "resonance"

    def log_message(self, format: str, *args: object) -> None:
        """Do not log requests."""


def policy(page: Path | None) -> str:
    """Return the Content-Security-Policy of a file: it allows its inline scripts by digest.

    Scripts in attributes (``onmouseover``) and scripts from other origins do not run. Charts need
    inline style, and eval for their expressions; a page may set a stricter policy itself.
    """
    scripts: tuple[str, ...] = ()
    if page is not None and page.suffix == ".html":
        with contextlib.suppress(OSError):  # being replaced right now
            scripts = _scripts(page, page.stat().st_mtime_ns)
    return "; ".join(
        [
            "default-src 'none'",
            " ".join(["script-src 'self' 'unsafe-eval'", *scripts]),
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "connect-src 'self' data: blob:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    )


@lru_cache(maxsize=64)
def _scripts(page: Path, stamp: int) -> tuple[str, ...]:
    finder = _Scripts()
    finder.feed(page.read_text(encoding="utf-8", errors="replace"))
    return tuple(dict.fromkeys(finder.sources))


class _Scripts(HTMLParser):
    """Collects the digests of a page's inline scripts."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.sources: list[str] = []
        self._parts: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "script" and "src" not in dict(attrs):
            self._parts = []

    def handle_data(self, data: str) -> None:
        if self._parts is not None:
            self._parts.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "script" and self._parts is not None:
            digest = hashlib.sha256("".join(self._parts).encode()).digest()
            self.sources.append(f"'sha256-{base64.b64encode(digest).decode()}'")
            self._parts = None


def serve(
    server: Server,
    versions: Callable[[], object],
    build: Callable[[], object],
    seen: object,
    stop: threading.Event,
    failed: Callable[[InvalidInput], object],
) -> None:
    """Serve until `stop` is set or Ctrl-C; rebuild when `versions()` is no longer `seen`.

    A failed build is reported to `failed`, each message once; the site stays as it was.
    """
    reported = ""
    answering = threading.Thread(target=server.serve_forever, daemon=True)
    try:
        answering.start()
        while not stop.wait(POLL_SECONDS):
            try:
                now = versions()
                if now != seen:
                    seen = now
                    build()
                    reported = ""
            except (OSError, RuntimeError) as error:  # no file can be opened, no process started
                seen = None  # so it is built again later, whether or not records change
                line = f"the site was not built again: {redacted_line(error)}"
                reported = _report_once(InvalidInput(line), reported, failed)
            except InvalidInput as error:
                reported = _report_once(error, reported, failed)
    finally:
        if answering.is_alive():  # else Ctrl-C came first, and there is nothing to wait for
            server.shutdown()
            answering.join()
        server.server_close()


def _report_once(
    error: InvalidInput, reported: str, failed: Callable[[InvalidInput], object]
) -> str:
    if str(error) != reported:
        failed(error)
    return str(error)
