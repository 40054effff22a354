"""Threshold, controller and connectivity, each alone."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from suite.resonance.connectivity import State, disable, freeze, lowest, project
from suite.resonance.controller import AccuracyFeedback, AmplitudeController
from suite.resonance.detector import permutation_within
from suite.resonance.method import rank_in_layer
from suite.resonance.threshold import PeriodicThreshold, largest_usable_bits


def test_the_threshold_is_the_formula():
    threshold = PeriodicThreshold(bits=3, modulation=0.2)
    for phase in (0.0, 0.123, 0.5, 1.0):
        wave = math.sin(math.pi * 7 * phase) ** 2
        assert threshold.level(0.6, phase) == pytest.approx(0.6 * (0.8 + 0.4 * wave))
        assert float(threshold.factors(torch.tensor(phase))) == pytest.approx(
            threshold.factor(phase)
        )


@given(st.integers(1, 8), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_the_threshold_stays_in_bounds(bits, modulation, amplitude, phase):
    assert 0 <= PeriodicThreshold(bits, modulation).level(amplitude, phase) <= 1


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_the_mean_over_a_period_is_the_amplitude(bits):
    threshold = PeriodicThreshold(bits, 1.0)
    levels = [threshold.level(0.4, i / 10_000) for i in range(10_000)]
    assert sum(levels) / len(levels) == pytest.approx(0.4, rel=1e-3)


@pytest.mark.parametrize(("decisions", "bits"), [(3, 0), (4, 1), (11, 1), (12, 2), (28, 3)])
def test_usable_bits_leave_four_decisions_per_period(decisions, bits):
    assert largest_usable_bits(4, decisions) == bits


@settings(deadline=None)
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


@settings(deadline=None)
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


@settings(deadline=None)
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


@settings(deadline=None)
@given(st.integers(1, 200), st.integers(0, 2**31))
def test_exact_amplitude_switches_off_exactly_the_target(size, seed):
    generator = torch.Generator().manual_seed(seed)
    score = (torch.rand(size, generator=generator) * 8).round() / 8  # many ties
    free = torch.rand(size, generator=generator) < 0.7
    target = int(torch.randint(0, size + 1, (1,), generator=generator))
    controller = AmplitudeController("exact", 0.5, 0.05)
    count = controller.set_amplitude(score, free, target_off=target, measured_off=0)
    cooling = int((~free).sum())
    assert count == min(max(target - cooling, 0), int(free.sum()))
    assert 0 <= controller.amplitude <= 1
    assert int((score[free] < controller.amplitude).sum()) <= count


def test_feedback_answers_an_error_and_does_not_wind_up_on_cooling_connections():
    score = torch.linspace(0, 1, 101)
    free = torch.ones(101, dtype=torch.bool)
    controller = AmplitudeController("feedback", 0.5, 0.05)
    controller.set_amplitude(score, free, target_off=50, measured_off=40)
    first = controller.amplitude
    assert first > 0.49
    assert controller.integral > 0
    held = controller.integral
    controller.set_amplitude(score, score > 0.6, target_off=50, measured_off=70)
    assert controller.integral == held


def test_a_falling_score_lowers_the_target_and_recovery_restores_it():
    feedback = AccuracyFeedback(tolerance=0.5, gain=0.2, depth=0.2)
    feedback.update(80.0)
    assert feedback.factor == 1
    feedback.update(79.6)
    assert feedback.factor == 1  # within the tolerance
    feedback.update(74.5)
    assert feedback.factor == pytest.approx(1 - 0.2 * (1 - 1 / (1 + 0.2 * 5)))
    feedback.update(80.0)
    assert feedback.factor == 1


@settings(deadline=None)
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


def test_ranks_are_shares_of_the_layer_and_zero_stays_zero():
    assert rank_in_layer(torch.tensor([0.3, 0.0, 0.1, 0.3])).tolist() == [0.75, 0, 0.5, 1.0]
