"""A run that is restored in any order, by any means, goes on to the bits of one that never ended.

What is no handle's state is refused, and changes nothing.
"""

import copy
import functools
import io

import pytest
import torch
from torch import nn
from torch.distributed.checkpoint import state_dict as distributed
from torch.nn import functional as F

from suite import sparsify
from suite.core.errors import InvalidInput
from tests.own_loop.loops import BRIEF, brisk
from tests.support.helpers import OPTIMIZERS, batch_of, conv_net, digits

STEPS, HALF = BRIEF.steps, 13


def embedded(method: str, model: nn.Module, optimizers, **options):
    given = {"sparsity": 0.9, "steps": STEPS, "steps_per_epoch": 7}
    return sparsify(model, optimizers, method, **given | brisk(method) | options)


def train(model, optimizer, start=0, stop=STEPS):
    for step in range(start + 1, stop + 1):
        x, y = batch_of(digits(), step, 8)
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()


def fresh(name="sgd"):
    model = conv_net()
    for module in model:
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    return model, OPTIMIZERS[name](model)


def saved(*states):
    file = io.BytesIO()
    torch.save(states, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def assert_same(one, other):
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


FROZEN_UNTIL, FROZEN_AT = 26, (1, 7, 13, 21)


@functools.cache
def whole_run(method: str, optimizer_name: str, ats: tuple[int, ...], stop: int, **options):
    """Train once; return the model at the end and what was saved at each of some steps."""
    model, optimizer = fresh(optimizer_name)
    handle = embedded(method, model, optimizer, **options)
    states, before = {}, 0
    for at in ats:
        train(model, optimizer, before, at)
        states[at] = saved(model.state_dict(), optimizer.state_dict(), handle.state_dict())
        before = at
    train(model, optimizer, before, stop)
    return model, states


@pytest.mark.parametrize("execution", ["masked", "csr"])
@pytest.mark.parametrize("at", FROZEN_AT)
@pytest.mark.parametrize("method", ["resonance_pseudocode", "resonance_weighted"])
def test_weights_that_were_frozen_are_those_of_a_model_that_is_loaded_last(method, at, execution):
    options = {"steps": 60, "update_every": 2, "execution": execution}
    model, saved_at = whole_run(method, "sgd", FROZEN_AT, FROZEN_UNTIL, **options)
    states = copy.deepcopy(saved_at[at])
    other, its_optimizer = fresh()
    embedded(method, other, its_optimizer, **options, state=states[2])
    its_optimizer.load_state_dict(states[1])
    other.load_state_dict(states[0])
    train(other, its_optimizer, at, FROZEN_UNTIL)
    assert_same(model, other)


SIGNALS_AT = (3, 13, 18)


@pytest.mark.parametrize("execution", ["masked", "csr"])
@pytest.mark.parametrize("at", SIGNALS_AT)
@pytest.mark.parametrize("reading", ["dominant", "centroid", "rate"])
def test_signals_go_on_in_the_middle_of_a_window(reading, at, execution):
    options = {"reading": reading, "average": 0.8, "keep": "low", "update_every": 8, "bits": 1}
    options |= {"modulation": 0.0, "execution": execution}
    model, saved_at = whole_run("resonance", "sgd", SIGNALS_AT, STEPS, **options)
    states = copy.deepcopy(saved_at[at])
    other, its_optimizer = fresh()
    other.load_state_dict(states[0])
    its_optimizer.load_state_dict(states[1])
    embedded("resonance", other, its_optimizer, **options, state=states[2])
    train(other, its_optimizer, at)
    assert_same(model, other)


def test_a_state_saved_before_there_were_other_readings_is_that_of_the_default_one():
    model, optimizer = fresh()
    handle = embedded("resonance", model, optimizer, modulation=0.0)
    train(model, optimizer, 0, HALF)
    states = saved(model.state_dict(), optimizer.state_dict(), handle.state_dict())
    for name in ("reading", "average", "keep"):
        del states[2]["sparsifier"]["configuration"][name]
    train(model, optimizer, HALF)
    other, its_optimizer = fresh()
    other.load_state_dict(states[0])
    its_optimizer.load_state_dict(states[1])
    embedded("resonance", other, its_optimizer, modulation=0.0, state=states[2])
    train(other, its_optimizer, HALF)
    assert_same(model, other)
    with pytest.raises(InvalidInput, match="the saved state has keep='high', this method has"):
        embedded("resonance", *fresh(), modulation=0.0, keep="low", state=states[2])


@pytest.mark.parametrize("write", ["data.copy_", "copy_", "data ="])
def test_weights_restored_by_hand_after_attaching_are_kept(write):
    model, optimizer = fresh()
    handle = embedded("rigl", model, optimizer)
    train(model, optimizer, 0, HALF)
    states = saved(model.state_dict(), optimizer.state_dict(), handle.state_dict())
    train(model, optimizer, HALF)
    other, its_optimizer = fresh()
    resumed = embedded("rigl", other, its_optimizer)
    for name, value in other.state_dict(keep_vars=True).items():
        if write == "data =":
            value.data = states[0][name]
        elif write == "copy_":
            value.detach().copy_(states[0][name])
        else:
            value.data.copy_(states[0][name])
    its_optimizer.load_state_dict(states[1])
    resumed.load_state_dict(states[2])
    train(other, its_optimizer, HALF)
    assert_same(model, other)


@functools.cache
def distributed_run(optimizer_name: str):
    """Train once; return the model at the end and a distributed checkpoint of the middle."""
    model, optimizer = fresh(optimizer_name)
    handle = embedded("rigl", model, optimizer)
    train(model, optimizer, 0, HALF)
    states = saved(*distributed.get_state_dict(model, optimizer), handle.state_dict())
    train(model, optimizer, HALF)
    return model, states


@pytest.mark.filterwarnings("ignore:.* are 0 already")
@pytest.mark.parametrize("order", ["MOaH", "aMOH", "aHMO", "MaOH", "aOMH", "MsO"])
@pytest.mark.parametrize("optimizer_name", ["sgd", "adamw"])
def test_distributed_checkpoints_are_restored_in_any_order(order, optimizer_name):
    model, kept = distributed_run(optimizer_name)
    states = copy.deepcopy(kept)
    other, its_optimizer = fresh(optimizer_name)
    handles = []
    actions = {
        "a": lambda: handles.append(embedded("rigl", other, its_optimizer)),
        "s": lambda: handles.append(embedded("rigl", other, its_optimizer, state=states[2])),
        "M": lambda: distributed.set_model_state_dict(other, states[0]),
        "O": lambda: distributed.set_optimizer_state_dict(other, its_optimizer, states[1]),
        "H": lambda: handles[0].load_state_dict(states[2]),
    }
    for action in order:
        actions[action]()
    assert handles[0].step == HALF
    train(other, its_optimizer, HALF)
    assert_same(model, other)


def test_a_step_that_one_of_two_optimizers_has_taken_is_finished_after_resuming():
    def pair():
        model, _ = fresh()
        return model, [OPTIMIZERS["sgd"](model[:5]), OPTIMIZERS["sgd"](model[5:])]

    def alternate(model, optimizers, start, stop):
        for number in range(start, stop):
            x, y = batch_of(digits(), number, 8)
            model.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizers[number % 2].step()

    model, optimizers = pair()
    handle = embedded("rigl", model, optimizers, steps=14, update_every=5)
    alternate(model, optimizers, 0, 11)
    parts = [model.state_dict(), *(one.state_dict() for one in optimizers), handle.state_dict()]
    states = saved(*parts)
    alternate(model, optimizers, 11, 28)
    other, its_optimizers = pair()
    resumed = embedded("rigl", other, its_optimizers, steps=14, update_every=5, state=states[3])
    other.load_state_dict(states[0])
    for one, state in zip(its_optimizers, states[1:3], strict=True):
        one.load_state_dict(state)
    alternate(other, its_optimizers, 11, 28)
    assert handle.step == resumed.step == 14
    assert_same(model, other)


@pytest.mark.parametrize(
    "changed",
    [
        {"step": 1.5},
        {"step": -1},
        {"round": "0"},
        {"rewind": None},
        {"stepped": 1},
        {"sparsifier": []},
        {"sparsifier": {"configuration": {}}},
        {"cost": 3},
    ],
)
def test_what_is_no_state_of_a_handle_is_refused_in_one_line_and_changes_nothing(changed):
    model, optimizer = fresh()
    handle = embedded("rigl", model, optimizer)
    train(model, optimizer, 0, 12)
    before = copy.deepcopy((model.state_dict(), handle.masks(), handle.step))
    with pytest.raises(InvalidInput, match=r"give what handle\.state_dict\(\) returned") as raised:
        handle.load_state_dict(handle.state_dict() | changed)
    assert "\n" not in str(raised.value)
    assert handle.step == before[2]
    for name, value in before[0].items():
        assert torch.equal(model.state_dict()[name], value)
    for name, mask in before[1].items():
        assert torch.equal(handle.masks()[name], mask)
    train(model, optimizer, 12)
