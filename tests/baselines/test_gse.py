"""GSE is RigL among as many random candidates as there are active weights."""

import math

import torch

from suite.experiments import registry
from suite.sparsity.masks import random_empty
from tests.support.helpers import fit, make
from tests.support.updates import attached, by, indices, watch_update


def test_it_is_rigl_with_one_candidate_for_each_weight():
    gse, rigl = registry.methods()["gse"], registry.methods()["rigl"]
    settings = {p.name: p.default for p in gse.hyperparameters}
    assert settings == {p.name: p.default for p in rigl.hyperparameters} | {"candidate_ratio": 1.0}
    assert gse.implementation == "baselines.rigl:RigL"


def test_it_grows_the_largest_gradients_of_candidates_and_of_what_it_drops():
    step = 40
    fraction = 0.3 / 2 * (1 + math.cos(math.pi * step / 90))
    sparsifier = attached("gse")[2]
    layers = {layer.name: layer for layer in sparsifier.layers}
    outside = 0
    for name, (mask, values, gradient, after) in watch_update("gse", step).items():
        active, size = indices(mask), mask.numel()
        if len(active) == size:
            continue
        kept = by(
            values.abs(), active, len(active) - math.floor(fraction * len(active)), largest=True
        )
        number = min(len(active), size - len(active))
        candidates = random_empty(
            mask, number, sparsifier.generator(layers[name], "candidates", 40)
        )
        grown = by(
            gradient.abs(), indices(candidates) | (active - kept), len(active - kept), largest=True
        )
        assert indices(after) == kept | grown
        best = by(gradient.abs(), set(range(size)) - kept, len(grown), largest=True)
        outside += len(best - grown)
    assert outside > 0, "rigl would have grown other weights"


def test_the_first_masks_are_those_of_rigl():
    masks = [[layer.mask for layer in attached(m)[2].layers] for m in ("gse", "rigl")]
    assert all(map(torch.equal, *masks))


def test_counts_are_exact_after_every_update():
    model, optimizer, sparsifier = attached("gse", candidate_ratio=0.01)
    target = sparsifier.target_zeros()

    def check(step: int) -> None:
        assert {n.name: n.size - n.active for n in sparsifier.layers} == target

    fit(model, optimizer, sparsifier, after=check)
    assert make("gse").growth_candidates.ratio == 1.0
