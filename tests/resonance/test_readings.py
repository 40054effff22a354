"""The readings of a window against their definitions and known signals."""

import math

import numpy as np
import pytest
import torch

from suite.resonance.readings import READINGS, has_signal, rate_of_change, read_window
from suite.results.signal_measures import READINGS as TITLES

N = 32


def noise(columns: int = 50, seed: int = 0) -> torch.Tensor:
    return torch.randn(N, columns, generator=torch.Generator().manual_seed(seed))


def test_the_names_are_those_that_records_have():
    assert list(READINGS) == list(TITLES)


def test_every_reading_is_its_definition_in_numpy():
    window = noise() + 0.3
    found = read_window(window)
    x = window.double().numpy()
    about = x - x.mean(0)
    taper = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(N) / N)
    power = np.abs(np.fft.rfft(about * taper[:, None], axis=0))[1:] ** 2
    bins = np.arange(1, N // 2 + 1)
    lag_one = 1 - (np.diff(x, axis=0) ** 2).mean(0) / (2 * x.var(0))
    expected = {
        "dominant": (power.argmax(0) + 1) / (N // 2),
        "centroid": (bins[:, None] * power).sum(0) / power.sum(0) / (N // 2),
        "rate": np.arccos(lag_one) / np.pi,
        "rms": np.sqrt((x**2).mean(0)),
        "abs_mean": np.abs(x.mean(0)),
        "coherence": x.mean(0) ** 2 / (x**2).mean(0),
    }
    for name, values in expected.items():
        np.testing.assert_allclose(found[name].numpy(), values, rtol=2e-4, err_msg=name)
    difference = (found["interpolated"] - found["dominant"]).abs().max()
    assert 0 < float(difference) <= 0.5 / (N // 2) + 1e-6


@pytest.mark.parametrize("bin_", [2, 5, 11])
def test_a_cosine_has_its_own_frequency_in_every_reading_of_frequency(bin_):
    time = torch.arange(N, dtype=torch.float32)
    frequency = bin_ / (N // 2)
    found = read_window(torch.cos(math.pi * frequency * time + 0.4)[:, None])
    for name in ("dominant", "interpolated", "centroid"):
        assert float(found[name]) == pytest.approx(frequency, abs=0.02), name
    assert float(found["rate"]) == pytest.approx(frequency, abs=0.08)  # its ends have one neighbour


def test_the_rate_of_alternating_signs_is_almost_one_and_of_white_noise_a_half():
    signs = torch.tensor([1.0, -1.0]).repeat(N // 2)[:, None]
    assert float(rate_of_change(signs)) > 0.9
    assert float(rate_of_change(noise(2000)).mean()) == pytest.approx(0.5, abs=0.02)


def test_frequencies_and_coherence_do_not_depend_on_the_scale():
    window = noise() + 0.2
    small, usual = read_window(1e-6 * window), read_window(window)
    for name in READINGS:
        if name not in ("rms", "abs_mean"):
            torch.testing.assert_close(small[name], usual[name], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    "column",
    [torch.zeros(N), torch.full((N,), 0.7), torch.tensor([0.1] * (N - 1) + [math.nan])],
    ids=["zero", "constant", "nan"],
)
def test_what_does_not_change_has_no_signal_and_every_reading_is_missing(column):
    window = torch.stack([column, noise(1)[:, 0]], dim=1)
    assert has_signal(window).tolist() == [False, True]
    for name, values in read_window(window).items():
        assert values.isnan().tolist() == [True, False], name
