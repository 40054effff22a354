"""The periodic threshold."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

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
