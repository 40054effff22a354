"""The shuffle of the control."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from suite.resonance.shuffle import permutation_within


@given(st.integers(1, 60), st.integers(0, 2**31))
def test_a_shuffle_is_a_permutation_of_the_live_connections(size, seed):
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(size, generator=generator)
    live = torch.rand(size, generator=generator) < 0.6
    source = permutation_within(order, live)
    place = torch.arange(size)
    assert torch.equal(source[~live], place[~live])
    assert sorted(source[live].tolist()) == place[live].tolist()


def test_a_fixed_shuffle_changes_little_where_little_dies():
    order = torch.randperm(10_000, generator=torch.Generator().manual_seed(0))
    live = torch.ones(10_000, dtype=torch.bool)
    before = permutation_within(order, live)
    live[:100] = False
    after = permutation_within(order, live)
    assert float((before == after).float().mean()) > 0.97
