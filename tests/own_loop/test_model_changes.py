"""Layers that are replaced, frozen or thawed after a model was sparsified."""

import copy
import math
import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from suite import sparsify
from suite.core.errors import InvalidInput, SparsityWarning
from suite.own_loop.model_changes import ModelChanges
from tests.support.helpers import FAST, batch_of, digits

STEPS = 60
GLOBAL = {
    "magnitude": {"distribution": "global"},
    "magnitude_one_shot": {},
    "granet": {"initial_sparsity": 0.0},
    "resonance": {"scope": "global", "bits": 1},
}
"""Methods that rank the whole network together."""


def mlp():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 32), nn.ReLU(), nn.Linear(32, 10)
    )


def attached(method, model, optimizer, **given):
    options = FAST.get(method, {}) | given
    return sparsify(model, optimizer, method, sparsity=0.8, steps=STEPS, **options)


def train(model, optimizer, start, stop):
    for step in range(start + 1, stop + 1):
        x, y = batch_of(digits(), step, 8)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        if loss.requires_grad:
            loss.backward()
        optimizer.step()


def train_rounds(handle, model, optimizer):
    for _ in handle.rounds():
        train(model, optimizer, handle.step, STEPS)


def zeros(handle):
    return {name: int((~mask).sum()) for name, mask in handle.masks().items()}


@pytest.mark.parametrize("method", ["magnitude", "magnitude_one_shot"])
def test_other_layers_do_not_make_up_for_a_frozen_one_where_all_are_ranked_together(method):
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
    whole = attached(method, model, optimizer, **GLOBAL[method])
    train(model, optimizer, 0, STEPS)

    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
    handle = attached(method, model, optimizer, **GLOBAL[method])
    train(model, optimizer, 0, 11)
    model[3].weight.requires_grad_(False)
    before = zeros(handle)["3"]
    with pytest.warns(SparsityWarning, match="layer '3' was frozen"):
        train(model, optimizer, 11, STEPS)
    reached, expected = zeros(handle), zeros(whole)
    assert reached["3"] == before < expected["3"]
    # The weights that are ranked have trained beside others, so there are not exactly as many.
    missed = expected["3"] - before
    others = reached["1"] + reached["5"] - expected["1"] - expected["5"]
    assert abs(others) < missed / 8


@pytest.mark.parametrize("method", [*GLOBAL, "lottery_ticket"])
def test_no_layer_is_emptied_for_a_frozen_one(method):
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
    options = GLOBAL.get(method, {"rate": 0.5})
    handle = attached(method, model, optimizer, **options)
    train(model, optimizer, 0, 1)
    model[3].weight.requires_grad_(False)
    with pytest.warns(SparsityWarning, match="layer '3' was frozen"):
        train_rounds(handle, model, optimizer)
    whole = {layer.name: layer.size for layer in handle.sparsifier.layers}
    density = {name: 1 - count / whole[name] for name, count in zeros(handle).items()}
    assert min(density["1"], density["5"]) > 0.01
    assert handle.sparsity < 0.8


@pytest.mark.parametrize("method", GLOBAL)
def test_with_all_layers_frozen_no_mask_changes_and_nothing_raises(method):
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
    handle = attached(method, model, optimizer, **GLOBAL[method])
    train(model, optimizer, 0, 17)
    before = zeros(handle)
    for layer in (model[1], model[3], model[5]):
        layer.weight.requires_grad_(False)
    with pytest.warns(SparsityWarning, match="was frozen"):
        train(model, optimizer, 17, STEPS)
    assert zeros(handle) == before


@pytest.mark.parametrize("resumed", [False, True], ids=["at once", "resumed"])
@pytest.mark.parametrize("method", ["magnitude", "magnitude_one_shot", "resonance"])
def test_a_layer_that_is_thawed_after_the_last_update_may_miss_its_count(method, resumed):
    options = {"bits": 1} if method == "resonance" else {}
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
    handle = attached(method, model, optimizer, **options)
    train(model, optimizer, 0, 17)
    model[3].weight.requires_grad_(False)
    with pytest.warns(SparsityWarning, match="was frozen"):
        train(model, optimizer, 17, 50)
    model[3].weight.requires_grad_(True)
    if resumed:
        states = copy.deepcopy((model.state_dict(), optimizer.state_dict(), handle.state_dict()))
        model = mlp()
        optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
        model.load_state_dict(states[0])
        optimizer.load_state_dict(states[1])
        handle = attached(method, model, optimizer, state=states[2], **options)
    weights = model[3].weight.clone()
    train(model, optimizer, 50, STEPS)
    assert not torch.equal(model[3].weight, weights)
    if not handle.sparsifier.is_global:
        targets = handle.sparsifier.target_zeros()
        assert zeros(handle)["1"] == targets["1"]
        assert zeros(handle)["3"] < targets["3"]
    assert handle.sparsity < 0.8 - 0.01


def test_a_layer_that_is_thawed_before_an_update_reaches_its_count():
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
    handle = attached("magnitude", model, optimizer, distribution="global", update_every=5)
    train(model, optimizer, 0, 17)
    model[3].weight.requires_grad_(False)
    with pytest.warns(SparsityWarning, match="was frozen"):
        train(model, optimizer, 17, 35)
    model[3].weight.requires_grad_(True)
    train(model, optimizer, 35, STEPS)
    size = sum(layer.size for layer in handle.sparsifier.layers)
    assert sum(zeros(handle).values()) == math.floor(0.8 * size)


@pytest.mark.parametrize("thawed_after", [27, 40, STEPS])
@pytest.mark.parametrize("method", ["rigl", "resonance_coherent"])
def test_a_layer_stored_sparse_may_be_frozen_and_thawed(method, thawed_after):
    """Thawed just before a step whose dense gradients are read, too."""

    def run(execution):
        model = mlp()
        optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
        handle = attached(method, model, optimizer, execution=execution, update_every=7)
        train(model, optimizer, 0, 16)
        model[3].weight.requires_grad_(False)
        before = handle.masks()["3"].clone()
        with pytest.warns(SparsityWarning, match="was frozen"):
            train(model, optimizer, 16, thawed_after)
        assert torch.equal(handle.masks()["3"], before)
        model[3].weight.requires_grad_(True)
        train(model, optimizer, thawed_after, STEPS)
        return handle

    masked, sparse = run("masked"), run("csr")
    assert sparse.sparsifier.execution.csr_weights()
    for name, mask in masked.masks().items():
        assert torch.equal(sparse.masks()[name], mask)


@pytest.mark.filterwarnings("ignore:layer '3' was frozen")
def test_a_layer_that_is_frozen_midway_is_not_rewound():
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    handle = attached("lottery_ticket", model, optimizer, rate=0.6)
    for number in handle.rounds():
        train(model, optimizer, handle.step, STEPS)
        if number == 0:
            model[3].weight.requires_grad_(False)
            weight, mask = model[3].weight.clone(), handle.masks()["3"].clone()
    assert number == 2
    assert torch.equal(model[3].weight, weight)
    assert torch.equal(handle.masks()["3"], mask)


def changes_of(model):
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    handle = sparsify(model, optimizer, "static", sparsity=0.5, steps=9)
    return ModelChanges(model, handle.sparsifier.layers, ())


def test_a_layer_that_is_frozen_is_warned_of_once():
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
    changes = changes_of(model)
    model[0].requires_grad_(False)
    with pytest.warns(SparsityWarning, match="layer '0' was frozen: it keeps its weights"):
        changes.check()
    changes.check()
    model[0].requires_grad_(True)
    changes.check()


def test_weights_that_are_thawed_or_added_are_warned_of_once():
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
    model[0].requires_grad_(False)
    changes = changes_of(model)
    model[0].requires_grad_(True)
    with pytest.warns(SparsityWarning, match=r"0\.weight are trained since sparsify was called"):
        changes.check()
    model.append(nn.Linear(8, 2))
    with pytest.warns(SparsityWarning, match=r"^2\.weight are trained"):
        changes.check()
    changes.check()


def test_a_layer_that_was_replaced_or_removed_is_refused():
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
    changes = changes_of(model)
    kept = model[1]
    model[1] = nn.Linear(8, 8)
    for _ in range(2):
        with pytest.raises(InvalidInput, match="layer '1' was replaced after sparsify"):
            changes.check()
    del model[1]
    with pytest.raises(InvalidInput, match="layer '1' was replaced after sparsify"):
        changes.check()
    model.append(kept)
    changes.check()


def test_an_unchanged_model_is_passed_without_a_warning():
    model = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Linear(8, 8))
    changes = changes_of(model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(3):
            changes.check()
