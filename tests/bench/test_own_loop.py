"""What `sparsify` adds is measured over the same steps of two loops, in turns."""

import pytest

from suite.bench import own_loop
from suite.bench.own_loop import Loop, dense, in_turns, sparsified


@pytest.fixture
def clock(monkeypatch):
    """Make time stand for what is counted: a step costs a second, its checks another."""

    def train(loop, steps):
        hooks = len(loop.optimizer._optimizer_step_post_hooks)
        return steps * (1.0 + hooks)

    monkeypatch.setattr(Loop, "train", train)


@pytest.mark.usefixtures("clock")
def test_the_ratio_is_of_as_many_steps_of_both():
    assert in_turns(Loop(sparsified("static", 40)), Loop(dense), 3, 8, 4) == [2, 2, 2]
    assert in_turns(Loop(dense), Loop(dense), 2, 8, 4) == [1, 1]


@pytest.mark.usefixtures("clock")
def test_figures_come_with_the_bar_of_rigl():
    found = list(own_loop.run(blocks=2, period=8, turn=4))
    assert found[0].what == "sparsify, RigL, ΔT = 100 / bare loop, dense"
    assert (found[0].value, found[0].bar.limit) == (2, 1.03)
    assert (found[1].value, found[1].bar) == (2, None)


def test_a_loop_trains_with_the_method():
    loop = Loop(sparsified("static", 4))
    assert loop.train(2) > 0
    weight = loop.model.get_parameter(
        next(n for n, p in loop.model.named_parameters() if p.ndim > 1)
    )
    assert int((weight == 0).sum()) > weight.numel() // 2
