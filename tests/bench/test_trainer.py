"""What benchmarks time: a training on fixed batches, and ratios of whole update periods."""

import torch
from torch import nn

from suite.bench.trainer import Trainer, made, over_a_period


def rigl():
    return made("rigl", {"update_every": 10}, sparsity=0.9, steps=1000)


def test_a_period_is_the_same_steps_of_both_in_turns(monkeypatch):
    taken = []

    def train(trainer, steps):
        taken.append((trainer.sparsifier is not None, steps))
        return float(steps if trainer.sparsifier is None else 2 * steps)

    monkeypatch.setattr(Trainer, "train", train)
    sparse, dense = Trainer(nn.Linear(8, 10), (8,), rigl()), Trainer(nn.Linear(8, 10), (8,))
    assert over_a_period(sparse, dense, 0, period=100, parts=4) == 2
    assert taken == [(True, 25), (False, 25)] * 4
    assert over_a_period(sparse, dense, 1, period=100, parts=4) == 2
    assert taken[8:] == [(False, 25), (True, 25)] * 4


def test_a_trainer_calls_its_method_at_every_step():
    trainer = Trainer(nn.Linear(8, 10), (8,), rigl(), batch=4)
    trainer.train(10)
    (layer,) = trainer.sparsifier.layers
    assert trainer.step == 10
    assert layer.active == 8
    assert not layer.values[~layer.mask].any()


def test_a_method_is_told_of_each_step_before_its_backward_pass(monkeypatch):
    told = []
    method = rigl()
    monkeypatch.setattr(method, "before_step", told.append)
    Trainer(nn.Linear(8, 10), (8,), method, batch=4).train(3)
    assert told == [1, 2, 3]


def test_a_forward_pass_is_autocast_if_asked():
    seen = []
    layer = nn.Linear(8, 10)
    layer.register_forward_hook(lambda module, given, output: seen.append(output.dtype))
    Trainer(layer, (8,), batch=4, bfloat16=True).train(1)
    Trainer(layer, (8,), batch=4).train(1)
    assert seen == [torch.bfloat16, torch.float32]
