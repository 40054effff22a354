"""A learning rate of 0 freezes no masks, which is said where it stays 0.

Warnings are errors here, so that a test without `pytest.warns` is one of no false alarm.
"""

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, OneCycleLR

from suite import sparsify
from suite.core.errors import SparsityWarning

STEPS = 40
SAYS = "the learning rate of 0 is 0, which freezes no mask: updates drop their weights"


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))


def grouped(model, front, rate=0.05):
    """Return an optimizer with a group for each layer; `front` is the rate of the first."""
    groups = [
        {"params": list(model[0].parameters()), "lr": front},
        {"params": list(model[2].parameters())},
    ]
    return torch.optim.SGD(groups, rate, momentum=0.9)


def attached(model, optimizer, method="rigl", **options):
    given = {"update_every": 5} if method in ("rigl", "magnitude") else {}
    given |= {"sparsity": 0.5, "steps": STEPS, "examples": (torch.ones(4, 8), torch.arange(4))}
    return sparsify(model, optimizer, method, **given | options)


def train(model, optimizer, steps=STEPS, scheduler=None, scaler=None):
    inputs = torch.randn(16, 8, generator=torch.Generator().manual_seed(1))
    for _ in range(steps):
        optimizer.zero_grad()
        for part in inputs.chunk(2):
            loss = model(part).square().mean()
            (loss if scaler is None else scaler.scale(loss)).backward()
        if scaler is None:
            optimizer.step()
        else:
            scaler.step(optimizer)
            scaler.update()
        if scheduler is not None:
            scheduler.step()


@pytest.mark.parametrize("rate", [0, 0.0, torch.tensor(0.0)], ids=["int", "float", "tensor"])
@pytest.mark.parametrize("method", ["rigl", "magnitude", "magnitude_one_shot"])
def test_a_layer_whose_rate_is_0_is_said_at_the_first_update_and_once(method, rate):
    model = network()
    optimizer = grouped(model, rate)
    handle = attached(model, optimizer, method)
    with pytest.warns(SparsityWarning, match=SAYS) as said:
        train(model, optimizer)
    assert len(said) == 1
    assert handle.step == STEPS


def test_the_message_tells_what_happens_to_the_weights():
    model = network()
    optimizer = grouped(model, 0.0)
    handle = attached(model, optimizer)
    before, first = model[0].weight.detach().clone(), handle.masks()["0"].clone()
    with pytest.warns(SparsityWarning, match=SAYS):
        train(model, optimizer)
    weight, mask = model[0].weight.detach(), handle.masks()["0"]
    assert bool((mask & ~first).any())
    assert not weight[mask & ~first].any()
    assert torch.equal(weight[weight != 0], before[weight != 0])


def test_updates_at_every_step_are_enough():
    model = network()
    optimizer = grouped(model, 0.0)
    attached(model, optimizer, update_every=1)
    train(model, optimizer, 1)
    with pytest.warns(SparsityWarning, match=SAYS):
        train(model, optimizer, 1)


def test_a_rate_that_is_set_to_0_midway_is_said_after_a_whole_interval():
    model = network()
    optimizer = grouped(model, 0.05)
    attached(model, optimizer)
    train(model, optimizer, 12)
    optimizer.param_groups[0]["lr"] = 0.0
    train(model, optimizer, 7)  # the update of step 15 came after steps with a rate
    with pytest.warns(SparsityWarning, match=SAYS):
        train(model, optimizer, 1)


def test_all_layers_are_named_in_one_line_where_no_rate_is_set():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.0)
    attached(model, optimizer)
    with pytest.warns(SparsityWarning, match="the learning rate of 0, 2 is 0") as said:
        train(model, optimizer)
    assert len(said) == 1


def test_the_optimizer_of_a_second_phase_is_looked_at_anew():
    model = network()
    optimizer = grouped(model, 0.05)
    handle = attached(model, optimizer)
    train(model, optimizer, 8)
    optimizer = grouped(model, 0.0)
    handle.use(optimizer)
    with pytest.warns(SparsityWarning, match=SAYS):
        train(model, optimizer, 2)


@pytest.mark.parametrize("every", [1, 2, 5])
@pytest.mark.parametrize(
    "schedule",
    [
        lambda optimizer: LambdaLR(optimizer, lambda step: min(1, step / 8)),
        lambda optimizer: LambdaLR(optimizer, lambda step: 1 - step / (STEPS - 1)),
        lambda optimizer: LambdaLR(optimizer, lambda step: float(step % 5 != 4)),
        lambda optimizer: CosineAnnealingLR(optimizer, STEPS),
        lambda optimizer: OneCycleLR(optimizer, 0.1, total_steps=STEPS + 1),
    ],
    ids=["warm-up from 0", "down to 0", "0 at updates alone", "cosine", "one cycle"],
)
@pytest.mark.parametrize("method", ["rigl", "magnitude"])
def test_a_schedule_that_passes_through_0_is_not_warned_of(method, schedule, every):
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
    handle = attached(model, optimizer, method, update_every=every)
    train(model, optimizer, scheduler=schedule(optimizer))
    assert handle.step == STEPS


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
def test_a_warm_up_under_a_grad_scaler_that_skips_is_not_warned_of():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.05)
    handle = attached(model, optimizer, update_every=1)
    scheduler = LambdaLR(optimizer, lambda step: min(1, step / 8))
    factors = iter([torch.inf] * 6)
    model[2].bias.register_hook(lambda gradient: gradient * next(factors, 1.0))
    train(model, optimizer, STEPS, scheduler, torch.amp.GradScaler("cpu"))
    assert handle.step == STEPS - 3  # two micro-batches each


@pytest.mark.parametrize("method", ["static", "snip"])
def test_methods_that_never_update_are_not_warned_of(method):
    model = network()
    optimizer = grouped(model, 0.0)
    handle = attached(model, optimizer, method)
    train(model, optimizer)
    assert handle.sparsity == 0.5


def test_layers_that_stay_dense_are_not_named():
    model = network()
    optimizer = grouped(model, 0.0)
    attached(model, optimizer, dense_layers=["0"], sparsity=0.3)
    train(model, optimizer)


def test_layers_that_are_frozen_are_said_to_be_frozen_and_no_more():
    model = network()
    optimizer = grouped(model, 0.0)
    handle = attached(model, optimizer)
    model[0].requires_grad_(False)
    with pytest.warns(SparsityWarning, match="layer '0' was frozen") as said:
        train(model, optimizer)
    assert len(said) == 1
    assert handle.sparsity == 0.5
