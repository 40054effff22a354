"""A plug-in with a tiny task and methods that go wrong in several ways."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from suite.experiments import registry
from suite.experiments.trial_config import Trial
from suite.results.store import Store

PLUGIN = '''
import os
import signal
import time

import torch
from suite.core.declarations import Method
from suite.sparsity.sparsifier import Sparsifier
from tasks.data import Arrays
from tasks.task import Dataset, Task

DATASETS = tuple(
    Dataset(
        name, "this test", title=name, load=f"{__file__}:load", shape=(1, 2, 4), classes=2,
        train=size, test=8, mean=(0.5,), std=(0.5,),
    )
    for name, size in (("stripes", 32), ("promised", 33))
)

TASKS = tuple(
    Task(
        f"{name}/mlp", "this test", title="tiny", dataset=name, model="tasks.models.mlp:mlp",
        model_options={"hidden": (6,)},
        recipe={"epochs": 2, "batch_size": 8, "validation": 0.0},
    )
    for name in ("stripes", "promised")
)


METHODS = tuple(
    Method(
        name, "this test", title=name, summary=name, implementation=implementation, family="test",
    )
    for name, implementation in (
        ("good", "Good"),
        ("raises", "Raises"),
        ("misses", "Misses"),
        ("segfaults", "Segfaults"),
        ("exits", "Exits"),
        ("allocates", "Allocates"),
        ("hangs", "Hangs"),
        ("dies_once", "DiesOnce"),
        ("disconnects_once", "DisconnectsOnce"),
        ("slow", "Slow"),
        ("lasts", "Lasts"),
    )
)


def load(dataset):
    y = torch.arange(32) % 2
    x = y.float().view(-1, 1, 1, 1).expand(32, 1, 2, 4).contiguous()
    return Arrays(x, y, x[:8], y[:8])


class Good(Sparsifier):
    def start(self):
        self.draw_masks()


class Raises(Good):
    def is_update(self, step):
        return step == 3

    def update(self, step):
        raise RuntimeError("the update broke\\non two lines")


class Misses(Sparsifier):
    def start(self):
        pass


class Segfaults(Raises):
    def update(self, step):
        import ctypes

        ctypes.string_at(0)


class Exits(Raises):
    def update(self, step):
        os._exit(7)


class Allocates(Raises):
    def update(self, step):
        kept = []
        while True:
            kept.append(b"x" * 2**25)
            time.sleep(0.01)


class Hangs(Raises):
    def update(self, step):
        open(os.environ.get("RESONANCE_TEST_MARKER", os.devnull), "w").close()
        while True:
            time.sleep(0.01)


class DiesOnce(Raises):
    def update(self, step):
        marker = os.environ["RESONANCE_TEST_MARKER"]
        if not os.path.exists(marker):
            open(marker, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)


class DisconnectsOnce(Raises):
    def update(self, step):
        marker = os.environ["RESONANCE_TEST_MARKER"]
        if not os.path.exists(marker):
            open(marker, "w").close()
            raise ConnectionResetError("the share went away")


class Slow(Good):
    def after_step(self, step):
        super().after_step(step)
        if "RESONANCE_TEST_HURRY" not in os.environ:
            time.sleep(0.1)


class Lasts(Good):
    """Trains for a while, and no further until it is asked to stop."""

    def start(self):
        super().start()
        self.asked = "RESONANCE_TEST_HURRY" in os.environ
        if not self.asked:
            before = signal.getsignal(signal.SIGTERM)

            def receive(number, frame):
                self.asked = True
                before(number, frame)

            signal.signal(signal.SIGTERM, receive)

    def after_step(self, step):
        super().after_step(step)
        while step > 8 and not self.asked:
            time.sleep(0.01)
'''


@pytest.fixture
def trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Trial]]:
    """Return a function that makes trials of the plug-in's methods on its task."""
    path = tmp_path / "oddities.py"
    path.write_text(PLUGIN)
    monkeypatch.setattr(registry, "_plugins", [])
    registry.use_plugins([str(path)])

    def make(method: str, **given: Any) -> Trial:
        return Trial.make(**{"task": "stripes/mlp", "method": method, "sparsity": 0.5} | given)

    yield make
    monkeypatch.undo()
    registry.use_plugins([])


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return an empty store, ready for writing."""
    store = Store(tmp_path / "results")
    store.prepare()
    return store
