"""A call of sparsify that fails leaves model and optimizer as they were, and can be made again."""

import copy

import pytest
import torch
from torch.nn import functional as F

from suite import sparsify
from suite.core.errors import InvalidInput
from suite.sparsity.sparsifier import Sparsifier
from tests.support.helpers import OPTIMIZERS, batch_of, conv_net, digits


def state_of(model, optimizer):
    return copy.deepcopy((model.state_dict(), optimizer.state_dict()))


def assert_equal(one, other):
    assert type(one) is type(other)
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_equal(one[key], other[key])
    elif isinstance(one, list | tuple):
        for a, b in zip(one, other, strict=True):
            assert_equal(a, b)
    else:
        assert one == other


@pytest.mark.parametrize("optimizer_name", ["sgd", "adamw"])
@pytest.mark.parametrize("execution", ["masked", "csr"])
@pytest.mark.parametrize("at", ["start", "switch", "claim", "load"])
def test_a_call_that_fails_anywhere_changes_nothing(at, execution, optimizer_name, monkeypatch):
    model = conv_net()
    optimizer = OPTIMIZERS[optimizer_name](model)

    def step(number):
        x, y = batch_of(digits(), number, 8)
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()

    for number in range(3):
        step(number)
    before, parameters = state_of(model, optimizer), [id(p) for p in model.parameters()]
    groups = [[id(p) for p in group["params"]] for group in optimizer.param_groups]
    given = {"sparsity": 0.9, "steps": 50, "update_every": 10, "execution": execution}

    def fails(self, *args, **kwargs):
        raise MemoryError(at)

    real_start = Sparsifier.draw_masks
    with monkeypatch.context() as patch:
        if at == "start":

            def half(self, zeros=None):
                real_start(self, zeros)
                raise MemoryError(at)

            patch.setattr(Sparsifier, "draw_masks", half)
        elif at == "switch":
            patch.setattr("suite.sparsity.storage.execution.Execution.switch_storage", fails)
        elif at == "claim":
            patch.setattr("suite.sparsity.storage.execution.Execution.claim_layers", fails)
        else:
            patch.setattr("suite.own_loop.method_steps.MethodSteps._prepare_step", fails)
        with pytest.raises(MemoryError, match=at):
            sparsify(model, optimizer, "rigl", **given)
    assert_equal(state_of(model, optimizer), before)
    assert [id(p) for p in model.parameters()] == parameters
    assert [[id(p) for p in group["params"]] for group in optimizer.param_groups] == groups
    step(3)  # no hooks are left
    assert all(bool((p != 0).all()) for p in model.parameters() if p.ndim > 1)
    handle = sparsify(model, optimizer, "rigl", **given)
    step(4)
    assert handle.sparsity == pytest.approx(0.9, abs=1e-3)
    assert handle.step == 1


def test_a_state_that_does_not_fit_changes_nothing():
    def trained(method, **options):
        model = conv_net()
        optimizer = OPTIMIZERS["sgd"](model)
        given = {"sparsity": 0.9, "steps": 50, "steps_per_epoch": 10, "update_every": 10}
        given |= options
        return model, optimizer, sparsify(model, optimizer, method, **given)

    states = {
        "is of set, this handle is of rigl": trained("set")[2].state_dict(),
        "steps=60, this method has 50": trained("rigl", steps=60)[2].state_dict(),
        "it lacks round, sparsifier, step": {"rewind": {}},
        "is not the state of a handle": [],
        "saved under": trained("rigl", execution="csr")[2].state_dict(),
    }
    model, optimizer, handle = trained("rigl")
    before, masks = state_of(model, optimizer), copy.deepcopy(handle.masks())
    for says, state in states.items():
        with pytest.raises(InvalidInput, match=says) as refusal:
            handle.load_state_dict(state)
        assert "\n" not in str(refusal.value)
        assert_equal(state_of(model, optimizer), before)
        assert_equal(handle.masks(), masks)
    fresh = conv_net()
    untouched = copy.deepcopy(fresh.state_dict())
    for state in states.values():
        with pytest.raises(InvalidInput):
            sparsify(
                fresh, OPTIMIZERS["sgd"](fresh), "rigl", sparsity=0.9, steps=50, update_every=10,
                state=state,
            )  # fmt: skip
        assert_equal(fresh.state_dict(), untouched)


def test_an_optimizer_that_cannot_be_masked_is_refused_when_a_run_is_resumed_too():
    model = conv_net()
    given = {"sparsity": 0.9, "steps": 50, "update_every": 10}
    state = sparsify(model, OPTIMIZERS["sgd"](model), "rigl", **given).state_dict()
    fresh = conv_net()
    before = copy.deepcopy(fresh.state_dict())
    optimizer = torch.optim.Adafactor(fresh.parameters())
    with pytest.raises(InvalidInput, match="Adafactor keeps state"):
        sparsify(fresh, optimizer, "rigl", **given, state=state)
    assert_equal(fresh.state_dict(), before)
