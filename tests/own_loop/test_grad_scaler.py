"""Finding the GradScaler that runs an optimizer's step."""

import gc
import weakref

import pytest
import torch
from torch import nn

from suite.own_loop.grad_scaler import active_grad_scaler
from tests.own_loop.libraries import accelerated


def watched(**options):
    """Return a small model, its optimizer, and the list of scalers that its steps have found."""
    model = nn.Linear(4, 3)
    optimizer = torch.optim.Adam(model.parameters(), **options)
    found: list[torch.amp.GradScaler | None] = []
    optimizer.register_step_pre_hook(lambda *_: found.append(active_grad_scaler()))
    return model, optimizer, found


def backward(model, scaler=None):
    loss = model(torch.ones(2, 4)).sum()
    (loss if scaler is None else scaler.scale(loss)).backward()


def test_a_plain_step_has_no_scaler():
    model, optimizer, found = watched()
    backward(model)
    optimizer.step()
    assert found == [None]


@pytest.mark.parametrize("fused", [False, True])
def test_the_scaler_that_runs_the_step_is_found(fused):
    model, optimizer, found = watched(fused=fused)
    scaler = torch.amp.GradScaler("cpu")
    backward(model, scaler)
    scaler.step(optimizer)
    assert found == [scaler]
    backward(model)
    optimizer.step()
    assert found == [scaler, None]


def test_the_scaler_is_found_below_a_scheduler_and_gradients_are_unscaled_by_then():
    model, optimizer, found = watched()
    torch.optim.lr_scheduler.ConstantLR(optimizer)  # wraps optimizer.step
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    gradients = []
    optimizer.register_step_pre_hook(lambda *_: gradients.append(model.bias.grad.clone()))
    backward(model, scaler)
    scaler.step(optimizer)
    assert found == [scaler]
    assert gradients[0].tolist() == [2.0, 2.0, 2.0]


def test_a_step_without_the_scaler_while_another_is_alive_has_none():
    model, optimizer, found = watched()
    other, other_optimizer, other_found = watched()
    scaler = torch.amp.GradScaler("cpu")
    backward(model, scaler)
    backward(other)
    scaler.step(optimizer)
    other_optimizer.step()
    assert found == [scaler]
    assert other_found == [None]


def test_no_reference_to_the_scaler_is_kept():
    model, optimizer, found = watched()
    scaler = torch.amp.GradScaler("cpu")
    backward(model, scaler)
    scaler.step(optimizer)
    assert found.pop() is scaler
    alive = weakref.ref(scaler)
    gc.disable()
    try:
        del scaler
        assert alive() is None
    finally:
        gc.enable()


def test_the_scaler_inside_an_accelerated_optimizer_is_found():
    model, optimizer, found = watched()
    scaler = torch.amp.GradScaler("cpu")
    with accelerated(optimizer, scaler) as wrapped:
        backward(model, scaler)
        wrapped.step()
    assert found == [scaler]
