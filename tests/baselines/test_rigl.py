"""RigL's rule, against a slow and obvious version of it."""

import math

import torch

from tests.support.helpers import fit
from tests.support.updates import attached, by, indices, watch_update


def test_rigl_drops_the_smallest_weights_and_grows_the_largest_gradients():
    step = 40
    fraction = 0.3 / 2 * (1 + math.cos(math.pi * step / 90))
    for mask, values, gradient, after in watch_update("rigl", step).values():
        active = indices(mask)
        if len(active) == mask.numel():
            assert indices(after) == active
            continue
        drop = math.floor(fraction * len(active))
        assert drop > 0
        kept = by(values.abs(), active, len(active) - drop, largest=True)
        grown = by(gradient.abs(), set(range(mask.numel())) - kept, drop, largest=True)
        assert indices(after) == kept | grown


def test_a_weight_dropped_and_regrown_at_once_keeps_its_value():
    model, optimizer, sparsifier = attached("rigl", drop_fraction=1.0)
    kept = []

    def check(step: int) -> None:
        if step == 9:
            kept.append([layer.values.clone() for layer in sparsifier.layers])
        if step == 10:
            for layer, before in zip(sparsifier.layers, kept[0], strict=True):
                both = layer.mask & (before != 0)
                kept.append(int(both.sum()))
                moved = (layer.values - before)[both].abs()
                assert float(moved.max()) < 0.5 * float(before[both].abs().max())

    fit(model, optimizer, sparsifier, after=check, stop=10)
    assert sum(kept[1:]) > 0


def test_rigl_stops_at_its_end():
    model, optimizer, sparsifier = attached("rigl")
    masks = {}

    def note(step: int) -> None:
        masks[step] = [layer.mask.clone() for layer in sparsifier.layers]

    fit(model, optimizer, sparsifier, after=note)
    same = [all(map(torch.equal, masks[s - 1], masks[s])) for s in range(2, 121)]
    assert [s for s in range(2, 121) if not same[s - 2]] == [10, 20, 30, 40, 50, 60, 70, 80]


def test_replace_step_leaves_the_optimizer_step_out():
    model, optimizer, sparsifier = attached("rigl", replace_step=True)
    fit(model, optimizer, sparsifier, stop=9)
    before = [p.detach().clone() for p in model.parameters() if p.ndim == 1]
    fit(model, optimizer, sparsifier, start=9, stop=10)
    assert all(map(torch.equal, before, [p for p in model.parameters() if p.ndim == 1]))
    fit(model, optimizer, sparsifier, start=10, stop=11)
    assert not all(map(torch.equal, before, [p for p in model.parameters() if p.ndim == 1]))
