"""Threshold, controller and connectivity, each alone."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from suite.resonance.connectivity import NEVER, disable, is_cooling, lowest, project
from suite.resonance.controller import AccuracyFeedback, AmplitudeController
from suite.resonance.method import permutation_within
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
def test_no_connection_returns_before_its_cooldown(cooldown, every, seed):
    generator = torch.Generator().manual_seed(seed)
    n = 50
    active = torch.ones(n, dtype=torch.bool)
    off_until = torch.full((n,), NEVER, dtype=torch.int32)
    went_off = torch.full((n,), -1)
    for step in range(every, 20 * every, every):
        off = torch.rand(n, generator=generator) < 0.5
        before = active
        active, off_until = disable(active, off_until, off, step, cooldown)
        returned = active & ~before
        assert bool((step - went_off[returned] >= cooldown).all())
        # What has cooled and lies above the threshold does return.
        cooled = ~before & ~off & (step - went_off >= cooldown)
        assert bool(active[cooled].all())
        assert not bool((active & off).any())
        went_off[before & ~active] = step


def test_a_connection_that_stays_off_does_not_begin_its_cooldown_again():
    active = torch.tensor([True])
    off_until = torch.tensor([NEVER], dtype=torch.int32)
    off = torch.tensor([True])
    active, off_until = disable(active, off_until, off, 10, 20)
    assert bool(is_cooling(active, off_until, 29))
    active, off_until = disable(active, off_until, off, 30, 20)
    active, off_until = disable(active, off_until, ~off, 31, 20)
    assert bool(active)


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
    feedback.hear(80.0)
    assert feedback.factor == 1
    feedback.hear(79.6)
    assert feedback.factor == 1  # within the tolerance
    feedback.hear(74.5)
    assert feedback.factor == pytest.approx(1 - 0.2 * (1 - 1 / (1 + 0.2 * 5)))
    feedback.hear(80.0)
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
