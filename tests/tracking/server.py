"""As much of W&B's server as a run needs, which remembers what it was sent."""

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Handler(BaseHTTPRequestHandler):
    """Answers every request with success."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def log_message(self, *given: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer({})

    def do_PUT(self) -> None:
        self._body()
        self._answer({})

    def do_POST(self) -> None:
        body = self._body()
        if "/otel/" in self.path:  # wandb's own telemetry
            self._answer({})
            return
        content = json.loads(body)
        self.server.bodies.append(body.decode())
        if not self.path.endswith("/graphql"):
            self.server.streams.append(content)
            self._answer({})
            return
        variables = content.get("variables") or {}
        if "upsertBucket" in content["query"]:
            self.server.runs.append(variables)
            project = {"id": "p", "name": "resonance-bench", "entity": {"id": "e", "name": "me"}}
            bucket = {
                "id": "x", "name": variables.get("name"), "displayName": "", "description": None,
                "config": "{}", "sweepName": None, "project": project, "historyLineCount": 0,
            }  # fmt: skip
            self._answer({"data": {"upsertBucket": {"bucket": bucket, "inserted": True}}})
        elif "createRunFiles" in content["query"]:
            url = f"http://127.0.0.1:{self.server.server_port}/upload"
            files = [{"name": name, "uploadUrl": url} for name in variables["files"]]
            made = {"runID": "x", "uploadHeaders": [], "files": files}
            self._answer({"data": {"createRunFiles": made}})
        else:
            self._answer({"data": {}})

    def _body(self) -> bytes:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def _answer(self, content: object) -> None:
        data = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class Server(ThreadingHTTPServer):
    """Remembers runs (the variables of their creation), and what was streamed to them."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.runs: list[dict[str, Any]] = []
        self.streams: list[dict[str, Any]] = []
        self.bodies: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def lines(self, name: str) -> list[dict[str, Any]]:
        """Return the lines that were streamed to a file of the run."""
        files = [
            stream["files"][name] for stream in self.streams if name in stream.get("files", {})
        ]
        return [json.loads(line) for file in files for line in file["content"]]

    def handle_error(self, request: object, address: object) -> None:
        pass  # wandb drops connections that it no longer needs


@contextmanager
def serving() -> Iterator[Server]:
    """Run a server."""
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
