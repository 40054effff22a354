"""AC/DC's phases, against the published schedule, and its rule, worked out by hand."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from suite import sparsify
from suite.core.errors import InvalidInput, SparsityWarning
from suite.sparsity.flops import FlopsLedger, measure_forward
from suite.sparsity.plan import Plan
from tests.support.helpers import OPTIMIZERS, PLAN, attach, batch_of, digits, fit, make
from tests.support.updates import attached, by, indices

HUNDRED = Plan(steps=100, sparsity=0.9, seed=0, steps_per_epoch=10)


def test_the_phases_of_100_epochs_are_the_published_ones():
    switches = make("acdc", HUNDRED).switches
    assert [step for step, kind in switches.items() if kind] == [10, 20, 30, 40, 50, 60, 70, 85]
    assert [step for step, kind in switches.items() if not kind] == [15, 25, 35, 45, 55, 65, 75]
    assert list(switches) == sorted(switches)


@pytest.mark.parametrize(
    ("options", "switches"),
    [
        # An even number of phases: the last dense one begins earlier.
        (
            {"phase": 0.13},
            {10: True, 23: False, 36: True, 49: False, 62: True, 75: False, 85: True},
        ),
        ({"phase": 0.3}, {10: True, 40: False, 70: True, 75: False, 85: True}),
        ({"warm_up": 0.0, "phase": 0.5}, {1: True, 50: False, 85: True}),
        ({"last_dense": 0.0, "phase": 0.2}, {10: True, 30: False, 50: True, 70: False, 85: True}),
        ({"warm_up": 0.7, "last_dense": 0.15}, {85: True}),
        (
            {"warm_up": 0.5, "last_dense": 0.0, "final": 0.0, "phase": 0.2},
            {50: True, 70: False, 90: True},
        ),
    ],
)
def test_other_lengths_give_other_phases(options, switches):
    assert make("acdc", HUNDRED, **options).switches == switches


def test_more_than_the_whole_training_is_refused():
    with pytest.raises(InvalidInput, match=r"warm_up=0.6.*last_dense=0.3.*final=0.15 add up"):
        make("acdc", HUNDRED, warm_up=0.6, last_dense=0.3)


@pytest.mark.parametrize("steps", range(1, 41))
def test_a_short_training_ends_compressed_and_says_what_it_is(steps):
    sparsifier = make("acdc", Plan(steps, 0.9, 0, 0))
    kinds = list(sparsifier.switches.values())
    assert kinds == [number % 2 == 0 for number in range(len(kinds))]
    assert kinds[-1]
    assert min(sparsifier.switches) >= 1
    assert max(sparsifier.switches) == sparsifier.last <= steps
    assert bool(sparsifier.notes()) == (steps < 20)
    if steps == 9:
        (note,) = sparsifier.notes()
        assert "compressed from step 2, dense from step 3, compressed from step 4" in note


def by_hand(optimizer_of):
    """Return a neuron of four weights and a bias, its optimizer, and AC/DC at 50 %."""
    model = nn.Linear(4, 1)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[4.0, 3.0, 2.0, -1.0]]))
        model.bias.zero_()
    optimizer = optimizer_of(model.parameters())
    sparsifier = make("acdc", Plan(20, 0.5, 0, 0), phase=0.1)
    attach(sparsifier, nn.Sequential(model), optimizer)
    # Compressed from 2, 6, 10, 14 and 17; dense from 4, 8, 12 and 15.
    assert list(sparsifier.switches) == [2, 4, 6, 8, 10, 12, 14, 15, 17]
    return model, optimizer, sparsifier


def step_of(model, optimizer, sparsifier, step):
    model.weight.grad = torch.tensor([[-1.0, 0.0, 0.0, -4.0]])
    model.bias.grad = torch.tensor([-1.0])
    sparsifier.after_backward(step)
    optimizer.step()
    sparsifier.after_step(step)


def test_weights_and_momentum_are_those_worked_out_by_hand():
    model, optimizer, sparsifier = by_hand(lambda p: torch.optim.SGD(p, 1.0, momentum=0.5))
    expected = [
        # Dense: w ← w − g, and the momentum is g.
        ([5, 3, 2, 3], 1),
        # Compressed: of |w| 5, 3, 2, 3 the first two stay (a tie goes to the lower index).
        ([6.5, 3, 0, 0], 2.5),  # momentum 0.5 · −1 − 1 = −1.5
        ([8.25, 3, 0, 0], 4.25),  # −1.75
        # Dense: all momentum is 0 before this step, the bias's too; grown weights wait a step.
        ([9.25, 3, 0, 0], 5.25),
        ([10.75, 3, 0, 4], 6.75),
        # Compressed: of 10.75, 3, 0, 4 the first and the last stay; momentum is kept here:
        # 0.5 · −1.5 − 1 = −1.75 and 0.5 · −4 − 4 = −6.
        ([12.5, 0, 0, 10], 8.5),
    ]
    for step, (weights, bias) in enumerate(expected, start=1):
        step_of(model, optimizer, sparsifier, step)
        assert model.weight.flatten().tolist() == weights
        assert model.bias.item() == bias


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW, torch.optim.NAdam])
def test_under_adam_moments_are_zeroed_and_step_counts_are_kept(kind):
    model, optimizer, sparsifier = by_hand(lambda p: kind(p, 0.01))
    for step in (1, 2, 3):
        step_of(model, optimizer, sparsifier, step)
    moments = [optimizer.state[p][key] for p in model.parameters() for key in
               ("exp_avg", "exp_avg_sq")]  # fmt: skip
    assert all(bool(moment.any()) for moment in moments)
    sparsifier.update(4)
    assert not any(bool(moment.any()) for moment in moments)
    assert all(float(optimizer.state[p]["step"]) == 3 for p in model.parameters())


def test_an_optimizer_whose_momentum_is_not_known_is_refused_at_the_first_step():
    model, optimizer, sparsifier = by_hand(lambda p: torch.optim.Rprop(p, 0.01))
    with pytest.raises(InvalidInput, match="the state 'prev' of Rprop.*use SGD, Adam or AdamW"):
        step_of(model, optimizer, sparsifier, 1)


@pytest.mark.parametrize("distribution", ["global", "erk"])
def test_a_compressed_phase_keeps_the_largest_weights_of_all(distribution):
    model, optimizer, sparsifier = attached("acdc", distribution=distribution)
    fit(model, optimizer, sparsifier, stop=23)
    values = {layer.name: layer.values.clone() for layer in sparsifier.layers}
    assert all(layer.active == layer.size for layer in sparsifier.layers)
    fit(model, optimizer, sparsifier, start=23, stop=24)
    if distribution == "global":
        flat = torch.cat([value.flatten() for value in values.values()])
        total = len(flat)
        kept = by(flat.abs(), set(range(total)), total - int(0.9 * total), largest=True)
        masks = torch.cat([layer.mask.flatten() for layer in sparsifier.layers])
        assert indices(masks) == kept
        return
    for layer in sparsifier.layers:
        keep = layer.size - sparsifier.target_zeros()[layer.name]
        flat = values[layer.name].flatten()
        assert indices(layer.mask) == by(flat.abs(), set(range(layer.size)), keep, largest=True)


def test_masks_are_exact_and_fixed_in_compressed_phases_and_full_in_dense_ones():
    model, optimizer, sparsifier = attached("acdc")
    size = sum(layer.size for layer in sparsifier.layers)
    masks: dict[int, torch.Tensor] = {}

    def note(step: int) -> None:
        masks[step] = torch.cat([layer.mask.flatten() for layer in sparsifier.layers])

    fit(model, optimizer, sparsifier, after=note)
    is_compressed, different = False, set()
    for step in range(1, PLAN.steps + 1):
        is_compressed = sparsifier.switches.get(step, is_compressed)
        assert int(masks[step].sum()) == (size - int(0.9 * size) if is_compressed else size)
        if step > 1 and step not in sparsifier.switches:
            assert torch.equal(masks[step], masks[step - 1])
        if is_compressed:
            different.add(tuple(indices(masks[step])))
    assert len(different) > 4, "a compressed phase chooses its mask anew"


def test_flops_are_charged_phase_by_phase():
    model = nn.Sequential(nn.Linear(10, 10, bias=False))
    plan = Plan(120, 0.5, 0, 0)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    sparsifier = make("acdc", plan)
    attach(sparsifier, model, optimizer)
    ledger = FlopsLedger(measure_forward(model, torch.ones(1, 10)), 4)
    for step in range(1, 121):
        model[0].weight.grad = torch.randn(10, 10, generator=torch.Generator().manual_seed(step))
        ledger.charge_step(sparsifier.layers, dense_gradient=False)
        sparsifier.after_backward(step)
        optimizer.step()
    # Seven compressed phases of 6 steps and one of 18; the other 60 steps are dense.
    assert ledger.total == 4 * 3 * (60 * 200 + 60 * 100)


@pytest.mark.parametrize("at", [20, 26, 110])
def test_a_sparsity_is_raised_in_any_phase(at):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    optimizer = OPTIMIZERS["sgd"](model)
    handle = sparsify(model, optimizer, "acdc", sparsity=0.7, steps=120)

    def train(start, stop):
        for step in range(start + 1, stop + 1):
            x, y = batch_of(digits(), step, 32)
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()

    train(0, at)
    handle.extend(sparsity=0.9, steps=40)
    train(at, 160)
    size = sum(mask.numel() for mask in handle.masks().values())
    assert sum(int((~mask).sum()) for mask in handle.masks().values()) == int(0.9 * size)


def test_a_training_without_whole_phases_warns():
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    with pytest.warns(SparsityWarning, match="shorter than a step in a training of 9"):
        sparsify(model, OPTIMIZERS["sgd"](model), "acdc", sparsity=0.7, steps=9)


def test_a_plan_that_is_in_another_phase_starts_it_at_the_next_step():
    """At step 18 the plan of 100 steps is dense (15 to 20); that of 60 is compressed (18 to 21)."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    optimizer = OPTIMIZERS["sgd"](model)
    sparsifier = make("acdc", HUNDRED)
    attach(sparsifier, model, optimizer)
    fit(model, optimizer, sparsifier, stop=18)
    assert all(layer.active == layer.size for layer in sparsifier.layers)
    shorter = sparsifier.continue_as(replace(HUNDRED, steps=60), vars(sparsifier.options), 18)
    again = make("acdc", replace(HUNDRED, steps=60))
    again.load_method_state(shorter.method_state())
    assert shorter.late == again.late == 19
    fit(model, optimizer, shorter, start=18, stop=19)
    assert shorter.has_final_zeros
    longer = shorter.continue_as(replace(HUNDRED, steps=65), vars(sparsifier.options), 19)
    assert longer.late == 0  # compressed from 19 to 22 too
    fit(model, optimizer, longer, start=19)
    assert longer.sparsity_errors() == ""
