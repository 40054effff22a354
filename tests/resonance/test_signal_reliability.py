"""The reliability of a training's own signal: only readings of other gradients are compared."""

import statistics
from dataclasses import replace

import pytest
import scipy.stats
import torch

from suite.resonance.make_signal import make_signal
from suite.resonance.method import Resonance
from suite.resonance.signal_reliability import KEPT_PER_SPAN, SignalReliability
from tests.support.helpers import PLAN, make


def reading(seed: int, n: int = 60) -> torch.Tensor:
    return torch.rand(n, generator=torch.Generator().manual_seed(seed)) + 0.01


def test_a_decision_is_compared_with_the_last_one_of_a_disjoint_window():
    reliability = SignalReliability(span=32)
    found = {step: reliability.compare("1", step, reading(step)) for step in range(40, 161, 20)}
    assert [step for step, value in found.items() if value is None] == [40, 60]
    for step in range(80, 161, 20):  # of windows that end 20 steps apart, the last but one
        expected = scipy.stats.spearmanr(reading(step - 40), reading(step)).statistic
        assert found[step] == pytest.approx(expected, abs=1e-12)


def test_layers_are_apart_and_silent_connections_are_left_out():
    reliability = SignalReliability(span=10)
    first, second = reading(1), reading(2)
    first[:20], second[40:] = 0, 0
    assert reliability.compare("1", 10, first) is None
    assert reliability.compare("3", 20, second) is None
    expected = scipy.stats.spearmanr(first[20:40], second[20:40]).statistic
    assert reliability.compare("1", 20, second) == pytest.approx(expected, abs=1e-12)
    assert reliability.compare("1", 30, torch.zeros(60)) is None


def test_few_readings_are_kept_however_often_decisions_fall():
    reliability = SignalReliability(span=64)
    for step in range(1, 1000):
        reliability.compare("1", step, reading(step, 5))
        kept = reliability.state()["1"]["steps"]
        assert len(kept) <= KEPT_PER_SPAN + 1


def test_a_restored_one_continues_as_if_nothing_had_happened():
    whole, first = SignalReliability(20), SignalReliability(20)
    for step in (10, 20, 30):
        assert whole.compare("1", step, reading(step)) == first.compare("1", step, reading(step))
    second = SignalReliability(20)
    second.load(first.state())
    for step in (40, 50):
        assert whole.compare("1", step, reading(step)) == second.compare("1", step, reading(step))
    SignalReliability(20).load({})


@pytest.mark.parametrize("reading", ["dominant", "centroid", "rate"])
@pytest.mark.parametrize("average", [0.0, 0.5, 0.8])
def test_the_readings_of_noise_are_not_reliable_however_they_are_averaged(reading, average):
    """Averages of two decisions share gradients until the former is forgotten."""
    options = {"window": 16, "update_every": 16, "reading": reading, "average": average}
    method = make("resonance", replace(PLAN, steps=800), modulation=0.0, **options)
    assert isinstance(method, Resonance)
    size = 2000
    signal = make_signal(method.options, {"1": (size, None)})
    random = torch.Generator().manual_seed(0)
    found = []
    for step in filter(method.schedule.is_recorded, range(1, method.schedule.freeze + 1)):
        signal.record({"1": torch.randn(size, generator=random)})
        if method.is_update(step):
            found.append(method.reliability.compare("1", step, signal.read("1").frequency))
    values = [value for value in found if value is not None]
    assert len(values) > 10
    assert abs(statistics.fmean(values)) < 0.1
