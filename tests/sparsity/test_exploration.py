"""The exploration rate R_s: the share of weights that were ever active."""

import torch

from suite.sparsity.exploration import Exploration


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
