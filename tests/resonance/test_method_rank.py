"""Ranks within a layer."""

import torch

from suite.resonance.method import rank_in_layer


def test_ranks_are_shares_of_the_layer_and_zero_stays_zero():
    assert rank_in_layer(torch.tensor([0.3, 0.0, 0.1, 0.3])).tolist() == [0.75, 0, 0.5, 1.0]
