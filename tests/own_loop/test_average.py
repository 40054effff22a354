"""An average of a sparse model's weights is as sparse as the model."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn

from suite import sparsify
from suite.core.errors import InvalidInput
from suite.own_loop.average import Average
from suite.training.serialization import pack, unpack
from tests.own_loop.loops import BRIEF, brisk
from tests.support.helpers import OPTIMIZERS, batch_of, conv_net, digits

STEPS, HALF = BRIEF.steps, 13


def attached(method: str, model: nn.Module | None = None, optimizer: str = "sgd", **options):
    """Return a model, its optimizer and the handle of a method that updates often."""
    model = conv_net() if model is None else model
    built = OPTIMIZERS[optimizer](model)
    given = {"sparsity": 0.9, "steps": STEPS, "steps_per_epoch": BRIEF.steps_per_epoch}
    given |= brisk(method) | ({"update_every": 5} if method == "magnitude" else {})
    return model, built, sparsify(model, built, method, **given | options)


def train(model, optimizer, after=lambda step: None, start=0, stop=STEPS):
    data = digits()
    for step in range(start + 1, stop + 1):
        optimizer.zero_grad()
        x, y = batch_of(data, step, 8)
        F.cross_entropy(model(x.to(next(model.parameters()).dtype)), y).backward()
        optimizer.step()
        after(step)


def average_of(model, handle, decay=0.9) -> Average:
    return Average(model, handle.sparsifier.layers, decay)


def same_bits(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


@pytest.mark.parametrize("execution", ["masked", "csr"])
@pytest.mark.parametrize("decay", [0.9, None])
@pytest.mark.parametrize("method", ["magnitude", "rigl", "resonance"])
def test_the_average_is_zero_outside_the_masks_of_every_step(method, decay, execution):
    model, optimizer, handle = attached(method, execution=execution)
    average = average_of(model, handle, decay)

    def check(step):
        average.update()
        for name, mask in handle.masks().items():
            weight = average.model.get_submodule(name).weight
            assert not weight[~mask].any(), (step, name)

    train(model, optimizer, check)
    active = sum(int(mask.sum()) for mask in handle.masks().values())
    averaged = [average.model.get_submodule(name).weight for name in handle.masks()]
    assert sum(w.count_nonzero() for w in averaged) > 0.9 * active
    assert handle.sparsity == pytest.approx(0.9, abs=1e-3)


@pytest.mark.parametrize("decay", [0.9, None])
def test_under_constant_masks_it_is_torch_s_average(decay):
    model, optimizer, handle = attached("static")
    average = average_of(model, handle, decay)
    theirs = AveragedModel(
        model, multi_avg_fn=None if decay is None else get_ema_multi_avg_fn(decay)
    )

    def update(step):
        average.update()
        theirs.update_parameters(model)

    train(model, optimizer, update)
    for name, value in theirs.module.named_parameters():
        # Equal weights: they divide in single precision.
        tolerance = 0 if decay else 1e-6
        own = average.model.get_parameter(name)
        torch.testing.assert_close(own, value, rtol=tolerance, atol=tolerance, msg=name)
    assert same_bits(dict(model.named_buffers()), dict(average.model.named_buffers()))
    assert average.updates == STEPS


@pytest.mark.parametrize("decay", [0.75, None])
def test_a_pruned_weight_is_zero_at_once_and_a_grown_one_starts_at_zero(decay):
    model = nn.Linear(4, 1, bias=False).double()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    handle = sparsify(model, optimizer, "static", sparsity=0.5, steps=9)
    (layer,) = handle.sparsifier.layers
    average = average_of(model, handle, decay)

    def take(mask: list[int], values: list[float]) -> list[float]:
        layer.set_mask(torch.tensor([mask], dtype=torch.bool))
        with torch.no_grad():
            model.weight.copy_(torch.tensor([values]))
        average.update()
        return average.model.weight[0].tolist()

    assert take([1, 1, 0, 0], [8.0, 8.0, 0.0, 0.0]) == [8.0, 8.0, 0.0, 0.0]
    second = take([1, 0, 1, 0], [4.0, 0.0, 4.0, 0.0])
    assert second == ([7.0, 0.0, 1.0, 0.0] if decay else [6.0, 0.0, 2.0, 0.0])
    third = take([1, 1, 0, 0], [3.0, 4.0, 0.0, 0.0])  # the second one is grown again
    assert third == pytest.approx([6.0, 1.0, 0, 0] if decay else [5.0, 4 / 3, 0, 0])


def test_masks_that_change_without_an_update_are_followed():
    model, optimizer, handle = attached("static")
    average = average_of(model, handle)
    train(model, optimizer, lambda step: average.update(), stop=3)
    layer = handle.sparsifier.layers[2]
    fewer = layer.mask & (torch.arange(256) < 128)
    layer.set_mask(fewer)
    assert not average.model[6].weight[~fewer].any()
    assert torch.equal(average.model[6].weight != 0, fewer)


def test_weights_that_were_written_outside_the_masks_do_not_enter_the_average():
    model, _, handle = attached("static")
    average = average_of(model, handle)
    with torch.no_grad():
        model[6].weight.fill_(1.0)
    average.update()
    assert torch.equal(average.model[6].weight, handle.masks()["6"].float())


@pytest.mark.parametrize("method", ["magnitude", "rigl"])
def test_csr_gives_the_average_of_masked_training(method):
    found = []
    for execution in ("masked", "csr"):
        model, optimizer, handle = attached(method, conv_net().double(), execution=execution)
        average = average_of(model, handle)
        train(model, optimizer, lambda step: average.update())  # noqa: B023
        found.append(dict(average.model.named_parameters()))
        assert all(type(m) in (nn.Linear, nn.Conv2d) for m in average.model if hasattr(m, "weight")
                   and not isinstance(m, nn.BatchNorm2d))  # fmt: skip
    masked, csr = found
    for name, value in masked.items():
        torch.testing.assert_close(csr[name], value, rtol=1e-9, atol=1e-12)


def test_the_model_is_an_ordinary_one_that_is_not_trained():
    model, optimizer, handle = attached("rigl", execution="csr")
    model.train()
    average = average_of(model, handle)
    train(model, optimizer, lambda step: average.update())
    assert not average.model.training
    assert not any(p.requires_grad or p.grad is not None for p in average.model.parameters())
    restored = conv_net()
    restored.load_state_dict(average.model.state_dict())
    x = digits().x[:20]
    assert torch.equal(restored.eval()(x), average.model(x))


def test_statistics_of_norms_can_be_computed_for_the_average():
    model, optimizer, handle = attached("rigl")
    average = average_of(model, handle)
    train(model, optimizer, lambda step: average.update())
    x = digits().x[:256]
    update_bn([x], average.model)
    inputs = average.model[0](x)
    torch.testing.assert_close(average.model[1].running_mean, inputs.mean((0, 2, 3)))


class Tied(nn.Module):
    """A bag of words whose embedding is also the weight of its output layer."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(17, 64)
        self.head = nn.Linear(64, 17)
        self.head.weight = self.embedding.weight

    def forward(self, x):
        return self.head(torch.tanh(self.embedding((5 * x + 5).long().flatten(1)).mean(1)))


def test_a_shared_weight_is_averaged_once_and_stays_shared():
    torch.manual_seed(0)
    model, optimizer, handle = attached("static", Tied())
    average = average_of(model, handle, 0.5)
    expected = model.head.weight.detach().clone()
    assert average.model.head.weight is average.model.embedding.weight

    def check(step):
        average.update()
        latest = model.head.weight.detach()
        expected.copy_(latest if step == 1 else expected.lerp(latest, 0.5))
        assert torch.equal(average.model.embedding.weight, expected)

    for step in range(1, 6):
        optimizer.zero_grad()
        x, y = batch_of(digits(), step, 8)
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
        check(step)
    assert bool((average.model.head.weight == 0).sum() >= (~handle.masks()["head"]).sum())
    again = average_of(model, handle, 0.5)
    again.load_state_dict(average.state_dict())
    assert torch.equal(again.model.head.weight, expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_the_average_has_the_dtype_of_the_model(dtype):
    model, optimizer, handle = attached("static", conv_net().to(dtype))
    average = average_of(model, handle)
    train(model, optimizer, lambda step: average.update(), stop=3)
    assert {p.dtype for p in average.model.parameters()} == {dtype}


@pytest.mark.parametrize("decay", [0.9, None])
@pytest.mark.parametrize("execution", ["masked", "csr"])
def test_a_saved_average_goes_on_bit_for_bit(decay, execution):
    whole, optimizer, handle = attached("rigl", execution=execution)
    average = average_of(whole, handle, decay)
    train(whole, optimizer, lambda step: average.update(), stop=HALF)
    saved = copy.deepcopy([whole.state_dict(), optimizer.state_dict(), handle.state_dict()])
    packed = pack(average.state_dict())
    train(whole, optimizer, lambda step: average.update(), start=HALF)

    again, optimizer, handle = attached("rigl", execution=execution)
    resumed = average_of(again, handle, decay)
    again.load_state_dict(saved[0])
    optimizer.load_state_dict(saved[1])
    handle.load_state_dict(saved[2])
    resumed.load_state_dict(unpack(packed)[0])
    train(again, optimizer, lambda step: resumed.update(), start=HALF)
    assert same_bits(average.model.state_dict(), resumed.model.state_dict())
    assert resumed.updates == STEPS


def test_a_state_that_does_not_fit_is_refused_and_changes_nothing():
    model, optimizer, handle = attached("rigl")
    average = average_of(model, handle)
    train(model, optimizer, lambda step: average.update())
    good = copy.deepcopy(average.state_dict())
    _, _, other = attached("rigl")
    fresh = average_of(other.model, other)
    before = copy.deepcopy(fresh.state_dict())
    tensors = good["tensors"]
    wrong = {
        "outside the mask of layer '0': load the method's state first": good,
        r"decay=0.9, this one None: resume with decay=0.9": good,
        "'8.bias' differs": good | {"tensors": tensors | {"8.bias": torch.zeros(9)}},
        "'extra' differs": good | {"tensors": tensors | {"extra": torch.zeros(9)}},
        "'0.weight' differs": good | {"tensors": {"0.bias": tensors["0.bias"]}},
        "state with method, step, .* is not that of an average": handle.state_dict(),
    }
    for says, state in wrong.items():
        target = average_of(other.model, other, None) if "None" in says else fresh
        with pytest.raises(InvalidInput, match=says) as refusal:
            target.load_state_dict(state)
        assert "\n" not in str(refusal.value)
    assert same_bits(fresh.state_dict()["tensors"], before["tensors"])
    assert fresh.updates == 0


def test_an_applied_average_is_evaluated_and_taken_back_bit_for_bit():
    model, optimizer, handle = attached("rigl")
    average = average_of(model, handle)
    train(model, optimizer, lambda step: average.update(), stop=HALF)
    before = copy.deepcopy(model.state_dict())
    pointers = [p.data_ptr() for p in model.parameters()]
    averaged = copy.deepcopy(average.model.state_dict())
    x = digits().x[:50]
    with average.applied():
        assert same_bits(model.state_dict(), averaged)
        assert handle.sparsity == pytest.approx(0.9, abs=1e-3)
        assert torch.equal(model.eval()(x), average.model(x))
        model.train()(x)  # changes the norm's statistics
    assert same_bits(model.state_dict(), before)
    assert same_bits(average.model.state_dict(), averaged)
    assert [p.data_ptr() for p in model.parameters()] == pointers

    other, other_optimizer, _ = attached("rigl")
    train(other, other_optimizer)
    train(model, optimizer, start=HALF)
    assert same_bits(model.state_dict(), other.state_dict())


def test_an_error_within_the_block_takes_the_average_back_too():
    model, optimizer, handle = attached("rigl")
    average = average_of(model, handle)
    train(model, optimizer, lambda step: average.update(), stop=5)
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ZeroDivisionError), average.applied():
        raise ZeroDivisionError
    assert same_bits(model.state_dict(), before)
    average.update()
    assert average.updates == 6


def test_training_on_within_the_block_is_refused():
    model, _, handle = attached("rigl")
    average = average_of(model, handle)
    with average.applied():
        with pytest.raises(InvalidInput, match=r"update\(\) inside applied\(\)"):
            average.update()
        with (
            pytest.raises(InvalidInput, match=r"applied\(\) inside applied\(\)"),
            average.applied(),
        ):
            pass
    assert average.updates == 0


def test_an_average_is_not_applied_to_values_in_csr():
    model, _, handle = attached("static", execution="csr")
    average = average_of(model, handle)
    before = copy.deepcopy(model.state_dict())
    with (
        pytest.raises(InvalidInput, match=r"layer '6' is stored sparse .*average\.model"),
        average.applied(),
    ):
        pass
    assert same_bits(model.state_dict(), before)


@pytest.mark.parametrize("decay", [1.0, -0.1, "0.9", True, [0.9]])
def test_a_decay_that_is_none_is_refused(decay):
    model, _, handle = attached("static")
    with pytest.raises(InvalidInput, match=r"decay=.* is not usable: give a number in \[0, 1\)"):
        average_of(model, handle, decay)


def test_an_update_reads_nothing_back_from_the_device(monkeypatch):
    model, optimizer, handle = attached("static")
    average = average_of(model, handle)
    train(model, optimizer, lambda step: average.update(), stop=2)

    def refuse(*args):
        raise AssertionError("a value was read back")

    for name in ("item", "__bool__", "__float__", "__int__", "nonzero", "tolist"):
        monkeypatch.setattr(torch.Tensor, name, refuse)
    average.update()
    assert average.updates == 3


@pytest.mark.parametrize("state", [None, 3, "state", [1]])
def test_what_is_no_state_of_an_average_is_refused(state):
    average = Average(nn.Linear(2, 2), [])
    with pytest.raises(InvalidInput, match=r"give what average\.state_dict\(\) returned"):
        average.load_state_dict(state)


def test_a_method_that_adjusts_weights_after_the_last_step_is_refused_an_average():
    data = digits()
    examples = {"examples": batch_of(data, 0, 64), "calibration_examples": 64}
    model, optimizer, handle = attached("sparsegpt", **examples)
    with pytest.raises(InvalidInput, match="average: sparsegpt adjusts the weights that stay"):
        handle.average(0.9)
    train(model, optimizer)
    handle.detach()
    _, _, again = attached("static", model, masks="nonzero", sparsity=None)  # what the message says
    again.average(0.9)
    attached("wanda", **examples)[2].average(0.9)  # it leaves values as they are
