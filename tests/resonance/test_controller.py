"""The amplitude's controller and the accuracy feedback."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from suite.core.errors import InvalidInput
from suite.resonance.controller import AccuracyFeedback, AmplitudeController


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


def test_feedback_adds_both_terms_of_the_present_error_to_the_order_statistic():
    score = torch.linspace(0, 1, 101)
    free = torch.ones(101, dtype=torch.bool)
    controller = AmplitudeController("feedback", proportional=0.5, integral_gain=0.05)
    integral = 0.0
    for measured in (40, 45, 60):
        off = controller.set_amplitude(score, free, target_off=50, measured_off=measured)
        error = (50 - measured) / 101
        integral += error
        expected = float(score[49]) + 0.5 * error + 0.05 * integral
        assert controller.amplitude == pytest.approx(expected)
        assert controller.integral == pytest.approx(integral)
        assert off == int((score <= controller.amplitude).sum())


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


@pytest.mark.parametrize("score", [float("nan"), float("inf"), float("-inf")])
def test_a_score_that_is_not_finite_is_refused_and_leaves_the_feedback_as_it_was(score):
    fresh, used = AccuracyFeedback(0.5, 0.2, 0.2), AccuracyFeedback(0.5, 0.2, 0.2)
    used.update(80.0)
    used.update(60.0)
    for feedback in (fresh, used):
        before = (feedback.best, feedback.factor)
        with pytest.raises(InvalidInput, match="give a finite number of points"):
            feedback.update(score)
        assert (feedback.best, feedback.factor) == before
