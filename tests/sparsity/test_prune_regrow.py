"""Gradual pruning with regrowth, by a method of one's own: what a subclass has to define."""

import math

import torch

from suite.core.hyperparameters import GLOBALLY, PRUNE_REGROW
from suite.sparsity.prune_regrow import PruneRegrow
from tests.support.helpers import OPTIMIZERS, PLAN, conv_net, fit
from tests.support.updates import by, indices

OPTIONS = {one.name: one.default for one in (*GLOBALLY, *PRUNE_REGROW)} | {"update_every": 10}


class ByIndex(PruneRegrow):
    """Grows the last places, in some layers only and never in the first ten places."""

    def can_grow(self, layer):
        return layer.name != "0"

    def grow_scores(self, layer, step):
        return torch.arange(layer.size, dtype=torch.float32).view(layer.shape)

    def grow_among(self, layer, step):
        among = torch.ones(layer.size, dtype=torch.bool)
        among[:10] = False
        return among.view(layer.shape) | layer.mask


def trained(**options):
    model = conv_net()
    optimizer = OPTIMIZERS["sgd"](model)
    method = ByIndex(PLAN, OPTIONS | options)
    method.attach(model, optimizer)
    seen = []
    update = method.update

    def watched(step: int) -> None:
        before = {one.name: (indices(one.mask), one.values.clone()) for one in method.layers}
        update(step)
        seen.append((step, before, {one.name: indices(one.mask) for one in method.layers}))

    method.update = watched  # type: ignore[method-assign]
    fit(model, optimizer, method)
    return method, seen


def test_the_smallest_are_pruned_to_the_ramp_and_a_fraction_is_replaced_by_score():
    method, seen = trained(distribution="erk")
    assert [step for step, *_ in seen] == [10, 20, 30, 40, 50, 60, 70, 80, 82, 90, 100, 110]
    for step, before, after in seen:
        zeros = method.zeros_at(method.ramp(step))
        for layer in method.layers:
            (active, values), name = before[layer.name], layer.name
            left = min(layer.size - zeros[name], len(active))
            if step == 82:
                left = layer.size - method.target_zeros()[name]
            drop = math.floor(0.25 * (1 + math.cos(math.pi * step / 120)) * left)
            if name == "0":
                drop = 0
            kept = by(values.abs(), active, left - drop, largest=True)
            places = (set(range(10, layer.size)) | active) - kept
            assert after[name] == kept | set(sorted(places)[len(places) - drop :])


def test_the_whole_network_is_ranked_together_by_default():
    method, seen = trained()
    sizes = sum(layer.size for layer in method.layers)
    for step, _, after in seen:
        zeros = sizes - sum(map(len, after.values()))
        expected = int(method.ramp(step) / 0.9 * method.target_total())
        assert zeros == max(expected, int(0.5 * sizes))
    assert method.sparsity_errors() == ""
