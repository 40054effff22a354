"""The cost of a method's step is put together of the right steps, and memory is counted."""

from types import SimpleNamespace

import pytest

from suite.bench import overhead
from suite.bench.overhead import Case
from suite.bench.trainer import Trainer
from tests.support import forked

CASE = Case("RigL", "rigl", {"update_every": 10}, 1.03)


@pytest.fixture
def clock(monkeypatch):
    """Make time stand for the number of steps: each costs a second, two with a method."""

    def train(trainer, steps):
        return float(steps if trainer.sparsifier is None else 2 * steps)

    monkeypatch.setattr(Trainer, "train", train)


@pytest.mark.usefixtures("clock")
def test_each_method_has_its_figure_and_bar():
    (found,) = overhead.lenet((CASE,), blocks=3)
    assert found.what == "RigL / dense step, LeNet-300-100"
    assert (found.value, found.unit, found.spread, found.bar.limit) == (2, "×", (2, 2), 1.03)
    assert [case.bar for case in overhead.CASES if case.bar] == [1.03, 1.07, 1.03, 1.10]


def test_memory_holds_at_least_the_history(monkeypatch):
    def run(words, **given):
        ended = forked.python(words[1:])  # a process of its own, without importing torch anew
        ended.check_returncode()
        return ended

    monkeypatch.setattr(overhead, "subprocess", SimpleNamespace(run=run))
    (found,) = overhead.memory((8,), width=256, depth=4)
    assert found.unit == "bytes per weight"
    assert found.value > 2 * 8
    assert found.bar.limit == 32
