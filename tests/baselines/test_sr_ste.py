"""SR-STE against autograd, its masks against a plain loop, its costs and its refusals."""

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from baselines.sr_ste import METHOD, SRSTE, largest
from suite import sparsify
from suite.core.errors import InvalidInput
from suite.sparsity.flops import FlopsLedger, measure_forward
from suite.sparsity.plan import Plan
from suite.training.verify_record import recompute
from tests.support.helpers import trained, trial

STEPS = 20


def by_loop(scores: Tensor, n: int, m: int) -> Tensor:
    """Return the mask of the n highest of every m consecutive entries of dimension 1, plainly."""
    mask = torch.zeros(scores.shape, dtype=torch.bool)
    out, inputs, *kernel = scores.shape
    for place in itertools.product(range(out), *map(range, kernel)):
        at: tuple[Any, ...] = (place[0], slice(None), *place[1:])
        values = scores[at].tolist()
        for start in range(0, inputs, m):
            order = sorted(range(start, start + m), key=lambda i: (-values[i], i))
            for i in order[:n]:
                mask[(place[0], i, *place[1:])] = True
    return mask


@pytest.mark.parametrize("pattern", [(1, 2), (1, 4), (2, 4), (4, 8)])
@pytest.mark.parametrize("shape", [(6, 16), (3, 8, 3, 2)])
def test_masks_are_those_of_a_plain_loop_on_ties_too(pattern, shape):
    generator = torch.Generator().manual_seed(0)
    for highest in (3, 10**6):  # with many ties, and with none
        scores = torch.randint(highest, shape, generator=generator).float()
        assert torch.equal(largest(scores, *pattern), by_loop(scores, *pattern))
    columns = torch.rand(3, 8, 3, 2, generator=generator).to(memory_format=torch.channels_last)
    assert torch.equal(largest(columns, *pattern), by_loop(columns, *pattern))


class Published(torch.autograd.Function):
    """Forward m ⊙ w; backward g + λ (1 − m) ⊙ w (Zhou et al. 2021)."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, decay: float) -> Tensor:
        mask = by_loop(weight.abs(), 2, 4)
        ctx.save_for_backward(weight, mask)
        ctx.decay = decay
        return weight * mask

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        weight, mask = ctx.saved_tensors
        return gradients[0] + ctx.decay * (1 - mask.to(weight.dtype)) * weight, None


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)).double()


def test_training_is_that_of_the_published_autograd_function():
    model, reference = network(), network()
    settings = {"lr": 0.2, "momentum": 0.9, "weight_decay": 0.01}
    optimizer = torch.optim.SGD(model.parameters(), **settings)
    plain = torch.optim.SGD(reference.parameters(), **settings)
    method = SRSTE(Plan(STEPS, 0.5, 0, 0), METHOD.resolve({"decay": 0.03}))
    method.attach(model, optimizer)
    assert set(method.dense) == {"2"}, "the first layer stays dense"
    masks = set()
    for step in range(1, STEPS + 1):
        generator = torch.Generator().manual_seed(step)
        x = torch.randn(16, 6, generator=generator, dtype=torch.float64)
        for one in (optimizer, plain):
            one.zero_grad()
        model(x).square().mean().backward()
        method.after_backward(step)
        optimizer.step()
        method.after_step(step)
        sparse = Published.apply(reference[2].weight, 0.03)
        hidden = torch.tanh(reference[0](x))
        nn.functional.linear(hidden, sparse, reference[2].bias).square().mean().backward()
        plain.step()
        torch.testing.assert_close(method.dense["2"], reference[2].weight.detach())
        torch.testing.assert_close(model[0].weight, reference[0].weight)
        assert torch.equal(method.layers[1].mask, by_loop(method.dense["2"].abs(), 2, 4))
        masks.add(tuple(method.layers[1].mask.flatten().tolist()))
    assert len(masks) > 1, "masks change in this test"
    method.end_training()
    assert method.sparsity_errors() == ""


def test_a_step_by_hand():
    """w = (4, −3, 2, 1) is used as (4, −3, 0, 0); g = (1, 1, 1, 1), λ = 0.1, lr 1.

    w − g − λ (0, 0, 2, 1) = (3, −4, 0.8, −0.1).
    """
    model = nn.Linear(4, 1, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[4.0, -3.0, 2.0, 1.0]]))
    optimizer = torch.optim.SGD(model.parameters(), 1.0)
    handle = sparsify(
        model, optimizer, "sr_ste", sparsity=0.5, steps=9, uniform_dense="none", decay=0.1
    )
    assert model.weight.tolist() == [[4.0, -3.0, 0.0, 0.0]]
    model(torch.ones(1, 4)).sum().backward()
    optimizer.step()
    (dense,) = handle.sparsifier.dense.values()
    torch.testing.assert_close(dense, torch.tensor([[3.0, -4.0, 0.8, -0.1]]))
    torch.testing.assert_close(model.weight.detach(), torch.tensor([[3.0, -4.0, 0.0, 0.0]]))


def test_a_step_costs_2_f_s_and_f_d():
    model = nn.Sequential(nn.Linear(8, 12, bias=False), nn.ReLU(), nn.Linear(12, 4, bias=False))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    x = torch.randn(5, 8)
    forward = measure_forward(model, x)
    options = {"sparsity": 0.5, "steps": 9, "uniform_dense": "none"}
    handle = sparsify(model, optimizer, "sr_ste", **options)
    ledger = FlopsLedger(forward, 5)
    ledger.charge_step(handle.sparsifier.layers, dense_gradient=False)
    dense, half = 2 * (96 + 48), 96 + 48
    assert ledger.total == 5 * (2 * half + dense)
    model(x).sum().backward()
    optimizer.step()
    assert handle.flops(x).training == 2 * half + dense


@pytest.mark.parametrize("uniform_dense", ["first", "first_last"])
def test_a_record_is_checked_exactly(uniform_dense):
    options = {"uniform_dense": uniform_dense}
    outcome = trained(trial("sr_ste", sparsity=0.5, hyperparameters=options))
    found = recompute(outcome.record)
    assert found.problems == []
    assert {check.how for check in found.checks if check.name == "training FLOPs"} <= {"exact"}
    flops = outcome.record.flops
    wrong = outcome.record.model_copy(
        update={"flops": flops | {"training": 0.999 * flops["training"]}}
    )
    assert any("training" in problem for problem in recompute(wrong).problems)
    weight = outcome.tensors["model/3.weight"]
    assert torch.equal((weight != 0).view(-1, 4).sum(1), torch.full((weight.numel() // 4,), 2))


def test_what_does_not_fit_is_refused():
    with pytest.raises(InvalidInput, match=r"pattern=2:4 is a sparsity of 0\.5, not 0\.9"):
        SRSTE(Plan(STEPS, 0.9, 0, 0), METHOD.resolve({}))
    with pytest.raises(InvalidInput, match="pattern='none' is not usable"):
        METHOD.resolve({"pattern": "none"})
    odd = nn.Sequential(nn.Linear(8, 6), nn.Linear(6, 4))
    depthwise = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3, groups=8))
    for model, says in ((odd, "layer '1' has 6 inputs"), (depthwise, "layer '1' has 1 inputs")):
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        with pytest.raises(InvalidInput, match=says):
            sparsify(model, optimizer, "sr_ste", sparsity=0.5, steps=9)
