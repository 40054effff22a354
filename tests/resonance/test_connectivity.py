"""Which connections are active, cooling or zeroed."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from suite.resonance.connectivity import State, disable, freeze, lowest, project


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.booleans()), min_size=1), st.data()
)
def test_the_lowest_are_ordered_by_score_then_strength_then_index(rows, data):
    score, strength, among = (torch.tensor(column) for column in zip(*rows, strict=True))
    free = [i for i, row in enumerate(rows) if row[2]]
    count = data.draw(st.integers(0, len(free)))
    expected = sorted(free, key=lambda i: (rows[i][0], rows[i][1], i))[:count]
    found = lowest(score.float(), strength.float(), count, among)
    assert found.nonzero().flatten().tolist() == sorted(expected)


@given(st.integers(0, 40), st.integers(1, 12), st.integers(0, 2**31))
def test_disabled_connections_return_after_their_cooldown_and_not_before(cooldown, every, seed):
    generator = torch.Generator().manual_seed(seed)
    state = State.dense(50, torch.device("cpu"))
    went_off = torch.full((50,), -1)
    for step in range(every, 20 * every, every):
        off = torch.rand(50, generator=generator) < 0.5
        before, state = state, disable(state, off, step, cooldown)
        returned = state.active & ~before.active
        assert bool((step - went_off[returned] >= cooldown).all())
        # What has rested and lies above the threshold does return.
        rested = ~before.active & ~off & (step - went_off >= cooldown)
        assert bool(state.active[rested].all())
        assert not bool((state.active & off).any())
        assert torch.equal(state.mask, state.active)
        went_off[before.active & ~state.active] = step


def test_a_connection_that_stays_off_does_not_begin_its_cooldown_again():
    on, off = torch.tensor([False]), torch.tensor([True])
    state = disable(State.dense(1, on.device), off, 10, 20)
    assert bool(state.in_cooldown(29, 20))
    state = disable(state, off, 30, 20)
    assert bool(disable(state, on, 31, 20).active)


@given(st.integers(0, 40), st.integers(1, 12), st.integers(0, 2**31))
def test_frozen_connections_are_zeroed_after_their_cooldown_and_not_before(cooldown, every, seed):
    generator = torch.Generator().manual_seed(seed)
    state = State.dense(50, torch.device("cpu"))
    inactive_since = torch.zeros(50, dtype=torch.long)
    for step in range(every, 20 * every, every):
        off = torch.rand(50, generator=generator) < 0.6
        before, state = state, freeze(state, off, step, cooldown)
        assert torch.equal(state.active, ~off)
        inactive_since[before.active & off] = step
        zeroed = before.mask & ~state.mask
        assert bool((step - inactive_since[zeroed] > cooldown).all())
        kept = off & before.mask & ~before.active & (step - inactive_since <= cooldown)
        assert bool(state.frozen[kept].all())
        long_off = off & ~before.active & before.mask & (step - inactive_since > cooldown)
        assert not bool(state.mask[long_off].any())


def test_the_projection_takes_active_then_inactive_then_cooling():
    active = torch.tensor([False, True, True, False, False])
    cooling = torch.tensor([True, False, False, False, False])
    rank = torch.tensor([9.0, 1.0, 2.0, 0.0, 0.0])
    score = torch.tensor([0.9, 0.1, 0.1, 0.2, 0.7])
    flat = torch.zeros(5)
    none = torch.zeros(5, dtype=torch.bool)
    kept = [
        project(active, cooling, rank, score, flat, keep, none).nonzero().flatten().tolist()
        for keep in range(6)
    ]
    assert kept == [[], [2], [1, 2], [1, 2, 4], [1, 2, 3, 4], [0, 1, 2, 3, 4]]
    spared = torch.tensor([True, False, False, False, False])
    assert project(active, cooling, rank, score, flat, 1, spared).tolist() == spared.tolist()
