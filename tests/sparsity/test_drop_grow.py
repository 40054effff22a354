"""Growth by gradient: where dense gradients are read, and layers that have none."""

import torch

from suite.core.hyperparameters import DROP_FRACTION, LAYERWISE, UPDATE_END, UPDATE_EVERY
from suite.sparsity.drop_grow import GradientGrowth
from tests.support.helpers import OPTIMIZERS, PLAN, conv_net, fit
from tests.support.updates import WithSpare, by, indices

OPTIONS = {one.name: one.default for one in (*LAYERWISE, UPDATE_EVERY, DROP_FRACTION, UPDATE_END)}


class ByBoth(GradientGrowth):
    """Drops by |w·∇|, without a word of layers that have no gradient."""

    def drop_scores(self, layer, step):
        return (layer.values * layer.dense_gradient).abs()


def trained_to(stop: int):
    model = WithSpare(conv_net())
    optimizer = OPTIMIZERS["sgd"](model)
    method = ByBoth(PLAN, OPTIONS | {"update_every": 10})
    method.attach(model, optimizer)
    fit(model, optimizer, method, stop=stop)
    return model, optimizer, method, {layer.name: layer for layer in method.layers}


def test_scores_may_read_the_gradient_and_the_largest_ones_grow():
    model, optimizer, method, layers = trained_to(9)
    layer, update, seen = layers["used.6"], method.update, []

    def watched(step: int) -> None:
        seen[:] = layer.mask.clone(), layer.values.clone(), layer.dense_gradient.clone()
        update(step)

    method.update = watched
    fit(model, optimizer, method, start=9, stop=10)
    mask, values, gradient = seen
    active = indices(mask)
    drop = int(method.fraction(10) * len(active))
    assert drop > 0
    kept = by((values * gradient).abs(), active, len(active) - drop, largest=True)
    grown = by(gradient.abs(), set(range(layer.size)) - kept, drop, largest=True)
    assert indices(layer.mask) == kept | grown


def test_a_layer_that_no_pass_reaches_is_left_alone():
    model, optimizer, method, layers = trained_to(0)
    first = {name: layer.mask.clone() for name, layer in layers.items()}
    fit(model, optimizer, method, stop=10)
    assert torch.equal(layers["spare"].mask, first["spare"])
    assert not torch.equal(layers["used.6"].mask, first["used.6"])


def test_dense_gradients_are_asked_for_at_updates_alone():
    method = ByBoth(PLAN, OPTIONS | {"update_every": 10})
    steps = range(1, PLAN.steps + 1)
    assert [s for s in steps if method.wants_dense_gradient(s)] == [10, 20, 30, 40, 50, 60, 70, 80]


def test_scores_of_active_weights_alone_drop_what_scores_of_all_do():
    _, _, method, layers = trained_to(10)
    plain = GradientGrowth(PLAN, OPTIONS | {"update_every": 10})
    for one, scores in ((method, lambda w: w.abs() * 2), (plain, torch.abs)):
        layer = layers["used.6"]
        one.drop_scores = lambda layer, step, scores=scores: scores(layer.values)
        keep = layer.active - int(one.fraction(20) * layer.active)
        kept = by(layer.values.abs(), indices(layer.mask), keep, largest=True)
        assert keep < layer.active
        assert indices(one.drop_mask(layer, 20)) == kept
