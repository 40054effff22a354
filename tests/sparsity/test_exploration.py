"""The exploration rate R_s: the share of weights that were ever active."""

import pytest
import torch

from suite.sparsity.exploration import Exploration
from tests.support.helpers import ONE_ROUND, SHORT, fit
from tests.support.updates import attached


def mask(*active: int) -> torch.Tensor:
    result = torch.zeros(10, dtype=torch.bool)
    result[list(active)] = True
    return result


def test_counts_every_weight_that_was_ever_active() -> None:
    seen = Exploration()
    seen.begin("a", mask(0, 1))
    assert seen.rate({"a": 10}) is None, "no weight was grown: masks are static"
    seen.add("a", mask(1, 5))
    seen.add("a", mask(5), grown=False)
    seen.add("a", mask(5, 6))
    assert seen.rate({"a": 10}) == 0.4  # weights 0, 1, 5, 6
    # A layer without a first mask was dense: 4 of 10 and 30 of 30.
    assert seen.rate({"a": 10, "dense": 30}) == 34 / 40


def test_the_given_mask_may_change_later_and_state_restores() -> None:
    seen, first = Exploration(), mask(0)
    seen.begin("a", first)
    first[3] = True
    seen.add("a", mask(1))
    again = Exploration()
    again.load(seen.state())
    seen.add("a", mask(9))
    assert again.rate({"a": 10}) == 0.2
    again.add("a", mask(2))
    assert again.rate({"a": 10}) == 0.3


DROPS_ONLY = {"static", "magnitude", "magnitude_one_shot", "snip", "grasp", "synflow"}
GROWS = {"set", "rigl", "snfs", "granet", "acdc", "rigl_itop", "set_itop", "gse", "mest"}


@pytest.mark.parametrize("method", ONE_ROUND)
def test_the_rate_of_every_dynamic_method_is_that_of_the_masks_of_all_steps(method):
    model, optimizer, sparsifier = attached(method, SHORT)
    ever = [layer.mask.clone() for layer in sparsifier.layers]
    before, grown = [mask.clone() for mask in ever], 0

    def look(step: int) -> None:
        nonlocal grown
        for index, layer in enumerate(sparsifier.layers):
            mask = layer.mask
            grown += int((mask & ~before[index]).sum())
            ever[index] |= mask
            before[index] = mask.clone()

    fit(model, optimizer, sparsifier, after=look)
    metrics = sparsifier.metrics()
    assert ("exploration_rate" in metrics) == (grown > 0)
    assert (method not in DROPS_ONLY) >= (grown > 0) >= (method in GROWS)
    if grown:
        share = sum(int(mask.sum()) for mask in ever) / sum(mask.numel() for mask in ever)
        assert metrics["exploration_rate"] == pytest.approx(share, abs=1e-12)
