"""The methods that change nothing."""

import torch

from suite.sparsity.plan import Plan
from tests.support.helpers import fit
from tests.support.updates import attached


def test_static_never_changes():
    model, optimizer, sparsifier = attached("static")
    before = [layer.mask.clone() for layer in sparsifier.layers]
    fit(model, optimizer, sparsifier)
    assert all(map(torch.equal, before, [layer.mask for layer in sparsifier.layers]))


def test_dense_prunes_nothing():
    model, optimizer, sparsifier = attached("dense", plan=Plan(120, 0.0, 0, 30))
    fit(model, optimizer, sparsifier)
    assert all(layer.active == layer.size for layer in sparsifier.layers)
