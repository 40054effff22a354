"""A plug-in with a tiny task and methods that go wrong in several ways."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from suite import registry
from suite.config import Trial
from suite.results.store import Store

PLUGIN = """
import torch
from suite.declare import Method
from suite.sparsity.sparsifier import Sparsifier
from tasks.pipeline import Arrays
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


def method(name, implementation, **more):
    return Method(
        name, "this test", title=name, summary=name, implementation=implementation,
        family="test", **more,
    )


METHODS = (
    method("good", "Good"),
    method("raises", "Raises"),
    method("misses", "Misses"),
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
    pass
"""


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
