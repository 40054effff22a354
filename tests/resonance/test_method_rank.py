"""Ranks within a layer."""

import pytest
import torch

from suite.resonance.method import rank_in_layer


def test_ranks_are_shares_of_the_layer_and_zero_stays_zero():
    assert rank_in_layer(torch.tensor([0.3, 0.0, 0.1, 0.3])).tolist() == [0.75, 0, 0.5, 1.0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_ties_rank_by_index(dtype):
    generator = torch.Generator().manual_seed(0)
    values = torch.randint(0, 40, (3000,), generator=generator).to(dtype) * 1e-3
    values[:3] = torch.tensor([0.0, torch.finfo(dtype).tiny, torch.inf], dtype=dtype)
    places = sorted(range(3000), key=lambda i: (float(values[i]), i))
    expected = torch.zeros(3000, dtype=dtype)
    for rank, place in enumerate(places, 1):
        expected[place] = rank if values[place] > 0 else 0
    assert torch.equal(rank_in_layer(values), expected / 3000)
