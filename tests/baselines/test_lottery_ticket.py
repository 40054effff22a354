"""The lottery ticket's rounds, against a slow and obvious version of them."""

import math

import pytest
import torch

from suite.core.errors import InvalidInput
from suite.sparsity.plan import Plan
from tests.support.helpers import fit, make
from tests.support.updates import attached, by, indices


@pytest.mark.parametrize(
    ("sparsity", "rounds"), [(0.2, 2), (0.36, 3), (0.8, 9), (0.9, 12), (0.95, 15)]
)
def test_lottery_ticket_takes_as_many_rounds_as_twenty_per_cent_steps_need(sparsity, rounds):
    assert make("lottery_ticket", Plan(120, sparsity, 0, 30)).rounds == rounds


@pytest.mark.parametrize("distribution", ["global", "erk"])
def test_lottery_ticket_prunes_the_smallest_and_ends_exactly(distribution):
    model, optimizer, sparsifier = attached("lottery_ticket", distribution=distribution)
    total = sum(layer.size for layer in sparsifier.layers)
    for number in range(sparsifier.rounds - 1):
        fit(model, optimizer, sparsifier, stop=2)
        before = [(layer.mask.clone(), layer.values.clone()) for layer in sparsifier.layers]
        sparsifier.end_round(number)
        active = sum(layer.active for layer in sparsifier.layers)
        expected = max(0.8 ** (number + 1), 0.1) * total
        assert abs(active - expected) <= len(sparsifier.layers)
        if distribution == "erk":
            for layer, (mask, values) in zip(sparsifier.layers, before, strict=True):
                assert indices(layer.mask) == by(
                    values.abs(), indices(mask), layer.active, largest=True
                )
        else:
            kept = torch.cat([v[m].abs() for layer, (_, v) in zip(sparsifier.layers, before,
                              strict=True) for m in [layer.mask]])  # fmt: skip
            gone = torch.cat([v[m & ~layer.mask].abs() for layer, (m, v) in
                              zip(sparsifier.layers, before, strict=True)])  # fmt: skip
            assert float(kept.min()) >= float(gone.max())
    assert sparsifier.sparsity_errors() == ""


def test_lottery_ticket_refuses_to_rewind_beyond_training():
    with pytest.raises(InvalidInput, match="give 0 to 119"):
        make("lottery_ticket", rewind_step=120)


def test_the_original_lottery_prunes_the_output_layer_at_half_the_rate():
    _, _, sparsifier = attached("lottery_ticket", distribution="original")
    for number in range(sparsifier.rounds - 2):
        sparsifier.end_round(number)
        *inner, output = (layer.active / layer.size for layer in sparsifier.layers)
        common = sum(inner) / len(inner)
        assert all(abs(density - common) < 0.02 for density in inner)
        assert output == pytest.approx(common ** (math.log(0.9) / math.log(0.8)), abs=0.01)
    sparsifier.end_round(sparsifier.rounds - 2)
    assert sparsifier.sparsity_errors() == ""


def test_a_random_mask_control_has_the_tickets_counts_and_another_mask():
    masks = {}
    for control in ("none", "random_mask"):
        _, _, sparsifier = attached("lottery_ticket", control=control)
        for number in range(sparsifier.rounds - 1):
            sparsifier.end_round(number)
        masks[control] = [layer.mask for layer in sparsifier.layers]
        assert sparsifier.sparsity_errors() == ""
    counts = {name: [int(m.sum()) for m in found] for name, found in masks.items()}
    assert counts["none"] == counts["random_mask"]
    assert not all(map(torch.equal, masks["none"], masks["random_mask"]))
