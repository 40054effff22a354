import math

import pytest
import torch

from suite.core.errors import InvalidInput
from suite.resonance.coherent import Coherent
from tests.support.helpers import OPTIMIZERS, conv_net, fit, make
from tests.support.updates import WithSpare, by, check_spare_stays, indices


@pytest.mark.parametrize(
    ("method", "p", "q"), [("resonance_coherent", 0.5, 0.5), ("rigl_mean_gradient", 0.0, 0.0)]
)
@pytest.mark.parametrize("record_every", [1, 3])
def test_the_rule_is_the_formula_over_the_gradients_since_the_last_update(
    method, p, q, record_every
):
    model = conv_net()
    optimizer = OPTIMIZERS["sgd"](model)
    sparsifier = make(method, record_every=record_every)
    assert isinstance(sparsifier, Coherent)
    sparsifier.attach(model, optimizer)
    layer = sparsifier.layers[2]
    gradients: list[torch.Tensor] = []
    checked = 0
    observe, update = sparsifier.observe, sparsifier.update

    def watch(step: int) -> None:
        if step % record_every == 0:
            gradients.append(layer.dense_gradient.double().clone())
        observe(step)

    def check(step: int) -> None:
        nonlocal checked
        mask, values = layer.mask.clone(), layer.values.clone()
        update(step)
        g = torch.stack(gradients)
        mean, square = g.mean(0), g.square().mean(0)
        drop_scores = values.double().abs() * square.sqrt() ** p
        grow_scores = mean.abs() * (mean.square() / square.clamp_min(1e-300)) ** q
        active = indices(mask)
        drop = math.floor(0.15 * (1 + math.cos(math.pi * step / 90)) * len(active))
        kept = by(drop_scores, active, len(active) - drop, largest=True)
        grown = by(grow_scores, set(range(layer.size)) - kept, drop, largest=True)
        assert len(indices(layer.mask) ^ (kept | grown)) <= 2  # float64 here, float32 there
        gradients.clear()
        checked += 1

    sparsifier.observe, sparsifier.update = watch, check  # type: ignore[method-assign]
    fit(model, optimizer, sparsifier)
    assert checked == 8


def test_growth_by_the_gradient_of_one_step_is_rigl():
    masks = []
    for method, options in (
        ("rigl", {"update_every": 7}),
        ("rigl_mean_gradient", {"record_every": 7, "update_every": 7}),
    ):
        model = conv_net()
        optimizer = OPTIMIZERS["sgd"](model)
        sparsifier = make(method, **options)
        sparsifier.attach(model, optimizer)
        fit(model, optimizer, sparsifier)
        masks.append([layer.mask for layer in sparsifier.layers])
    assert all(map(torch.equal, *masks))


def test_a_shuffled_signal_grows_elsewhere():
    masks = []
    for shuffle in ("none", "fixed", "each"):
        model = conv_net()
        optimizer = OPTIMIZERS["sgd"](model)
        sparsifier = make("resonance_coherent", shuffle=shuffle)
        sparsifier.attach(model, optimizer)
        fit(model, optimizer, sparsifier)
        assert sparsifier.sparsity_errors() == ""
        masks.append(sparsifier.layers[2].mask)
    assert not torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[1], masks[2])


def test_recording_nothing_between_updates_is_refused():
    with pytest.raises(InvalidInput, match="give at most update_every=10"):
        make("resonance_coherent", record_every=11)


@pytest.mark.parametrize("method", ["resonance_coherent", "rigl_mean_gradient"])
@pytest.mark.parametrize("shuffle", ["none", "each"])
def test_a_layer_without_gradients_stays_as_it_is(method, shuffle):
    check_spare_stays(method, shuffle=shuffle)


def test_a_layer_that_had_a_gradient_once_since_the_last_update_grows():
    model = WithSpare(conv_net())
    optimizer = OPTIMIZERS["sgd"](model)
    sparsifier = make("resonance_coherent")
    sparsifier.attach(model, optimizer)
    spare = next(layer for layer in sparsifier.layers if layer.name == "spare")
    first = spare.mask.clone()
    fit(model, optimizer, sparsifier, stop=3)
    optimizer.zero_grad()
    model.spare(torch.rand(8, 40)).square().sum().backward()
    sparsifier.after_backward(4)
    fit(model, optimizer, sparsifier, start=4, stop=10)
    second = spare.mask.clone()
    assert not torch.equal(first, second)
    fit(model, optimizer, sparsifier, start=10, stop=30)
    assert torch.equal(second, spare.mask)
