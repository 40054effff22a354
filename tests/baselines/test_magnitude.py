"""Gradual magnitude pruning, against a slow and obvious version of it."""

import pytest
import torch

from suite.core.errors import InvalidInput
from tests.support.helpers import fit, make
from tests.support.updates import attached, by, indices, watch_update


def test_gradual_pruning_is_monotone_and_reaches_its_target_off_the_interval():
    model, optimizer, sparsifier = attached("magnitude")  # ΔT = 20 does not divide t1 = 90
    masks = []

    def check(step: int) -> None:
        masks.append([layer.mask.clone() for layer in sparsifier.layers])
        if len(masks) > 1:
            assert not any(bool((b & ~a).any()) for a, b in zip(*masks[-2:], strict=True))

    fit(model, optimizer, sparsifier, after=check)
    assert sparsifier.sparsity_errors() == ""
    changed = [s for s in range(2, 121) if not all(map(torch.equal, masks[s - 2], masks[s - 1]))]
    assert changed == [20, 40, 60, 80, 90]


def test_gradual_pruning_keeps_the_largest_weights():
    for mask, values, _, after in watch_update("magnitude", 90).values():
        keep = int(after.sum())
        assert indices(after) == by(values.abs(), indices(mask), keep, largest=True)


def test_gradual_pruning_refuses_an_empty_ramp():
    with pytest.raises(InvalidInput, match="prune_end=0.2"):
        make("magnitude", prune_start=0.5, prune_end=0.2)
