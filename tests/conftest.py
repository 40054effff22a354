"""What several test folders use: small real data, small models, parts that CI must have."""

import gc
import os
import shutil
import signal
from collections.abc import Iterator

import hypothesis
import pytest
import torch

from suite.core import limited_process
from suite.execution import estimate
from suite.experiments import registry
from suite.results.store import Store
from tests.support import forked
from tests.support.chromium import MILLISECONDS, Chromium
from tests.support.cli_runner import Command

# Two workers and their subprocesses share the machine: more threads would only be in the way.
os.environ.setdefault("OMP_NUM_THREADS", "1")
torch.set_num_threads(1)

# An example may take as long as a busy machine needs for it.
hypothesis.settings.register_profile(
    "tests", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("tests")

# A shell starts what runs in the background with Ctrl-C ignored; some tests press it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


MARKED_BY_FIXTURE = {
    "chromium": "browser",
    "needs_ray": "ray",
    "installed": "wheel",
    "installation": "wheel",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a part of the machine that takes long to start."""
    for item in items:
        for fixture in set(getattr(item, "fixturenames", ())) & MARKED_BY_FIXTURE.keys():
            item.add_marker(MARKED_BY_FIXTURE[fixture])


def pytest_collection_finish() -> None:
    """Leave out of every later collection what lives to the end: modules and thousands of tests."""
    gc.collect()
    gc.freeze()
    gc.collect()  # of what is left: how often all is collected depends on how much that was


def pytest_unconfigure() -> None:
    """Let the end of the process collect them: what is left over, bindings report as leaks."""
    gc.unfreeze()


def require(part: str, present: bool, how: str) -> None:
    """Skip where a part of the machine is missing, unless this run says it must be there."""
    if present:
        return
    if part in os.environ.get("RESONANCE_REQUIRE", "").split(","):
        pytest.fail(f"{part} is required in this run and missing: {how}")
    pytest.skip(f"{part} is missing: {how}")


@pytest.fixture(scope="session")
def chromium_process() -> Iterator[Chromium]:
    """Return a running Chromium, driven by Playwright; one for all tests."""
    found = shutil.which("chromium") or shutil.which("google-chrome")
    require("chromium", found is not None, "install Debian's package chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found, args=["--no-sandbox"], timeout=MILLISECONDS
        )
        yield Chromium(browser)
        browser.close()


@pytest.fixture(scope="module")
def chromium(chromium_process) -> Iterator[Chromium]:
    """Return the browser; contexts that a module leaves open are closed after it."""
    yield chromium_process
    for context in chromium_process.contexts:
        context.close()


@pytest.fixture
def fashion_mnist() -> None:
    """Need the published Fashion-MNIST files."""
    from tasks.datasets.idx import find

    found = find(registry.datasets()["fashion_mnist"]) is not None
    require("fashion_mnist", found, "install Debian's dataset-fashion-mnist or set RESONANCE_DATA")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Go to an empty folder, with nothing set from outside."""
    monkeypatch.chdir(tmp_path)
    for name in ("RESONANCE_STORE", "RESONANCE_PLUGINS", "RESONANCE_DATA"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def no_plugins(place, monkeypatch):
    """Begin without plug-ins; those that are used are forgotten afterwards."""
    monkeypatch.setattr(registry, "_plugins", [])
    yield
    monkeypatch.undo()
    registry.use_plugins([])


@pytest.fixture
def resonance(place, no_plugins, monkeypatch, capsys):
    """Return the command, run in `place`; plug-ins it uses are forgotten afterwards.

    What reads files of strangers is a process forked from one that has imported everything.
    """
    monkeypatch.setattr(estimate, "PROBE_SECONDS", 0.0)  # it starts a worker, which takes seconds
    monkeypatch.setattr(limited_process, "start", forked.start_limited)
    return Command(monkeypatch, capsys)


@pytest.fixture
def store(place) -> Store:
    """Return the store that the command writes to by default."""
    store = Store(place / "results")
    store.prepare()
    return store
