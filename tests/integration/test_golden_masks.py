"""A method that gives other masks under the same settings must raise its revision.

Where two digests are given, separated by a space, processors differ: the detector of the resonance
family works in float32, and a product of frequency and weight can fall on either side of another.
"""

import hashlib
import json
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from suite.experiments import registry
from tests.support.every_method import has_masks, planned
from tests.support.helpers import (
    FAST,
    OPTIMIZERS,
    PLAN,
    attach,
    batch_of,
    conv_net,
    digits,
)

GOLDEN = Path(__file__).parents[1] / "golden" / "masks.json"


def mask_digest(method: str) -> str:
    """Train in float64, where another processor's rounding cannot turn a decision."""
    model = conv_net().double()
    optimizer = OPTIMIZERS["sgd"](model)
    sparsifier = planned(method, PLAN, FAST.get(method))
    attach(sparsifier, model, optimizer)
    for step in range(1, PLAN.steps + 1):
        x, y = batch_of(digits(), step, 32)
        optimizer.zero_grad()
        F.cross_entropy(model(x.double()), y).backward()
        sparsifier.after_backward(step)
        optimizer.step()
        sparsifier.after_step(step)
    if sparsifier.rounds > 1:
        sparsifier.end_round(0)
    else:
        sparsifier.end_training()
    masks = torch.cat([layer.mask.flatten() for layer in sparsifier.layers])
    return hashlib.sha256(masks.numpy().tobytes()).hexdigest()[:16]


@pytest.mark.parametrize("method", [m.name for m in registry.methods() if has_masks(m.name)])
def test_masks_change_only_with_the_revision(method):
    golden = json.loads(GOLDEN.read_text())
    revision = str(registry.methods()[method].revision)
    assert mask_digest(method) in golden[method][revision].split(), (
        f"{method} gives other masks than at revision {revision}: raise its revision and add the "
        f"new digest to {GOLDEN.name}"
    )
