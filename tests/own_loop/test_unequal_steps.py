"""Several optimizers of one handle are expected to step equally often."""

import pytest
import torch
from torch import nn

from suite import sparsify
from suite.core.errors import SparsityWarning
from suite.own_loop.unequal_steps import LEAST, UnequalSteps

STEPS = 3 * LEAST


class Pair:
    """Two parts of one model, each with an optimizer, that one method may hold."""

    def __init__(self):
        torch.manual_seed(0)
        self.model = nn.ModuleList([nn.Linear(8, 8), nn.Linear(8, 8)])
        self.first, self.second = (torch.optim.Adam(part.parameters(), 0.01) for part in self.model)

    def sparsify(self, method="static", **options):
        both = [self.first, self.second]
        return sparsify(self.model, both, method, sparsity=0.5, steps=STEPS, **options)

    def train(self, iterations, *optimizers):
        """Let these step in this order, in every iteration."""
        for _ in range(iterations):
            self.backward()
            for optimizer in optimizers:
                optimizer.step()

    def backward(self, scaler=None, broken=False):
        self.model.zero_grad()
        loss = self.model[1](self.model[0](torch.ones(4, 8))).square().sum()
        (loss if scaler is None else scaler.scale(loss)).backward()
        if broken:
            self.model[1].weight.grad.fill_(float("inf"))


def test_an_optimizer_that_steps_half_as_often_is_warned_of_once():
    pair = Pair()
    handle = pair.sparsify()
    said = r"optimizer\[1\] \(Adam\) has left out 32 of 63 steps: .* step all of them equally often"
    with pytest.warns(SparsityWarning, match=said) as found:
        pair.train(LEAST + 9, pair.first, pair.first, pair.second)
    assert len(found) == 1
    assert handle.step == 2 * (LEAST + 9)


@pytest.mark.parametrize("place", [0, 1])
def test_an_optimizer_that_never_steps_is_warned_of(place):
    pair = Pair()
    pair.sparsify()
    optimizer = (pair.second, pair.first)[place]
    with pytest.warns(SparsityWarning, match=rf"optimizer\[{place}\] \(Adam\) has left out 32 of"):
        pair.train(LEAST + 1, optimizer)  # a step without the others is over as the next begins


def test_optimizers_that_step_in_turns_or_in_either_order_are_not_warned_of():
    pair = Pair()
    handle = pair.sparsify()
    for step in range(STEPS):
        for optimizer in ((pair.first, pair.second), (pair.second, pair.first))[step % 2]:
            pair.backward()
            optimizer.step()
    assert handle.step == STEPS


def test_gradient_accumulation_is_not_warned_of():
    pair = Pair()
    handle = pair.sparsify("rigl", update_every=9)
    for step in range(STEPS):
        for _ in range(4):
            pair.backward()
        pair.first.step()
        pair.second.step()
        assert handle.step == step + 1


def test_steps_that_a_grad_scaler_skips_are_not_warned_of():
    """At its beginning a scaler halves a scale of 2¹⁶; later it skips one step in hundreds."""
    pair = Pair()
    handle = pair.sparsify()
    scaler = torch.amp.GradScaler("cpu", growth_interval=40)
    skipped = [*range(16), *range(40, STEPS, 50)]
    for step in range(STEPS):
        pair.backward(scaler, broken=step in skipped)
        for optimizer in (pair.first, pair.second):
            scaler.step(optimizer)
        scaler.update()
    assert pair.second.state[pair.model[1].weight]["step"] == STEPS - len(skipped)
    assert handle.step == STEPS


def test_steps_that_a_loop_leaves_out_now_and_then_are_not_warned_of():
    pair = Pair()
    counts, both = UnequalSteps([pair.first, pair.second]), [pair.first, pair.second]
    left_out = 0
    for step in range(50 * LEAST):
        counts.step_over([pair.first] if step % 25 == 0 else both)
        left_out += step % 25 == 0
    assert left_out > LEAST


def test_one_handle_for_each_optimizer_is_the_way_to_step_unequally():
    pair = Pair()
    handles = [
        sparsify(part, optimizer, "static", sparsity=0.5, steps=steps)
        for part, optimizer, steps in zip(
            pair.model, (pair.first, pair.second), (2 * STEPS, STEPS), strict=True
        )
    ]
    pair.train(STEPS, pair.first, pair.first, pair.second)
    assert [handle.step for handle in handles] == [2 * STEPS, STEPS]
    assert [handle.sparsity for handle in handles] == [0.5, 0.5]


def test_one_optimizer_is_never_unequal():
    pair = Pair()
    handle = sparsify(pair.model[0], pair.first, "static", sparsity=0.5, steps=STEPS)
    pair.train(STEPS, pair.first)
    assert handle.step == STEPS
