"""The cost of a training in a loop of one's own is that of the suite's own loop."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from suite import sparsify
from suite.core.errors import InvalidInput
from suite.own_loop.cost import Flops, MethodCharges, StepCounter
from suite.sparsity.flops import FlopsLedger, measure_forward
from suite.training.context import TrialContext
from suite.training.serialization import pack, unpack
from suite.training.setup import prepare
from tests.support.helpers import (
    OPTIMIZERS,
    Charged,
    attach,
    batch_of,
    conv_net,
    digits,
    fit,
    make,
    trial,
)


def run(method: str, until: int = 300, charges: MethodCharges | None = None):
    """Train a trial of digits/mlp by hand; return its training and its cost."""
    context = TrialContext.of(trial(method))
    training = prepare(context)
    sparsifier, model, ledger = training.sparsifier, training.model, training.ledger
    candidates = sparsifier.growth_candidates
    cost = StepCounter(sparsifier.layers, candidates=candidates, charges=charges)
    for step in range(1, min(until, context.plan.steps) + 1):
        x, y = batch_of(training.data.train, step, ledger.batch_size)
        training.optimizer.zero_grad()
        sparsifier.before_step(step)
        F.cross_entropy(model(x), y).backward()
        dense_gradient = sparsifier.wants_dense_gradient(step)
        ledger.charge_step(
            sparsifier.layers,
            dense_gradient=dense_gradient,
            candidates=candidates,
        )
        cost.step(dense_gradient=dense_gradient)
        sparsifier.after_backward(step)
        if sparsifier.is_update(step):
            cost.masks_changed()
        training.optimizer.step()
        sparsifier.after_step(step)
    return training, cost


@pytest.mark.parametrize(
    "method",
    ["rigl", "resonance", "magnitude", "granet", "set", "dense", "gse", "acdc", "mest"],
)
def test_it_is_what_the_suite_s_ledger_adds_up(method):
    training, cost = run(method)
    batch, ledger = training.ledger.batch_size, training.ledger
    found = cost.measure(training.model, training.data.train.x[:7])
    assert found.steps == training.context.plan.steps
    assert found.total(batch) == pytest.approx(ledger.total - ledger.method, rel=1e-12)
    assert found.inference_dense == ledger.flops.dense
    assert found.inference == ledger.flops.sparse(training.sparsifier.layers)
    dense_total = 3 * ledger.flops.dense * found.steps * batch
    steps = ledger.total - ledger.method
    assert found.training_share == pytest.approx(steps / dense_total, rel=1e-12)


@pytest.mark.parametrize("method", ["snip", "synflow", "grasp"])
def test_scoring_connections_is_charged_as_by_the_ledger(method):
    model = conv_net()
    forward = measure_forward(model, digits().x[:2])
    ledger, charged = FlopsLedger(forward, 32), Charged()
    sparsifier = make(method)
    attach(sparsifier, model, OPTIMIZERS["sgd"](model), flops=charged)
    charges = MethodCharges()
    cost = StepCounter(sparsifier.layers, charges=charges)
    for given in charged.scoring:
        ledger.charge_scoring(*given)
        charges.charge_scoring(*given)
    found = cost.measure(model, digits().x[:2])
    assert found.scoring > 0
    assert found.scoring == ledger.scoring == pytest.approx(ledger.total, rel=1e-12)
    assert found.training == found.method == ledger.method == 0


@pytest.mark.parametrize("method", ["resonance", "chts", "sparsegpt", "rigl"])
def test_the_method_s_own_arithmetic_is_that_of_the_ledger(method):
    model, example, accounts = conv_net(), digits().x[:2], []
    forward = measure_forward(model, example)
    for account in (FlopsLedger(forward, 32), MethodCharges()):
        optimizer = OPTIMIZERS["sgd"](model := conv_net())
        sparsifier = make(method)
        attach(sparsifier, model, optimizer, flops=account)
        fit(model, optimizer, sparsifier)
        accounts.append(account)
    ledger, charges = accounts
    assert ledger.method == charges.method
    assert (ledger.method > 0) == (method != "rigl")
    assert ledger.total == ledger.scoring + ledger.method
    found = StepCounter(sparsifier.layers, charges=charges).measure(model, example)
    assert found.method == ledger.method
    assert found.total(32) == ledger.total


def test_steps_at_the_same_densities_are_one_entry():
    _, cost = run("rigl")
    (entry,) = cost.state_dict()["steps"]  # rigl keeps each layer's number of connections
    assert sum(entry[1:3]) == cost.steps


def test_a_step_is_counted_at_the_masks_it_was_taken_at():
    model = nn.Sequential(nn.Linear(100, 10, bias=False))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    handle = sparsify(model, optimizer, "static", sparsity=0.5, steps=9)
    (layer,) = handle.sparsifier.layers
    cost = StepCounter(handle.sparsifier.layers)
    for dense_gradient in (False, False, True):
        cost.step(dense_gradient=dense_gradient)
    layer.set_mask(layer.mask & (torch.arange(100) < 0))
    cost.masks_changed()
    cost.step(dense_gradient=True)
    found = cost.measure(model, torch.ones(3, 100))
    assert found.inference_dense == 2 * 100 * 10
    assert found.inference == 0
    assert found.training == 2 * 3000 + (2000 + 2000) + 2000
    assert found.training_share == 12_000 / (4 * 3 * 2000)


def test_a_model_stored_in_csr_is_measured_as_an_ordinary_one():
    found = []
    for execution in ("masked", "csr"):
        model = conv_net()
        optimizer = OPTIMIZERS["sgd"](model)
        handle = sparsify(model, optimizer, "static", sparsity=0.9, steps=9, execution=execution)
        cost = StepCounter(handle.sparsifier.layers)
        cost.step(dense_gradient=False)
        found.append(cost.measure(model, digits().x[:3]))
        assert model[6].weight.ndim == (1 if execution == "csr" else 2)
    assert found[0] == found[1]
    assert found[0].training_share == pytest.approx(found[0].inference_share)


def test_a_saved_cost_goes_on():
    _, whole = run("resonance")
    accounts = MethodCharges(), MethodCharges()
    until = len(whole.state_dict()["steps"])
    training, half = run("resonance", until=until, charges=accounts[0])
    accounts[0].charge_method(11.0)
    saved = unpack(pack(half.state_dict()))[0]
    again = StepCounter(training.sparsifier.layers, charges=accounts[1])
    accounts[1].charge_scoring(7.0, {"1": 0.5})  # before loading: no part of what was saved
    accounts[1].charge_method(7.0)
    again.load_state_dict(saved)
    example = training.data.train.x[:2]
    assert again.measure(training.model, example) == half.measure(training.model, example)
    for cost, charges in zip((half, again), accounts, strict=True):
        cost.step(dense_gradient=True)
        charges.charge_scoring(3.0, {"1": 0.5})
        charges.charge_method(5.0)
    found = again.measure(training.model, example)
    assert found == half.measure(training.model, example)
    assert found.steps == half.steps
    assert found.scoring > 0
    assert found.method == 16.0
    del saved["method"]  # as states were before it was charged
    again.load_state_dict(saved)
    assert again.measure(training.model, example).method == 0


def test_a_cost_of_other_layers_is_refused_and_changes_nothing():
    _, cost = run("static", until=3)
    state = copy.deepcopy(cost.state_dict())
    model = conv_net()
    sparsifier = make("static")
    attach(sparsifier, model, OPTIMIZERS["sgd"](model))
    with pytest.raises(InvalidInput, match="belongs to a model with other layers") as refusal:
        cost.load_state_dict(StepCounter(sparsifier.layers).state_dict())
    assert "\n" not in str(refusal.value)
    assert cost.state_dict() == state


@pytest.mark.parametrize("example", [torch.ones(3, 5), "x", None, 3])
def test_an_example_that_the_model_does_not_take_is_one_line(example):
    training, cost = run("static", until=1)
    with pytest.raises(
        InvalidInput, match="does not take this example|first dimension counts"
    ) as refusal:
        cost.measure(training.model, example)
    assert "\n" not in str(refusal.value)


def test_what_is_printed_says_what_was_saved():
    flops = Flops(
        inference_dense=188_416, inference=21_500, training=46e6, steps=400, scoring=1.5e9
    )
    assert repr(flops) == (
        "inference: 21.5 kFLOPs per example, 0.114 × dense (188 kFLOPs)\n"
        "training: 115 kFLOPs per step and example, 0.203 × dense; 46 MFLOPs per example in 400 "
        "steps\n"
        "scoring connections: 1.5 GFLOPs"
    )
    assert repr(replace(flops, method=2e6)) == (f"{flops!r}\nthe method's own arithmetic: 2 MFLOPs")
    assert repr(Flops(2000.0, 500.0, 0.0, 0, 0.0)) == (
        "inference: 500 FLOPs per example, 0.25 × dense (2 kFLOPs)"
    )


def test_a_step_touches_neither_weights_nor_masks():
    _, cost = run("rigl", until=2)
    cost._layers.clear()  # nothing left to look at
    cost.step(dense_gradient=True)
    cost.step(dense_gradient=False)
    assert cost.steps == 4


def test_layers_of_every_kind_and_those_of_include_are_counted():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
            self.lstm = nn.LSTM(8, 8, batch_first=True)
            self.own = nn.Parameter(torch.randn(8, 8))

        def forward(self, x):
            mixed, _ = self.attention(x, x, x, need_weights=False)
            return self.lstm(mixed @ self.own)[0]

    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    handle = sparsify(model, optimizer, "static", sparsity=0.75, steps=9, include=["own"])
    flops = handle.flops(torch.randn(4, 5, 8))
    of_weights = 5 * 2 * sum(layer.size for layer in handle.sparsifier.layers)
    products = flops.inference_dense - of_weights  # of queries, keys and values
    assert products == 2 * 2 * 5 * 5 * 8
    active = 5 * 2 * sum(layer.active for layer in handle.sparsifier.layers)
    assert flops.inference == pytest.approx(active + products)


def calibrated(method: str, weights: dict | None = None, state: dict | None = None):
    """Return a network of two layers, its optimizer, and a method that prunes it after step 4."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 4))
    model.load_state_dict(model.state_dict() if weights is None else weights)
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    handle = sparsify(
        model, optimizer, method, sparsity=0.5, steps=4, calibration_examples=20,
        examples=(torch.randn(20, 4), torch.zeros(20, 4)), state=state,
    )  # fmt: skip
    return model, optimizer, handle


def go_on(model: nn.Sequential, optimizer: torch.optim.Optimizer, steps: int) -> None:
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.ones(3, model[0].in_features)).square().sum().backward()
        optimizer.step()


X = torch.ones(2, 4)
CALIBRATION = 20 * 2 * (16 + 16)
"""Twenty examples through two layers of 16 weights each, as they are after pruning."""


@pytest.mark.parametrize("method", ["wanda", "sparsegpt"])
def test_what_a_method_charges_at_the_end_of_training_is_counted(method):
    model, optimizer, handle = calibrated(method)
    go_on(model, optimizer, 3)
    assert handle.flops(X).scoring == 0
    before = copy.deepcopy(handle.state_dict())
    go_on(model, optimizer, 1)
    assert handle.flops(X).scoring == CALIBRATION
    handle.extend(steps=2)  # no layer is left to prune then
    go_on(model, optimizer, 2)
    assert handle.flops(X).scoring == CALIBRATION
    model, optimizer, handle = calibrated(method)
    go_on(model, optimizer, 4)
    handle.load_state_dict(before)  # back to step 3
    assert handle.flops(X).scoring == 0
    go_on(model, optimizer, 1)
    assert handle.flops(X).scoring == CALIBRATION


def test_it_is_counted_after_the_training_was_extended():
    model, optimizer, handle = calibrated("wanda")
    go_on(model, optimizer, 3)
    handle.extend(steps=2)
    go_on(model, optimizer, 2)
    assert handle.flops(X).scoring == 0
    go_on(model, optimizer, 1)
    assert handle.flops(X).scoring == CALIBRATION


@pytest.mark.parametrize("when", ["made with the state", "given the state later"])
@pytest.mark.parametrize("stop", [2, 4])
def test_it_is_counted_once_where_a_training_was_resumed(when, stop):
    model, optimizer, handle = calibrated("wanda")
    go_on(model, optimizer, stop)
    saved, weights = unpack(pack(handle.state_dict()))[0], copy.deepcopy(model.state_dict())
    if when == "made with the state":
        model, optimizer, again = calibrated("wanda", weights, saved)
    else:
        model, optimizer, again = calibrated("wanda")
        model.load_state_dict(weights)
        again.load_state_dict(saved)
    go_on(model, optimizer, 4 - stop)
    assert again.flops(X).scoring == CALIBRATION
    assert again.flops(X).steps == 4


def test_candidates_that_a_higher_sparsity_affords_are_charged_from_there_on():
    """record_every=auto reads fewer candidates where even one reading a period is too dear."""
    torch.manual_seed(0)
    settings = {"update_every": 4, "candidate_ratio": 4.0}

    def attached(sparsity: float, steps: int, state: dict | None = None):
        model = nn.Sequential(nn.Linear(20, 50, bias=False))
        optimizer = torch.optim.SGD(model.parameters(), 0.01)
        method = "resonance_sampled"
        handle = sparsify(
            model, optimizer, method, sparsity=sparsity, steps=steps, state=state, **settings
        )
        return model, optimizer, handle

    example = torch.ones(2, 20)
    model, optimizer, handle = attached(0.5, 40)
    before = handle.sparsifier.growth_candidates
    assert before.ratio == 0.8  # 4 · (1 / (1 − 0.5) − 1) / 5
    go_on(model, optimizer, 8)
    at_first = handle.flops(example).training
    assert at_first == 2 * (8 * 3 * 500 + 2 * before.gradients(500, 1000) - 2 * 500)
    handle.extend(sparsity=0.9)
    after = handle.sparsifier.growth_candidates
    assert after.ratio == 4.0
    assert handle.flops(example).training == at_first
    go_on(model, optimizer, 8)
    at_last = handle.flops(example).training
    assert at_last - at_first == 2 * (8 * 3 * 100 + 2 * after.gradients(100, 1000) - 2 * 100)
    state = unpack(pack(handle.state_dict()))[0]
    weights = copy.deepcopy(model.state_dict())
    model, optimizer, again = attached(0.9, 40, state)
    model.load_state_dict(weights)
    assert again.flops(example).training == at_last
    for entry in state["cost"]["steps"]:  # as states were before it was kept
        entry.pop()
    again.load_state_dict(state)
    assert again.flops(example).training > at_last  # all by the present candidates
