"""Reliability and relations of readings, on values whose reliability is known."""

import math

import numpy as np
import pytest
import scipy.stats
import torch

from suite.analysis.signal_recorder import LayerReadings
from suite.analysis.signal_statistics import layer_signals, reliability
from suite.results.signal_measures import READINGS, LayerSignals, spearman_brown


def noisy(windows: int, n: int, noise: float, seed: int = 0) -> torch.Tensor:
    """Return values of n connections, each with its own level, read with noise [windows, n]."""
    random = np.random.default_rng(seed)
    return torch.tensor(random.normal(size=n) + noise * random.normal(size=(windows, n)))


@pytest.mark.parametrize("k", [1, 2, 4])
def test_it_is_the_mean_of_scipys_over_blocks(k):
    values = noisy(11, 80, 2.0)
    expected = []
    for start in range(0, 11 - 2 * k + 1, k):
        block = values[start : start + 2 * k].numpy()
        expected.append(scipy.stats.spearmanr(block[::2].mean(0), block[1::2].mean(0)).statistic)
    assert len(expected) == {1: 10, 2: 4, 4: 1}[k]
    assert reliability(values, k) == pytest.approx(np.mean(expected), abs=1e-12)
    assert reliability(values[: 2 * k - 1], k) is None


def test_averaging_follows_spearman_and_brown_for_a_stable_level_with_noise():
    values = noisy(128, 4000, 3.0)
    once = reliability(values, 1)
    assert once == pytest.approx(0.1, abs=0.02)  # 1 / (1 + 3²)
    for k in (4, 16, 32):
        assert reliability(values, k) == pytest.approx(spearman_brown(once, k), abs=0.04)


def test_a_drift_that_all_windows_share_does_not_look_like_noise():
    """Halves are interleaved: the first half of training against the second would disagree."""
    level = noisy(1, 500, 0.0)
    turned = torch.cat([level.repeat(8, 1), -level.repeat(8, 1)])
    turned += 0.01 * noisy(16, 500, 1.0, seed=1)
    assert reliability(turned, 8) > 0.2
    first, second = turned[:8].mean(0), turned[8:].mean(0)
    assert scipy.stats.spearmanr(first, second).statistic < -0.9


def test_windows_without_a_signal_are_left_out_of_means_and_connections_of_blocks():
    values = noisy(4, 50, 1.0)
    values[0, :10] = math.nan  # the first half of a block of four keeps its other window
    values[1::2, 10:20] = math.nan  # nothing is left of the second
    first, second = values[0::2].nanmean(0), values[1::2].nanmean(0)
    which = [place for place in range(50) if not 10 <= place < 20]
    expected = scipy.stats.spearmanr(first[which], second[which]).statistic
    assert reliability(values, 2) == pytest.approx(expected, abs=1e-12)


def readings_of(values: torch.Tensor, mean_square: torch.Tensor) -> LayerReadings:
    n = values.shape[1]
    sample = torch.arange(0, n, 2)
    each = dict.fromkeys(READINGS, values[:, sample])
    means = dict.fromkeys(READINGS, values.nanmean(0))
    return LayerReadings(32, sample, each, means, mean_square)


def test_relations_are_of_active_connections_with_a_signal():
    values, n = noisy(6, 400, 0.5), 400
    values[:, :40] = math.nan
    random = np.random.default_rng(5)
    weights = torch.tensor(random.normal(size=n))
    mean_square = torch.tensor(random.random(n))
    active = torch.tensor(random.random(n) < 0.5)
    found = layer_signals(readings_of(values, mean_square), weights, active)
    which = [p for p in range(40, n, 2) if active[p]]
    assert (found.sampled, found.silent, found.compared) == (200, 20, len(which))
    assert (found.window, found.windows) == (32, 6)
    magnitude = weights.abs()[which].numpy()
    saliency = mean_square[which].numpy() * magnitude**2
    mean = values.mean(0)[which].numpy()
    related = found.readings["rate"].related
    for name, other in (("magnitude", magnitude), ("saliency", saliency)):
        assert related[name] == pytest.approx(scipy.stats.spearmanr(mean, other).statistic)
    assert set(found.readings["rate"].reliability) == {1, 2}


def test_a_layer_without_any_signal_has_counts_only():
    values = torch.full((4, 10), math.nan)
    found = layer_signals(readings_of(values, torch.zeros(10)), torch.ones(10), torch.ones(10) > 0)
    assert (found.sampled, found.silent, found.compared) == (5, 5, 0)
    assert all(not one.reliability and not one.related for one in found.readings.values())
    assert LayerSignals.of(found.numbers()) is not None
