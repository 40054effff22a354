"""SET's rule, against a slow and obvious version of it."""

import math

import torch

from suite.sparsity.plan import Plan
from tests.support.helpers import make
from tests.support.updates import attached, by, indices, watch_update


def test_set_drops_each_sign_by_itself():
    for mask, values, _, after in watch_update("set", 30).values():
        active = indices(mask)
        if len(active) == mask.numel():
            continue
        flat = values.flatten().tolist()
        sides = [{i for i in active if flat[i] >= 0}, {i for i in active if flat[i] < 0}]
        kept = set()
        for side in sides:
            kept |= by(values.abs(), side, len(side) - math.floor(0.3 * len(side)), largest=True)
        assert kept <= indices(after)
        assert len(indices(after)) == len(active)


def test_set_by_magnitude_drops_the_smallest_together():
    for mask, values, _, after in watch_update("set", 30, drop_rule="magnitude").values():
        active = indices(mask)
        if len(active) == mask.numel():
            continue
        drop = math.floor(0.3 * len(active))
        kept = by(values.abs(), active, len(active) - drop, largest=True)
        assert kept <= indices(after)


def test_set_grows_uniformly_among_empty_places():
    counts = torch.zeros(32 * 256)
    for seed in range(30):
        _, _, sparsifier = attached("set", plan=Plan(120, 0.9, seed, 30))
        layer = sparsifier.layers[2]
        before = layer.mask.clone()
        sparsifier.update(30)
        counts += (layer.mask & ~before).flatten()
    halves = counts.view(32, 256)
    # About 190 of 8,192 places grow in each of 30 updates: either half gets half of them.
    total = float(counts.sum())
    for half in (halves[:16], halves[:, :128]):
        assert abs(float(half.sum()) - total / 2) < 4 * math.sqrt(total) / 2


def test_set_updates_after_every_epoch_but_the_last():
    sparsifier = make("set")
    assert [s for s in range(1, 121) if sparsifier.is_update(s)] == [30, 60, 90]
