"""A sparsity given per layer."""

import math

import pytest

from suite.core.errors import InvalidInput
from suite.sparsity.plan import Plan
from tests.support.helpers import fit
from tests.support.updates import attached


def test_layers_can_be_given_a_sparsity_each():
    layers = ["6=0.95", "[03]=0.5"]
    zeros = 0.95 * 8192 + 0.5 * (72 + 576)
    sparsity = round(zeros / (8192 + 72 + 576 + 320), 4)
    options = {"distribution": "custom", "layer_sparsity": layers}
    model, optimizer, sparsifier = attached("rigl", Plan(120, sparsity, 0, 30), **options)
    fit(model, optimizer, sparsifier)
    found = {layer.name: layer.size - layer.active for layer in sparsifier.layers}
    assert found == {"0": 36, "3": 288, "6": math.floor(0.95 * 8192), "8": 0}


@pytest.mark.parametrize(
    ("layers", "says"),
    [
        (["6=0.5"], "adds up to a sparsity of 0.4472, not 0.9"),
        (["7=0.5"], "names no layer"),
        (["6=1.5"], r"give a fraction in \[0, 1\)"),
        (["6"], "names no layer"),
    ],
)
def test_sparsities_by_layer_that_do_not_fit_are_refused(layers, says):
    with pytest.raises(InvalidInput, match=says):
        attached("rigl", distribution="custom", layer_sparsity=layers)
