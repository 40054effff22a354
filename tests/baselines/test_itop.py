"""RigL-ITOP and SET-ITOP: RigL and SET under the authors' settings."""

import math

import pytest
import torch

from suite.sparsity.plan import Plan
from suite.sparsity.schedule import CosineDecay
from tests.support.helpers import fit, make
from tests.support.updates import attached, by, indices, watch_update


@pytest.mark.parametrize("method", ["rigl_itop", "set_itop"])
def test_the_drop_fraction_is_that_of_the_annealing_of_torch(method):
    """The authors anneal a learning rate from 0.5 to 0.005, and read it."""
    plan = Plan(steps=400, sparsity=0.9, seed=0, steps_per_epoch=10)
    sparsifier = make(method, plan, update_every=10)
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=0.5)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 400, eta_min=0.005)
    for step in range(1, 400):
        optimizer.step()
        theirs.step()
        assert sparsifier.fraction(step) == pytest.approx(theirs.get_last_lr()[0], rel=1e-9)


def test_without_a_floor_the_cosine_is_that_of_rigl():
    assert CosineDecay(0.3, 100)(40) == 0.3 / 2 * (1 + math.cos(math.pi * 40 / 100))
    assert CosineDecay(0.3, 100)(100) == 0
    assert CosineDecay(0.5, 100, 0.005)(100) == CosineDecay(0.5, 100, 0.005)(200) == 0.005
    assert CosineDecay(0.5, 100, 0.1)(50) == pytest.approx(0.3)
    assert CosineDecay(0.001, 100, 0.005)(50) == 0.001


@pytest.mark.parametrize(
    ("method", "steps", "every"),
    [
        ("rigl_itop", 97_750, 4072),  # CIFAR, 250 epochs of 391 steps: 4,000 in the authors' code
        ("set_itop", 97_750, 1503),  # 1,500
        ("rigl_itop", 2340, 97),  # five epochs of Fashion-MNIST
        ("set_itop", 2340, 36),
        ("rigl_itop", 10, 1),
    ],
)
def test_the_interval_is_a_fraction_of_training(method, steps, every):
    sparsifier = make(method, Plan(steps, 0.9, 0, 0), update_every="auto")
    updates = [step for step in range(1, steps + 1) if sparsifier.is_update(step)]
    assert updates == list(range(every, steps, every))
    assert sparsifier.effective_options()["update_every"] == every


def test_rigl_itop_drops_the_smallest_weights_and_grows_the_largest_gradients():
    step = 40
    fraction = 0.005 + 0.495 / 2 * (1 + math.cos(math.pi * step / 120))
    for mask, values, gradient, after in watch_update("rigl_itop", step).values():
        active = indices(mask)
        if len(active) == mask.numel():
            continue
        drop = math.floor(fraction * len(active))
        kept = by(values.abs(), active, len(active) - drop, largest=True)
        grown = by(gradient.abs(), set(range(mask.numel())) - kept, drop, largest=True)
        assert indices(after) == kept | grown


def test_set_itop_drops_the_smallest_weights_and_grows_at_random():
    step = 40
    fraction = 0.005 + 0.495 / 2 * (1 + math.cos(math.pi * step / 120))
    for mask, values, _, after in watch_update("set_itop", step).values():
        active = indices(mask)
        if len(active) == mask.numel():
            continue
        drop = math.floor(fraction * len(active))
        assert drop > 0
        assert by(values.abs(), active, len(active) - drop, largest=True) <= indices(after)
        assert len(indices(after)) == len(active)


def test_rigl_itop_explores_more_weights_than_rigl():
    rates = []
    for method in ("rigl_itop", "rigl"):
        model, optimizer, sparsifier = attached(method)
        fit(model, optimizer, sparsifier)
        rates.append(sparsifier.metrics()["exploration_rate"])
    assert rates[0] > rates[1]


@pytest.mark.parametrize(
    ("steps", "options", "why"),
    [
        (1, {"update_every": 1}, "step 1, and update_end=0.75 ends them before step 1)"),
        (300, {"update_every": 100, "update_end": 0.2},
         "step 100, and update_end=0.2 ends them before step 60): the first masks stay; give a "
         "smaller update_every or a larger update_end"),
        (40, {"update_every": 50}, "step 50): "),
    ],
)  # fmt: skip
def test_a_training_without_an_update_says_why(steps, options, why):
    (note,) = make("rigl", Plan(steps, 0.9, 0, 0), **options).notes()
    assert f"(the first would come at {why}" in note


@pytest.mark.parametrize("method", ["rigl_itop", "set_itop", "rigl"])
@pytest.mark.parametrize(
    ("steps", "options", "way"),
    [
        (1, {"update_every": 1}, "train for more steps"),
        (1, {"update_every": 5}, "train for more steps"),
        (40, {"update_every": 1, "update_end": 0.03}, "raise update_end"),
        (40, {"update_every": 50, "update_end": 0.03}, "raise update_end and give a smaller"),
        (40, {"update_every": 50, "update_end": 0.5}, "give a smaller update_every"),
    ],
)
def test_a_training_without_an_update_says_what_would_give_one(method, steps, options, way):
    (note,) = make(method, Plan(steps, 0.9, 0, 0), **options).notes()
    assert f"the first masks stay; {way}" in note
