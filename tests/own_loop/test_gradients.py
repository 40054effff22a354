"""Both loops train alike: what is clipped, accumulated and scaled, and what a method reads."""

import copy
import functools
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from suite import sparsify
from suite.core.errors import InvalidInput
from suite.own_loop.gradients import GradientMasking
from suite.sparsity.plan import Plan
from suite.sparsity.storage.execution import Execution
from tests.own_loop.loops import BRIEF, brisk
from tests.support.helpers import (
    ONE_ROUND,
    OPTIMIZERS,
    PLAN,
    attach,
    batch_of,
    conv_net,
    digits,
    make,
)

CLIP = 0.3


def embedded(
    method: str, model: nn.Module, optimizer: torch.optim.Optimizer, plan: Plan = BRIEF, **options
):
    given = {"sparsity": 0.9, "steps": plan.steps, "steps_per_epoch": plan.steps_per_epoch}
    given |= {"examples": (digits().x, digits().y)}
    return sparsify(model, optimizer, method, **given | brisk(method) | options)


def clip(model) -> torch.Tensor:
    return nn.utils.clip_grad_norm_(model.parameters(), CLIP)


def assert_same(one, other):
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


@pytest.mark.filterwarnings("ignore:.*far from the target:suite.core.errors.SparsityWarning")
@pytest.mark.parametrize("execution", ["masked", "csr"])
@pytest.mark.parametrize("method", ONE_ROUND)
def test_a_clipped_training_has_the_bits_of_the_suites_own_loop(method, execution):
    own, foreign = conv_net(), conv_net()
    own_optimizer, foreign_optimizer = (OPTIMIZERS["sgd"](m) for m in (own, foreign))
    sparsifier = make(method, BRIEF, **brisk(method))
    if execution == "csr" and sparsifier.only_masked:
        with pytest.raises(InvalidInput, match=sparsifier.only_masked):
            attach(sparsifier, own, own_optimizer, storage=Execution(execution))
        return
    attach(sparsifier, own, own_optimizer, storage=Execution(execution))
    embedded(method, foreign, foreign_optimizer, execution=execution)
    for step in range(1, BRIEF.steps + 1):
        x, y = batch_of(digits(), step, 8)
        own_optimizer.zero_grad()
        sparsifier.before_step(step)
        F.cross_entropy(own(x), y).backward()
        sparsifier.read_gradients(step)
        expected = clip(own)
        sparsifier.update_connectivity(step)
        own_optimizer.step()
        sparsifier.after_step(step)
        foreign_optimizer.zero_grad()
        F.cross_entropy(foreign(x), y).backward()
        assert torch.equal(clip(foreign), expected), step
        foreign_optimizer.step()
    sparsifier.end_training()
    assert_same(own, foreign)


@pytest.mark.parametrize("set_to_none", [True, False])
@pytest.mark.parametrize("method", ["rigl", "resonance", "resonance_coherent", "snfs", "granet"])
def test_four_micro_batches_are_one_batch_to_a_method(method, set_to_none):
    whole, parts = conv_net().double().eval(), conv_net().double().eval()
    for model, count in ((whole, 1), (parts, 4)):
        optimizer = OPTIMIZERS["sgd"](model)
        given = {"examples": (digits().x.double(), digits().y)}
        handle = embedded(method, model, optimizer, **given)
        for step in range(1, BRIEF.steps + 1):
            optimizer.zero_grad(set_to_none=set_to_none)
            x, y = batch_of(digits(), step, 8)
            for part_x, part_y in zip(x.double().chunk(count), y.chunk(count), strict=True):
                (F.cross_entropy(model(part_x), part_y) / count).backward()
            clip(model)
            optimizer.step()
        assert handle.step == BRIEF.steps
    for name, value in whole.state_dict().items():
        assert torch.allclose(value, parts.state_dict()[name], atol=1e-9), name
        assert torch.equal(value == 0, parts.state_dict()[name] == 0), name


@pytest.mark.parametrize("clips", [False, True])
@pytest.mark.parametrize("method", ["rigl", "resonance", "resonance_coherent", "snfs"])
def test_a_loss_scale_is_taken_out_before_a_method_reads_gradients(method, clips):
    models = []
    for scaler in (None, torch.amp.GradScaler("cpu", init_scale=2.0**12)):
        model = conv_net()
        optimizer = OPTIMIZERS["sgd"](model)
        embedded(method, model, optimizer)
        for step in range(1, BRIEF.steps + 1):
            optimizer.zero_grad()
            x, y = batch_of(digits(), step, 8)
            loss = F.cross_entropy(model(x), y)
            (loss if scaler is None else scaler.scale(loss)).backward()
            if clips:
                if scaler is not None:
                    scaler.unscale_(optimizer)
                clip(model)
            if scaler is None:
                optimizer.step()
            else:
                scaler.step(optimizer)
                scaler.update()
        models.append(model)
    assert_same(*models)  # a power of two rounds nothing


@pytest.mark.parametrize("method", ["rigl", "resonance"])
def test_gradients_that_are_assigned_by_hand_are_read_and_masked(method):
    backward, by_hand = conv_net(), conv_net()
    for model in (backward, by_hand):
        optimizer = OPTIMIZERS["sgd"](model)
        embedded(method, model, optimizer)
        for step in range(1, BRIEF.steps + 1):
            x, y = batch_of(digits(), step, 8)
            loss = F.cross_entropy(model(x), y)
            if model is backward:
                optimizer.zero_grad()
                loss.backward()
            else:
                parameters = list(model.parameters())
                for parameter, gradient in zip(
                    parameters, torch.autograd.grad(loss, parameters), strict=True
                ):
                    parameter.grad = gradient
            optimizer.step()
    assert_same(backward, by_hand)


def test_noise_on_gradients_does_not_reach_pruned_weights():
    model = conv_net()
    optimizer = OPTIMIZERS["sgd"](model)
    handle = embedded("rigl", model, optimizer)
    for step in range(1, 22):
        optimizer.zero_grad()
        x, y = batch_of(digits(), step, 8)
        F.cross_entropy(model(x), y).backward()
        for parameter in model.parameters():
            parameter.grad.add_(torch.randn_like(parameter.grad), alpha=0.01)
        optimizer.step()
        for layer in handle.sparsifier.layers:
            assert not layer.values[~layer.mask].any()


def test_gradients_are_masked_as_soon_as_backward_returns():
    model = conv_net()
    optimizer = OPTIMIZERS["sgd"](model)
    handle = embedded("resonance", model, optimizer, ramp=0.0)
    for step in range(1, BRIEF.steps + 1):
        optimizer.zero_grad()
        x, y = batch_of(digits(), step, 8)
        F.cross_entropy(model(x), y).backward()
        for layer in handle.sparsifier.layers:
            assert not layer.parameter.grad[~layer.mask].any()
        optimizer.step()
    handle.detach()
    optimizer.zero_grad()
    F.cross_entropy(model(x), y).backward()
    assert all(bool(layer.parameter.grad[~layer.mask].any()) for layer in handle.sparsifier.layers)


class Synchronizations(TorchDispatchMode):
    """Counts what waits for a device: values read, and sizes that depend on values."""

    WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal", "unique")

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func._overloadpacket.__name__
        if name.removeprefix("aten::") in self.WAITING:
            self.seen.append(name)
        return func(*args, **kwargs or {})


@pytest.mark.parametrize("method", [*ONE_ROUND, "lottery_ticket"])
def test_a_step_without_an_update_does_not_wait_for_the_device(method):
    model = conv_net()
    optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
    handle = embedded(method, model, optimizer, PLAN)
    counted = 0
    for step in range(1, 41):
        x, y = batch_of(digits(), step, 8)
        optimizer.zero_grad()
        with Synchronizations() as found:
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        if not handle.sparsifier.is_update(step):
            assert found.seen == [], step
            counted += 1
    assert counted >= 16


def test_the_stand_in_counts_what_waits():
    tensor = torch.ones(3)
    with Synchronizations() as found:
        tensor.sum().item()
        bool(tensor[0])
        tensor.nonzero()
    assert len(found.seen) == 3


def test_a_copy_of_a_model_has_no_hooks_of_its_method():
    model = conv_net()
    optimizer = OPTIMIZERS["sgd"](model)
    handle = embedded("static", model, optimizer)
    copied = copy.deepcopy(model)
    x, y = batch_of(digits(), 1, 8)
    F.cross_entropy(copied(x), y).backward()
    assert bool(copied[6].weight.grad[~handle.masks()["6"]].any())


@functools.cache
def grown(train):
    """Return a model, to be read only, that `train(model, optimizer, step)` has trained by RigL."""
    model = conv_net()
    optimizer = OPTIMIZERS["sgd"](model)
    embedded("rigl", model, optimizer)
    for step in range(1, BRIEF.steps + 1):
        train(model, optimizer, step)
    return model


def backward(model, step, weight=1.0):
    x, y = batch_of(digits(), step, 8)
    (F.cross_entropy(model(x), y) * weight).backward()


def plain(model, optimizer, step):
    optimizer.zero_grad()
    backward(model, step)
    optimizer.step()


def test_a_second_loss_that_reaches_some_layers_only_leaves_the_others_gradients_dense():
    def with_a_second_loss(model, optimizer, step):
        optimizer.zero_grad()
        backward(model, step)
        (model[8].bias.sum() * 0 + model[8].weight.sum() * 0).backward()
        optimizer.step()

    assert_same(grown(plain), grown(with_a_second_loss))


def test_a_checkpoint_that_runs_its_own_backward_pass_changes_nothing():
    def with_a_checkpoint(model, optimizer, step):
        x, y = batch_of(digits(), step, 8)
        optimizer.zero_grad()
        hidden = torch.utils.checkpoint.checkpoint(model[3:7], model[:3](x), use_reentrant=True)
        F.cross_entropy(model[7:](hidden), y).backward()
        optimizer.step()

    assert_same(grown(plain), grown(with_a_checkpoint))


def test_connections_grow_by_dense_gradients_where_others_were_put_in_their_place():
    def in_place(model, optimizer, step):
        optimizer.zero_grad()
        backward(model, step)
        for parameter in model.parameters():
            parameter.grad.div_(2)
        optimizer.step()

    def replaced(model, optimizer, step):
        optimizer.zero_grad()
        backward(model, step)
        for parameter in model.parameters():
            parameter.grad = parameter.grad / 2
        optimizer.step()

    assert_same(grown(in_place), grown(replaced))


def test_gradients_assigned_by_hand_after_a_pass_are_the_ones_that_are_read():
    def assigned(model, optimizer, step):
        x, y = batch_of(digits(), step, 8)
        optimizer.zero_grad()
        (model(x) ** 2).mean().backward()
        model(x)  # the statistics of BatchNorm are those of one more pass
        parameters = list(model.parameters())
        found = torch.autograd.grad(F.cross_entropy(model(x), y), parameters)
        for parameter, gradient in zip(parameters, found, strict=True):
            parameter.grad = gradient
        optimizer.step()

    def backwards(model, optimizer, step):
        x, _ = batch_of(digits(), step, 8)
        with torch.no_grad():
            model(x)
            model(x)
        plain(model, optimizer, step)

    assert_same(grown(assigned), grown(backwards))


@pytest.mark.parametrize("first", [0, 1])
def test_a_method_reads_dense_gradients_where_optimizers_step_at_different_rates(first):
    model = conv_net()
    optimizers = [OPTIMIZERS["sgd"](model[:5]), OPTIMIZERS["sgd"](model[5:])]
    handle = embedded("rigl", model, optimizers)
    sparsifier, read = handle.sparsifier, {}
    update = sparsifier.update

    def noting(step):
        outside = [layer.dense_gradient[~layer.mask] for layer in sparsifier.layers]
        read[step] = all(bool(part.any()) for part in outside if len(part))
        update(step)

    sparsifier.update = noting
    for step in range(1, BRIEF.steps + 1):
        model.zero_grad()
        backward(model, step)
        for number in (first, 1 - first):
            if number == 0 or step % 2 == 0:
                optimizers[number].step()
    assert read == {10: True, 20: True}
    assert handle.step == BRIEF.steps


def test_a_layer_that_was_frozen_when_its_hook_was_set_is_masked_once_it_is_thawed():
    model = nn.Sequential(nn.Linear(8, 8))
    execution = Execution()
    sparsifier = make("static", replace(BRIEF, sparsity=0.5))
    sparsifier.attach(model, torch.optim.SGD(model.parameters(), 0.1), storage=execution)
    weight, (layer,) = model[0].weight, sparsifier.layers
    weight.requires_grad_(False)
    GradientMasking(execution, model).prepare(reads_dense=False, updates=False)
    assert not weight.requires_grad
    weight.requires_grad_(True)
    model(torch.ones(4, 8)).sum().backward()
    assert bool(weight.grad[layer.mask].all())
    assert not weight.grad[~layer.mask].any()


READING = ("rigl", "gse", "srigl", "granet", "snfs", "resonance", "resonance_coherent")


@pytest.mark.parametrize("execution", ["masked", "csr"])
@pytest.mark.parametrize("method", READING)
def test_a_layer_that_a_step_does_not_use_is_left_alone_also_where_its_gradient_is_zero(
    method, execution
):
    """Gradients of 0 would be ranked by index: the first inputs would grow."""
    models = []
    for set_to_none in (True, False):
        torch.manual_seed(0)
        model = nn.ModuleDict({"often": nn.Linear(64, 40), "odd": nn.Linear(64, 40)})
        model["head"] = nn.Linear(40, 10)
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        handle = embedded(method, model, optimizer, sparsity=0.8, execution=execution)
        for step in range(1, BRIEF.steps + 1):
            x, y = batch_of(digits(), step, 8)
            optimizer.zero_grad(set_to_none=set_to_none)
            x = x.flatten(1)
            hidden = model["often"](x)
            if step % 10 or step % 3 == 0:
                hidden = hidden + model["odd"](x)
            F.cross_entropy(model["head"](hidden.relu()), y).backward()
            optimizer.step()
        assert handle.sparsifier.sparsity_errors() == ""
        models.append(model)
    assert_same(*models)
