"""What several processes of one run of the tests share, because it takes long to make."""

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


def built_once(factory: pytest.TempPathFactory, name: str, build: Callable[[Path], None]) -> Path:
    """Return a folder that `build` has filled, in this process or in another one of this run.

    The folder above those of the processes of one run is of that run alone.
    """
    shared = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    place = shared / name
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "is whole").exists():
            shutil.rmtree(place, ignore_errors=True)  # what a process began that failed
            place.mkdir()
            build(place)
            (place / "is whole").touch()
    return place
