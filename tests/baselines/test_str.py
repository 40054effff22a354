"""STR against autograd, its decay against the authors' schedule, its projection against hand."""

import math
from contextlib import nullcontext

import pytest
import torch
from torch import nn

from baselines.str import METHOD, STR, is_far
from suite import sparsify
from suite.core.errors import SparsityWarning
from suite.sparsity.plan import Plan
from tests.support.helpers import trained, trial

STEPS = 30


def made(
    model: nn.Module, optimizer: torch.optim.Optimizer, steps: int = STEPS, sparsity: float = 0.5,
    **options: object,
) -> STR:  # fmt: skip
    method = STR(Plan(steps, sparsity, 0, 0), METHOD.resolve(options))
    method.attach(model, optimizer)
    return method


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)).double()


def inputs(step: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(step)
    return torch.randn(16, 6, generator=generator, dtype=torch.float64)


def take_step(model: nn.Module, optimizer: torch.optim.Optimizer, method: STR, step: int) -> None:
    optimizer.zero_grad()
    model(inputs(step)).square().mean().backward()
    method.after_backward(step)
    optimizer.step()
    method.after_step(step)


@pytest.mark.parametrize("nesterov", [False, True])
def test_weights_and_thresholds_follow_autograd_through_the_soft_threshold(nesterov):
    """w and s as parameters of autograd, stepped by torch's SGD; s decays before its step."""
    settings = {"lr": 0.3, "momentum": 0.8, "nesterov": nesterov}
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), weight_decay=0.01, **settings)
    method = made(model, optimizer, s_init=-3.0, threshold_decay=0.6)
    first, second = network()[0], network()[2]
    s = [torch.tensor(-3.0, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    layers = [*first.parameters(), *second.parameters()]
    plain = torch.optim.SGD([
        {"params": layers, "weight_decay": 0.01}, {"params": s, "weight_decay": 0.0},
    ], **settings)  # fmt: skip
    for step in range(1, STEPS + 1):
        take_step(model, optimizer, method, step)
        plain.zero_grad()
        shrunk = [
            torch.sign(layer.weight) * torch.relu(layer.weight.abs() - torch.sigmoid(one))
            for layer, one in zip((first, second), s, strict=True)
        ]
        hidden = torch.tanh(nn.functional.linear(inputs(step), shrunk[0], first.bias))
        nn.functional.linear(hidden, shrunk[1], second.bias).square().mean().backward()
        with torch.no_grad():
            for one in s:
                one.mul_(math.exp(-0.6 / STEPS))
        plain.step()
        for name, layer, one in zip(("0", "2"), (first, second), s, strict=True):
            torch.testing.assert_close(method.dense[name], layer.weight.detach())
            torch.testing.assert_close(method.s[name], one.detach())
    pruned = sum(layer.size - layer.active for layer in method.layers)
    assert 5 < pruned < 67, "thresholds matter in this test"


def test_a_step_by_hand():
    """σ(0) = 0.5: w = (2, −1, 0.25) is used as (1.5, −0.5, 0).

    Loss w̃·x, x = (1, 2, 4): g = (1, 2, 4), 0 for the third, which is not active. ∂L/∂s =
    −σ'(0) · (1·1 + 2·(−1)) = 0.25. With lr 0.1 and no decay s = −0.025, w = (1.9, −1.2, 0.25).
    """
    model = nn.Linear(3, 1, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[2.0, -1.0, 0.25]]))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    method = made(model, optimizer, s_init=0.0, threshold_decay=0.0)
    torch.testing.assert_close(model.weight.detach(), torch.tensor([[1.5, -0.5, 0.0]]))
    model(torch.tensor([[1.0, 2.0, 4.0]])).sum().backward()
    method.after_backward(1)
    optimizer.step()
    method.after_step(1)
    (weight,) = method.dense.values()
    torch.testing.assert_close(weight, torch.tensor([[1.9, -1.2, 0.25]]))
    (s,) = method.s.values()
    assert float(s) == pytest.approx(-0.025)
    sigmoid = 1 / (1 + math.exp(0.025))
    shown = torch.tensor([[1.9 - sigmoid, -1.2 + sigmoid, 0.0]])
    torch.testing.assert_close(model.weight.detach(), shown)


def test_the_decay_is_that_of_the_authors_run():
    """Their schedule step by step: s only decays while σ(s) is 0 in floating point."""
    rates = [0.256 * (epoch + 1) / 5 for epoch in range(5)]
    rates += [0.256 * (1 + math.cos(math.pi * epoch / 95)) / 2 for epoch in range(95)]
    steps = math.ceil(1_281_167 / 256)
    total = sum(rates) * steps * 0.00002251757813 / (1 - 0.875)
    assert METHOD.resolve({})["threshold_decay"] == pytest.approx(total, abs=5e-5)
    s, velocity = -3200.0, 0.0
    for rate in rates:
        for _ in range(steps):
            velocity = 0.875 * velocity + 0.00002251757813 * s
            s -= rate * velocity
    assert s == pytest.approx(-3200 * math.exp(-total), rel=5e-3)  # the decay of steps, not of e


@pytest.mark.parametrize("rates", [[0.1], [0.0], [0.4, 0.1, 0.0]])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_s_decays_by_the_same_factor_under_any_schedule(rates, optimizer):
    model = network()
    kinds = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}
    made_optimizer = kinds[optimizer](model.parameters(), 0.1)
    # So low that thresholds are 0 throughout.
    method = made(model, made_optimizer, s_init=-1e9, threshold_decay=5.0)
    for step in range(1, STEPS + 1):
        made_optimizer.param_groups[0]["lr"] = rates[step % len(rates)]
        take_step(model, made_optimizer, method, step)
    for s in method.s.values():
        assert float(s) == pytest.approx(-1e9 * math.exp(-5.0))
    assert method.sparsity_errors() != ""
    method.end_training()
    assert method.sparsity_errors() == ""


def test_the_momentum_of_s_is_adams_first_beta():
    """A constant slope g: SGD with momentum β sums to lr·g·(1 + (1 + β)) in two steps."""
    model = nn.Linear(1, 1, bias=False).double()
    with torch.no_grad():
        model.weight.fill_(100.0)
    optimizer = torch.optim.Adam(model.parameters(), 1e-9, betas=(0.6, 0.9))
    method = made(model, optimizer, s_init=0.0, threshold_decay=0.0, sparsity=0.0)
    for step in (1, 2):
        optimizer.zero_grad()
        model(torch.ones(1, 1, dtype=torch.float64)).sum().backward()
        method.after_backward(step)
        optimizer.step()
        method.after_step(step)
    (s,) = method.s.values()
    assert float(s) == pytest.approx(1e-9 * 0.25 * (1 + 1.6), rel=1e-6)


def projected(
    weights: list[list[float]], s: list[float], sparsity: float
) -> tuple[STR, list[torch.Tensor]]:
    """Return the method and the final weights of two layers with one output."""
    torch.manual_seed(0)
    model = nn.Sequential(*(nn.Linear(len(row), 1, bias=False) for row in weights))
    with torch.no_grad():
        for layer, row in zip(model, weights, strict=True):
            layer.weight.copy_(torch.tensor([row]))
    method = made(model, torch.optim.SGD(model.parameters(), 0.1), 1, sparsity)
    for one, value in zip(method.s.values(), s, strict=True):
        one.fill_(value)
    with torch.no_grad():
        method.show(None)
    method.end_training()
    return method, [layer.weight.detach().flatten() for layer in model]


QUARTER = math.log(1 / 3)
"""σ of this is 1/4."""


@pytest.mark.parametrize(
    ("sparsity", "first", "second", "before"),
    [
        # |w| / σ: layer 0, σ = ½: 4, 2, 0.4, 0.8; layer 1, σ = ¼: 0.8, 3.2, 1.2, 0.4. Before: the
        # ratios up to 1 are pruned, 4 of 8 weights.
        (0.5, [1.6, -0.6, 0.0, 0.0], [0.0, -0.6, 0.1, 0.0], 0.5),  # factor 0.8
        (0.75, [1.0, 0.0, 0.0, 0.0], [0.0, -0.3, 0.0, 0.0], 0.5),  # factor 2
        # Factor 0.4: weights that were pruned come back. Of the four at 0.4 and 0.8 two are 0.8.
        (0.25, [1.8, -0.8, 0.0, 0.2], [0.1, -0.7, 0.2, 0.0], 0.5),
        # The ties at 0.8: the lower index is kept, layer by layer; it is 0 itself.
        (0.375, [1.6, -0.6, 0.0, 0.0], [0.0, -0.6, 0.1, 0.0], 0.5),
    ],
)
def test_one_factor_on_all_thresholds_by_hand(sparsity, first, second, before):
    method, weights = projected(
        [[2.0, -1.0, 0.2, 0.4], [0.2, -0.8, 0.3, -0.1]], [0.0, QUARTER], sparsity
    )
    torch.testing.assert_close(weights[0], torch.tensor(first))
    torch.testing.assert_close(weights[1], torch.tensor(second))
    zeros = [layer.size - layer.active for layer in method.layers]
    assert sum(zeros) == 8 * sparsity
    assert method.sparsity_errors() == ""
    assert method.metrics()["sparsity_before_projection"] == before
    assert "validation_score_before_projection" not in method.metrics()


def test_thresholds_of_0_in_floating_point_are_ranked():
    """Two layers at s = −3200 and −3199: σ differs by a factor of e, and is 0 in float64 too."""
    method, weights = projected([[1.0, 2.0, 3.0], [1.0, 2.0, 9.0]], [-3200.0, -3199.0], 0.5)
    # |w| / σ, as multiples of e³¹⁹⁹: e, 2e, 3e and 1, 2, 9. The three lowest: 1, 2, e.
    assert [layer.mask.flatten().tolist() for layer in method.layers] == [
        [False, True, True],
        [False, False, True],
    ]
    # The factor makes the thresholds e / e = 1 in the first layer, and e in the second.
    torch.testing.assert_close(weights[0], torch.tensor([0.0, 1.0, 2.0]))
    torch.testing.assert_close(weights[1], torch.tensor([0.0, 0.0, 9.0 - math.e]))


def test_a_record_states_where_sparsity_and_validation_stood():
    outcome = trained(trial("str"))
    metrics, notes = outcome.record.metrics, outcome.record.notes
    assert 0 < metrics["sparsity_before_projection"] < 1
    assert 0 < metrics["validation_score_before_projection"] <= 1
    last = [row for row in outcome.curves.rows if row[2] == "validation_accuracy"][-1]
    assert metrics["validation_score_before_projection"] == pytest.approx(last[-1])
    assert any("the thresholds left a sparsity of" in note for note in notes)
    zeros = sum(layer.zeros for layer in outcome.record.layers)
    assert zeros == math.floor(0.9 * sum(layer.size for layer in outcome.record.layers))


@pytest.mark.parametrize(
    ("left", "target", "far"),
    [
        (1.0, 0.9, True),  # nothing is active
        (0.94, 0.9, False),  # 6 % of the weights, not 10 %
        (0.96, 0.9, True),  # 4 %
        (0.81, 0.9, False),
        (0.79, 0.9, True),  # 21 %
        (0.97, 0.99, True),
        (0.35, 0.5, True),
        (0.0, 0.0, False),
    ],
)
def test_what_is_far_from_the_target(left, target, far):
    assert is_far(left, target) == far


@pytest.mark.parametrize(
    ("s_init", "left", "way"),
    [
        (2.0, "1.0000", "lower threshold_decay, or give an s_init further below 0"),
        (-3200.0, "0.0000", "raise threshold_decay, or give an s_init closer to 0"),
    ],
)
def test_thresholds_that_miss_the_target_are_warned_of_after_the_last_step(s_init, left, way):
    torch.manual_seed(0)
    model = torch.nn.Linear(40, 10)  # |w| < 0.16, thresholds σ(2) = 0.88 and 0
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4)
    handle = sparsify(
        model, optimizer, "str", sparsity=0.9, steps=3, s_init=s_init, threshold_decay=0.0
    )
    said = rf"str: before the projection the sparsity was {left}, far from the target 0\.9: .*{way}"
    for step in range(3):
        with pytest.warns(SparsityWarning, match=said) if step == 2 else nullcontext():
            optimizer.zero_grad()
            model(torch.randn(8, 40)).square().sum().backward()
            optimizer.step()
    assert handle.sparsity == 0.9
    assert sum("far from the target" in note for note in handle.sparsifier.notes()) == 1
    optimizer.step()  # said once
