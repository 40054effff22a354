"""A real PostgreSQL server for a test, on a free port."""

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import require
from tests.support.ports import free_port

PASSWORD = "sesame-open-1234"


def _binaries() -> Path | None:
    found = shutil.which("postgres")
    if found:
        return Path(found).parent
    return next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)


@contextlib.contextmanager
def server() -> Iterator[str]:
    """Yield the URL of a server of its own, with a password in it; skip where none is installed."""
    binaries = _binaries()
    driver = importlib.util.find_spec("psycopg") is not None
    require(
        "postgresql",
        binaries is not None and driver,
        "install Debian's postgresql, and the extra: make setup EXTRAS=dev,postgres",
    )
    assert binaries is not None
    user = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
    folder = Path(tempfile.mkdtemp(prefix="resonance-postgres-"))
    if user:
        shutil.chown(folder, user)
    data = folder / "data"
    try:
        initdb = [binaries / "initdb", "-D", data, "-U", "tuner", "--auth=trust", "--no-sync"]
        subprocess.run(initdb, user=user, check=True, capture_output=True, cwd=folder, timeout=600)
        with free_port() as port, _serving(binaries, data, folder, user, port) as url:
            yield url
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _serving(
    binaries: Path, data: Path, folder: Path, user: str | None, port: int
) -> Iterator[str]:
    """Yield the URL of a server on a port while it runs."""
    command = [
        binaries / "postgres", "-D", data, "-p", str(port), "-k", folder, "-c", "fsync=off",
        "-c", "listen_addresses=127.0.0.1",
    ]  # fmt: skip
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, user=user, cwd=folder, stdout=log, stderr=log)
    try:
        _wait(port, process)
        yield f"postgresql://tuner:{PASSWORD}@127.0.0.1:{port}/postgres"
    finally:
        process.send_signal(signal.SIGINT)  # does not wait for who is connected
        process.wait(300)


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    import psycopg

    until = time.monotonic() + 300
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(
                host="127.0.0.1", port=port, user="tuner", dbname="postgres", connect_timeout=60
            ).close()
            return
        time.sleep(0.1)
    raise RuntimeError("PostgreSQL did not start")
