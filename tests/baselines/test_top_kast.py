"""Top-KAST against its algorithm written with plain tensors, by hand, and its costs."""

import pytest
import torch
from torch import Tensor, nn

from baselines.top_kast import METHOD, TopKAST, trained_count
from suite import sparsify
from suite.core.errors import InvalidInput
from suite.sparsity.flops import FlopsLedger, measure_forward
from suite.sparsity.plan import Plan
from suite.training.verify_record import recompute
from tests.support.helpers import make, trained, trial

PLAN9 = Plan(steps=9, sparsity=0.8, seed=0, steps_per_epoch=9)

STEPS, EVERY = 23, 5
SIZES = {"0": 48, "2": 24}
USED, TRAINED = {"0": 12, "2": 6}, {"0": 21, "2": 10}
"""A quarter of each layer is used; 0.2 of its size more is trained: 12 + ⌊9.6⌋, 6 + ⌊4.8⌋."""


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)).double()


def made(model: nn.Module, optimizer: torch.optim.Optimizer, **options: object) -> TopKAST:
    given = {"distribution": "uniform", "uniform_dense": "none", "update_every": EVERY}
    given |= {"backward_offset": 0.2} | options
    method = TopKAST(Plan(STEPS, 0.75, 0, 0), METHOD.resolve(given))
    method.attach(model, optimizer)
    return method


def highest(weights: Tensor, count: int) -> Tensor:
    values = weights.abs().flatten().tolist()
    order = sorted(range(len(values)), key=lambda i: (-values[i], i))
    mask = torch.zeros(len(values), dtype=weights.dtype)
    mask[order[:count]] = 1
    return mask.view(weights.shape)


@pytest.mark.parametrize("l2", ["weight_decay", 0.05])
def test_training_is_that_of_algorithm_1(l2):
    """Sets by sorting, gradients by autograd at w ⊙ A, SGD with momentum on B by hand."""
    model, reference = network(), network()
    decay = 0.03 if l2 == "weight_decay" else 0.0
    optimizer = torch.optim.SGD(model.parameters(), 0.2, momentum=0.9, weight_decay=decay)
    method = made(model, optimizer, l2=l2)
    penalty = decay or l2
    weights = {name: reference[int(name)].weight.detach().clone() for name in SIZES}
    velocity = {name: torch.zeros_like(value) for name, value in weights.items()}
    used = {name: highest(value, USED[name]) for name, value in weights.items()}
    able = {name: highest(value, TRAINED[name]) for name, value in weights.items()}
    biases = {name: reference[int(name)].bias.detach().clone() for name in SIZES}
    slow = {name: torch.zeros_like(value) for name, value in biases.items()}
    for step in range(1, STEPS + 1):
        generator = torch.Generator().manual_seed(step)
        x = torch.randn(16, 6, generator=generator, dtype=torch.float64)
        shown = {n: (weights[n] * used[n]).requires_grad_() for n in SIZES}
        offsets = {n: biases[n].clone().requires_grad_() for n in SIZES}
        hidden = torch.tanh(nn.functional.linear(x, shown["0"], offsets["0"]))
        nn.functional.linear(hidden, shown["2"], offsets["2"]).square().mean().backward()
        for n in SIZES:
            gradient = shown[n].grad * able[n]  # computed for the old B
            if step % EVERY == 0 and step < STEPS:
                used[n] = highest(weights[n], USED[n])
                able[n] = highest(weights[n], TRAINED[n])
                velocity[n] *= able[n]
                gradient *= able[n]
            density = USED[n] / SIZES[n]
            gradient += penalty * weights[n] * used[n]
            gradient += penalty / density * weights[n] * (able[n] - used[n])
            velocity[n] = 0.9 * velocity[n] + gradient
            weights[n] -= 0.2 * velocity[n]
            slow[n] = 0.9 * slow[n] + offsets[n].grad + decay * biases[n]
            biases[n] -= 0.2 * slow[n]
        optimizer.zero_grad()
        model(x).square().mean().backward()
        method.after_backward(step)
        optimizer.step()
        method.after_step(step)
        for n, layer in zip(SIZES, method.layers, strict=True):
            torch.testing.assert_close(method.dense[n], weights[n])
            torch.testing.assert_close(layer.values, weights[n] * used[n])
            assert torch.equal(layer.mask, used[n] == 1)
            assert (layer.active, layer.gradients) == (USED[n], TRAINED[n])
            assert int(method.backward[n].sum()) == TRAINED[n]
    rate = method.metrics()["exploration_rate"]
    assert rate > 0.25, "weights of B have entered A"
    method.end_training()
    assert method.sparsity_errors() == ""


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW])
def test_weights_outside_b_keep_their_values_under_weight_decay(kind):
    model = network()
    settings = {"momentum": 0.9} if kind is torch.optim.SGD else {}
    optimizer = kind(model.parameters(), 0.1, weight_decay=0.5, **settings)
    method = made(model, optimizer, update_every=1000)
    before = {name: value.clone() for name, value in method.dense.items()}
    for step in range(1, 8):
        optimizer.zero_grad()
        model(torch.randn(4, 6, dtype=torch.float64)).square().mean().backward()
        method.after_backward(step)
        optimizer.step()
        method.after_step(step)
    for layer in method.layers:
        outside = ~method.backward[layer.name]
        assert torch.equal(method.dense[layer.name][outside], before[layer.name][outside])
        inside = method.dense[layer.name][~outside]
        assert bool((inside != before[layer.name][~outside]).all())
        for state in optimizer.state[layer.parameter].values():
            if isinstance(state, Tensor) and state.shape == layer.shape:
                assert not state[outside].any()


def test_a_step_by_hand():
    """w = (4, 3, −2, 1), D = ¼, M = ½: A = {4}, B = {4, 3, −2}, used as (4, 0, 0, 0).

    g = (1, 1, 1, 1), λ = 0.1, λ/D = 0.4, lr 0.5: 4 − 0.5 (1 + 0.4) = 3.3; 3 − 0.5 (1 + 1.2) = 1.9;
    −2 − 0.5 (1 − 0.8) = −2.1; 1 stays.
    """
    model = nn.Linear(4, 1, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[4.0, 3.0, -2.0, 1.0]]))
    optimizer = torch.optim.SGD(model.parameters(), 0.5, weight_decay=0.1)
    handle = sparsify(
        model, optimizer, "top_kast", sparsity=0.75, steps=9, backward_offset=0.5,
        distribution="uniform", uniform_dense="none",
    )  # fmt: skip
    assert model.weight.tolist() == [[4.0, 0.0, 0.0, 0.0]]
    model(torch.ones(1, 4)).sum().backward()
    optimizer.step()
    (dense,) = handle.sparsifier.dense.values()
    torch.testing.assert_close(dense, torch.tensor([[3.3, 1.9, -2.1, 1.0]]))
    torch.testing.assert_close(model.weight.detach(), torch.tensor([[3.3, 0.0, 0.0, 0.0]]))


@pytest.mark.parametrize(
    ("size", "active", "offset", "count"),
    [(100, 10, 0.1, 20), (100, 10, 0.29, 39), (100, 95, 0.1, 100), (7, 1, 0.0, 1), (9, 9, 1.0, 9)],
)
def test_b_has_m_of_all_more_weights_than_a(size, active, offset, count):
    assert trained_count(size, active, offset) == count


def test_a_step_costs_2_f_a_and_f_b():
    model, x = network(), torch.randn(5, 6, dtype=torch.float64)
    forward = measure_forward(model, x)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    method = made(model, optimizer)
    ledger = FlopsLedger(forward, 5)
    ledger.charge_step(method.layers, dense_gradient=False)
    assert ledger.total == 5 * 2 * (2 * (12 + 6) + 21 + 10)


@pytest.mark.parametrize("options", [{}, {"backward_offset": 0.3, "distribution": "uniform"}])
def test_a_record_is_checked_exactly(options):
    outcome = trained(trial("top_kast", hyperparameters=options))
    found = recompute(outcome.record)
    assert found.problems == []
    assert {check.how for check in found.checks if "training" in check.name} <= {"exact"}
    flops = outcome.record.flops
    for factor in (0.999, 1.001):
        wrong = outcome.record.model_copy(
            update={"flops": flops | {"training": factor * flops["training"]}}
        )
        assert any("training" in problem for problem in recompute(wrong).problems)
    assert outcome.record.metrics["exploration_rate"] > 0.1


def test_a_target_that_a_raised_sparsity_cannot_meet_is_refused_and_training_goes_on():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    handle = sparsify(model, optimizer, "top_kast", sparsity=0.2, steps=9, dense_layers=("0",))
    with pytest.raises(InvalidInput, match=r"sparsity 0\.9 cannot be met"):
        handle.extend(sparsity=0.9)
    model(torch.randn(4, 6, dtype=torch.float64)).sum().backward()
    optimizer.step()
    assert handle.sparsifier.sparsity_errors() == ""


@pytest.mark.filterwarnings("ignore:top_kast. no update of these:suite.core.errors.SparsityWarning")
def test_a_state_of_the_end_is_restored_as_it_was():
    def attached(seed, state=None):
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        return (
            model,
            optimizer,
            sparsify(
                model, optimizer, "top_kast", sparsity=0.75, steps=2, update_every=1, state=state
            ),
        )

    model, optimizer, first = attached(0)
    for _ in range(2):
        optimizer.zero_grad()
        model(torch.ones(4, 6)).square().sum().backward()
        optimizer.step()
    saved = first.state_dict()
    other, _, second = attached(1, saved)
    other.load_state_dict(model.state_dict())
    over = {"dense": {}, "is_over": True, "own": {"backward": {}}}
    assert saved["sparsifier"]["extra"] == over
    assert second.state_dict()["sparsifier"]["extra"] == over


def test_an_interval_longer_than_the_training_is_no_update():
    idle, busy = (make("top_kast", PLAN9, update_every=every) for every in (9, 8))
    assert idle.idle_reason() == "no update falls into these 9 steps: the first masks stay"
    assert busy.idle_reason() == ""
