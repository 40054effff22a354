"""The shuffle of the control."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from suite.resonance.shuffle import permutation_within, signal_sources


@given(st.integers(1, 60), st.floats(0, 1), st.integers(0, 2**31))
def test_every_live_connection_takes_the_signal_of_the_next_live_one_on_its_cycle(
    size, share, seed
):
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(size, generator=generator)
    live = torch.rand(size, generator=generator) < share
    for place, source in enumerate(permutation_within(order, live).tolist()):
        expected = place
        if live[place]:
            expected = int(order[place])
            while not live[expected]:
                expected = int(order[expected])
        assert source == expected


def test_a_live_connection_at_the_end_of_one_long_cycle_is_found():
    order = torch.arange(1, 5001) % 5000
    live = torch.zeros(5000, dtype=torch.bool)
    live[torch.tensor([0, 4999])] = True
    source = permutation_within(order, live)
    assert source[[0, 4999]].tolist() == [4999, 0]


def test_a_fixed_shuffle_is_one_permutation_and_each_draws_another_at_every_step():
    live = torch.ones(50, dtype=torch.bool)

    def sources(shuffle: str, step: int) -> torch.Tensor | None:
        return signal_sources(shuffle, step, live, lambda at: torch.Generator().manual_seed(at))

    assert sources("none", 5) is None
    assert torch.equal(sources("fixed", 5), sources("fixed", 6))
    assert torch.equal(sources("each", 5), sources("each", 5))
    assert not torch.equal(sources("each", 5), sources("each", 6))


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
