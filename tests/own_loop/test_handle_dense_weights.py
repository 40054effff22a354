"""Methods with dense weights behind sparse ones, in a loop of one's own."""

import copy
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from suite import sparsify
from suite.core.errors import InvalidInput
from suite.own_loop.handle import Handle
from tests.support.helpers import OPTIMIZERS, batch_of, conv_net, digits, first_quick

STEPS = 24
SETTINGS: dict[str, dict[str, Any]] = {
    "str": {"sparsity": 0.8},
    "sr_ste": {"sparsity": 0.5},
    "top_kast": {"sparsity": 0.8, "update_every": 5},
}
pytestmark = pytest.mark.filterwarnings("ignore:.*far from the target")  # so short a training
METHODS = pytest.mark.parametrize("method", SETTINGS)


class Loop:
    """A small network that a method trains, in a plain loop over the digits."""

    def __init__(
        self, method: str, model: nn.Module | None = None, optimizer: str = "sgd", **given: Any
    ) -> None:
        self.model = conv_net() if model is None else model
        self.optimizer = OPTIMIZERS[optimizer](self.model)
        options = {"steps": STEPS, "steps_per_epoch": 8} | SETTINGS[method] | given
        self.handle: Handle = sparsify(self.model, self.optimizer, method, **options)

    def train(self, stop: int = STEPS, micro: int = 1, scaler: Any = None) -> "Loop":
        kind = next(self.model.parameters()).dtype
        while self.handle.step < stop:
            x, y = batch_of(digits(), self.handle.step + 1, 8)
            self.optimizer.zero_grad()
            for part_x, part_y in zip(x.chunk(micro), y.chunk(micro), strict=True):
                loss = F.cross_entropy(self.model(part_x.to(kind)), part_y) / micro
                (scaler.scale(loss) if scaler else loss).backward()
            if scaler:
                scaler.step(self.optimizer)
                scaler.update()
            else:
                self.optimizer.step()
        return self

    def state(self) -> list[Any]:
        parts = (self.model, self.optimizer, self.handle)
        return copy.deepcopy([part.state_dict() for part in parts])

    def load(self, saved: list[Any], order: tuple[int, ...] = (0, 1, 2)) -> "Loop":
        parts: tuple[Any, ...] = (self.model, self.optimizer, self.handle)
        for place in order:
            parts[place].load_state_dict(saved[place])
        return self


def assert_same(one: Loop, other: Loop) -> None:
    for (name, value), its in zip(
        one.model.state_dict().items(), other.model.state_dict().values(), strict=True
    ):
        assert torch.equal(value, its), name
    for name, mask in one.handle.masks().items():
        assert torch.equal(mask, other.handle.masks()[name]), name
    assert one.handle.sparsifier.metrics() == other.handle.sparsifier.metrics()
    assert one.handle.flops(digits().x[:2]) == other.handle.flops(digits().x[:2])
    assert one.handle.curves().equals(other.handle.curves())


def assert_at_target(loop: Loop) -> None:
    sparsifier = loop.handle.sparsifier
    assert sparsifier.sparsity_errors() == ""
    for layer in sparsifier.execution.masked_weights():
        assert layer.active == int(layer.mask.sum()) == layer.gradients
        for value in loop.optimizer.state[layer.parameter].values():
            if isinstance(value, torch.Tensor) and value.shape == layer.shape:
                assert not value[~layer.mask].any()


@METHODS
@pytest.mark.parametrize("optimizer", first_quick(["sgd", "adamw"]))
def test_a_training_goes_on_from_any_step_with_the_same_bits(method, optimizer):
    whole = Loop(method, optimizer=optimizer).train()
    assert_at_target(whole)
    going = Loop(method, optimizer=optimizer)
    for step in range(1, STEPS + 1):  # from the last step on too: training is over then
        going = Loop(method, optimizer=optimizer).load(going.train(step).state())
    assert_same(whole, going)
    assert_at_target(going)


@METHODS
@pytest.mark.parametrize("order", [(2, 0, 1), (1, 2, 0), (0, 2, 1)])
@pytest.mark.parametrize("stop", [7, STEPS])
def test_model_optimizer_and_method_are_loaded_in_any_order(method, order, stop):
    saved = Loop(method).train(stop).state()
    assert_same(Loop(method).train(), Loop(method).load(saved, order).train())


@METHODS
@pytest.mark.parametrize("at", [0, 13, STEPS])
def test_an_earlier_state_is_loaded_into_a_training_that_went_on(method, at):
    loop = Loop(method).train(7)
    saved = loop.state()
    whole = loop.train()
    other = Loop(method).train(at).load(saved).train()
    assert_same(whole, other)


@METHODS
def test_steps_beyond_the_plan_train_the_active_weights(method):
    loop = Loop(method).train()
    masks = {name: mask.clone() for name, mask in loop.handle.masks().items()}
    loop.train(STEPS + 5)
    assert_at_target(loop)
    assert all(torch.equal(mask, masks[n]) for n, mask in loop.handle.masks().items())
    with pytest.raises(InvalidInput, match=rf"extend: after the last step, {STEPS}, \w+ has kept"):
        loop.handle.extend(steps=5)


@METHODS
def test_a_plan_that_is_extended_ends_at_the_target(method):
    loop = Loop(method).train(10)
    loop.handle.extend(steps=9)
    loop.train(STEPS + 9)
    assert_at_target(loop)
    if method != "sr_ste":
        return
    with pytest.raises(InvalidInput, match=r"pattern=2:4 is a sparsity of 0\.5, not 0\.6"):
        Loop(method).handle.extend(sparsity=0.6)


@pytest.mark.parametrize("method", ["str", "top_kast"])
@pytest.mark.parametrize("step", [0, 12])
def test_a_sparsity_that_is_raised_is_met(method, step):
    loop = Loop(method).train(step)
    loop.handle.extend(sparsity=0.9)
    if method == "top_kast":
        assert loop.handle.sparsity == pytest.approx(0.9, abs=1e-3)
    loop.train()
    assert_at_target(loop)
    assert loop.handle.sparsity == pytest.approx(0.9, abs=1e-3)


@METHODS
def test_a_layer_that_is_frozen_midway_keeps_its_weights_and_its_mask(method):
    loop = Loop(method).train(8)
    frozen = loop.model[6]
    frozen.weight.requires_grad_(False)
    before, mask = frozen.weight.detach().clone(), loop.handle.masks()["6"].clone()
    with pytest.warns(UserWarning, match="layer '6' was frozen"):
        loop.train()
    assert torch.equal(frozen.weight, before)
    assert torch.equal(loop.handle.masks()["6"], mask)


@METHODS
@pytest.mark.filterwarnings("ignore:layer '6' was frozen")
def test_a_layer_that_is_thawed_goes_on_from_its_dense_weights(method):
    loop = Loop(method).train(8)
    weight, dense = loop.model[6].weight, loop.handle.sparsifier.dense["6"]
    before = dense.clone()
    weight.requires_grad_(False)
    loop.train(11)
    assert torch.equal(dense, before)
    weight.requires_grad_(True)
    loop.train(12)
    assert not torch.equal(dense, before)
    assert_at_target(loop.train())


@METHODS
def test_accumulated_gradients_are_those_of_one_batch(method):
    # In evaluation mode: batch statistics differ by micro-batch.
    one, four = (Loop(method, conv_net().double().eval()).train(micro=n) for n in (1, 4))
    for name, value in one.model.state_dict().items():
        torch.testing.assert_close(value, four.model.state_dict()[name])
    for name, mask in one.handle.masks().items():
        assert torch.equal(mask, four.handle.masks()[name])


@METHODS
def test_a_loss_scale_changes_nothing(method):
    # A power of 2 scales without rounding.
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=10**6)
    assert_same(Loop(method).train(), Loop(method).train(scaler=scaler))


@METHODS
def test_a_step_that_a_scaler_skips_changes_nothing(method):
    loop = Loop(method).train(7)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    before = loop.state()
    loop.optimizer.zero_grad()
    x, y = batch_of(digits(), 8, 8)
    scaler.scale(F.cross_entropy(loop.model(x), y) * torch.inf).backward()
    scaler.step(loop.optimizer)
    loop.model.load_state_dict(before[0])  # the statistics of the norm moved
    assert loop.handle.step == 7
    assert_same(Loop(method).train(), loop.train())


@METHODS
def test_an_average_is_as_sparse_as_what_is_shown(method):
    loop = Loop(method)
    average = loop.handle.average(decay=0.5)
    by_hand: dict[str, torch.Tensor] = {}
    for step in range(1, STEPS + 1):
        loop.train(step)
        for layer in loop.handle.sparsifier.layers:
            old = by_hand.get(layer.name)
            new = layer.values if old is None else 0.5 * old + 0.5 * layer.values
            by_hand[layer.name] = new * layer.mask
    for layer in loop.handle.sparsifier.layers:
        averaged = average.model.get_parameter(layer.path)
        torch.testing.assert_close(averaged, by_hand[layer.name])
        assert not averaged[~layer.mask].any()


@METHODS
def test_bfloat16_and_channels_last_end_at_the_target(method):
    assert_at_target(Loop(method, conv_net().bfloat16()).train())
    rows, columns = (Loop(method, conv_net().to(memory_format=kind).double()) for kind in (
        torch.contiguous_format, torch.channels_last,
    ))  # fmt: skip
    rows.train()
    columns.train()
    assert columns.model[3].weight.is_contiguous(memory_format=torch.channels_last)
    for name, mask in rows.handle.masks().items():
        assert torch.equal(mask, columns.handle.masks()[name])
    assert_at_target(columns)


@METHODS
def test_weights_that_a_loop_writes_are_refused_and_the_methods_own_come_back(method):
    loop = Loop(method, steps=80)
    for step in range(1, 64):  # torch does not note writes through data
        loop.train(step)
        loop.model[6].weight.data.mul_(1.5)
    with pytest.raises(InvalidInput, match="layer '6': weights were written"):
        loop.train(64)  # all are looked at every 64 steps
    loop.handle.apply_masks()
    with torch.no_grad():
        loop.model[6].weight.mul_(1.5)
    with pytest.raises(InvalidInput, match="layer '6': weights were written"):
        loop.train(66)
    loop.handle.apply_masks()  # back to the method's own
    assert_at_target(loop.train(80))


@METHODS
def test_another_optimizer_takes_over_and_several_are_refused(method):
    loop = Loop(method).train(8)
    parts = [loop.model[:6], loop.model[6:]]
    several = [torch.optim.SGD(part.parameters(), 0.05) for part in parts]
    with pytest.raises(InvalidInput, match="works for one optimizer, not 2"):
        loop.handle.use(several)
    loop.train(12)  # as before
    loop.optimizer = torch.optim.AdamW(loop.model.parameters(), 1e-3)
    loop.handle.use(loop.optimizer)
    assert_at_target(loop.train())


@METHODS
@pytest.mark.filterwarnings("ignore:export. .* not yet the .* that str ends with")
def test_what_is_exported_and_what_is_left_after_detach_is_what_is_shown(method, tmp_path):
    from safetensors.torch import load_file

    loop = Loop(method).train(11)
    layer = loop.handle.sparsifier.layers[2]
    shown, mask = layer.values.clone(), layer.mask.clone()
    loop.handle.export(tmp_path / "net.safetensors")
    stored = load_file(tmp_path / "net.safetensors")
    assert any(torch.equal(value, shown) for value in stored.values() if value.shape == shown.shape)
    loop.handle.detach()
    assert torch.equal(loop.model[6].weight, shown)
    assert not shown[~mask].any()


@METHODS
def test_a_compiled_model_ends_at_the_target(method):
    loop = Loop(method)
    compiled = torch.compile(loop.model, backend="eager")
    loop.handle.detach()
    loop.model = conv_net()
    loop.optimizer = OPTIMIZERS["sgd"](loop.model)
    compiled = torch.compile(loop.model, backend="eager")
    options = {"steps": STEPS, "steps_per_epoch": 8} | SETTINGS[method]
    loop.handle = sparsify(compiled, loop.optimizer, method, **options)
    loop.model = compiled
    loop.train()
    assert_at_target(loop)
    plain = Loop(method).train()
    for name, mask in plain.handle.masks().items():
        assert torch.equal(mask, loop.handle.masks()[name])
