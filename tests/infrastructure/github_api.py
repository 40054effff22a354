"""A stand-in for the part of GitHub's API that a comment needs, on this machine."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Api:
    """One repository with one open pull request, 7.

    Attributes:
        head: the newest commit of the pull request.
        state: of the pull request.
        comments: those of the pull request.
        asked: the requests so far, as method and path.
        tokens: what the requests said of themselves.
    """

    head: str
    state: str = "open"
    comments: list[dict[str, Any]] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    url: str = ""

    def answer(self, method: str, path: str, content: Any) -> Any:
        """Return what GitHub would, or None for what is not there."""
        path, _, query = path.removeprefix("/repos/me/bench").partition("?")
        if (method, path) == ("GET", "/pulls/7"):
            return {"state": self.state, "head": {"sha": self.head}}
        if (method, path) == ("GET", "/issues/7/comments"):
            page = int(query.rpartition("=")[2])
            return self.comments[100 * (page - 1) : 100 * page]
        if (method, path) == ("POST", "/issues/7/comments"):
            new = {"id": len(self.comments), "user": {"login": "github-actions[bot]"}, **content}
            self.comments.append(new)
            return new
        if method == "PATCH" and path.startswith("/issues/comments/"):
            (found,) = (c for c in self.comments if c["id"] == int(path.rpartition("/")[2]))
            found.update(content)
            return found
        return None


@contextmanager
def serve(api: Api) -> Iterator[Api]:
    """Answer requests on the loopback address until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do(self) -> None:
            size = int(self.headers.get("Content-Length", 0))
            content = json.loads(self.rfile.read(size)) if size else None
            api.asked.append((self.command, self.path))
            api.tokens.add(self.headers["Authorization"])
            found = api.answer(self.command, self.path, content)
            body = json.dumps(found).encode()
            self.send_response(404 if found is None else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = do  # noqa: N815 - the names that http.server calls

        def log_message(self, *args: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    api.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield api
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
