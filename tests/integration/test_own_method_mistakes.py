"""What an author of a method may forget is said in one line, before anything is trained."""

import pytest
import torch

from suite import sparsify
from suite.core.errors import InvalidInput

METHOD = """
from suite.core.declarations import Method
from suite.core.hyperparameters import DROP_FRACTION, LAYERWISE, UPDATE_EVERY
from suite.sparsity.drop_grow import DropGrow
from suite.sparsity.sparsifier import Sparsifier

METHOD = Method(
    "forgetful", "me", title="Forgetful", summary="forgets", implementation="Forgetful",
    family="sparse to sparse", hyperparameters=({options}),
)


class Forgetful({base}):
    {body}
"""


@pytest.mark.parametrize(
    ("base", "options", "body", "said"),
    [
        ("Sparsifier", "*LAYERWISE,", "rounds = 1", "it would never prune"),
        ("Sparsifier", "*LAYERWISE,", "def is_update(self, step): return True", "lacks update:"),
        ("Sparsifier", "*LAYERWISE,", "def update(self, step): pass", "lacks is_update:"),
        ("Sparsifier", "LAYERWISE[0]", "rounds = 1", "hyperparameters is a Hyperparameter"),
        ("Sparsifier", "'x'", "rounds = 1", "hyperparameters is a str"),
        ("DropGrow", "*LAYERWISE, UPDATE_EVERY", "regrown = 1", "lacks grow_scores"),
        (
            "DropGrow",
            "*LAYERWISE, UPDATE_EVERY, DROP_FRACTION",
            "def grow_scores(self, layer, step): return layer.values",
            "has no option update_end",
        ),
        (
            "Sparsifier",
            "*LAYERWISE,",
            "def start(self):\n        for layer in self.layers:\n"
            "            self.set_mask(layer, layer.values)",
            "the mask is torch.float32: give a boolean one",
        ),
    ],
)
def test_what_a_method_lacks_is_refused_in_one_line(resonance, place, base, options, body, said):
    (place / "own.py").write_text(METHOD.format(base=base, options=options, body=body))
    refused = resonance("--plugin own.py run digits/mlp forgetful --recipe epochs=1")
    assert said in refused.complaint
    assert not (place / "results").exists()


@pytest.mark.parametrize(
    ("base", "options", "body", "said"),
    [
        ("Sparsifier", "*LAYERWISE,", "rounds = 1", "it would never prune"),
        ("Sparsifier", "*LAYERWISE,", "def update(self, step): pass", "lacks is_update:"),
        ("DropGrow", "*LAYERWISE, UPDATE_EVERY", "regrown = 1", "lacks grow_scores"),
        ("dict", "*LAYERWISE,", "rounds = 1", "is not a Sparsifier"),
    ],
)
@pytest.mark.usefixtures("no_plugins")
def test_a_loop_of_ones_own_is_told_the_same(place, monkeypatch, base, options, body, said):
    (place / "own.py").write_text(METHOD.format(base=base, options=options, body=body))
    monkeypatch.setenv("RESONANCE_PLUGINS", str(place / "own.py"))
    model = torch.nn.Linear(20, 10)
    before = model.weight.clone()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with pytest.raises(InvalidInput, match=said):
        sparsify(model, optimizer, "forgetful", sparsity=0.9, steps=10)
    assert torch.equal(model.weight, before)
