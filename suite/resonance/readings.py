"""What can be read from a window of a connection's gradients: pure functions of a window [N, n].

A window has one row per recorded gradient, oldest first, and one column per connection.
Frequencies are normalised to the Nyquist frequency. Where a connection has no signal (`has_signal`)
its frequencies mean nothing.
"""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from suite.resonance.detector import SILENT, centroid, dominant, spectrum


def has_signal(window: Tensor) -> Tensor:
    """Return whether there is more in a window than its mean: boolean [n].

    False for gradients that are all 0, all equal, or not finite.
    """
    power = (window - window.mean(0)).square().mean(0)
    return (power > SILENT * window.square().mean(0)) & power.isfinite()


def rate_of_change(window: Tensor) -> Tensor:
    """Return ν = arccos(ρ₁) / π [n], ρ₁ being the autocorrelation at lag one about the mean.

    As `suite.resonance.rate_signal` computes it from sums: ρ₁ = 1 − D / (2V), D being the mean
    square successive difference and V the variance; at most 1. A cosine of frequency ν has
    ρ₁ = cos(πν), and white noise a rate near 1/2. 1/2 where nothing changes.
    """
    change = window.diff(dim=0).square().mean(0)
    variance = window.var(0, unbiased=False)
    half = torch.where(variance > 0, change / (4 * variance), 0.5)
    return half.clamp_(0, 1).sqrt_().asin_().mul_(2 / math.pi)


def root_mean_square(window: Tensor) -> Tensor:
    """Return the root mean square [n] of a window."""
    return window.square().mean(0).sqrt()


def coherence(window: Tensor) -> Tensor:
    """Return c = (mean g)² / mean(g²) in [0, 1], [n]: the fraction of power at frequency zero."""
    raw = window.square().mean(0).clamp_min(torch.finfo(window.dtype).tiny)
    return window.mean(0).square() / raw


READINGS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "dominant": lambda window, power: dominant(power, interpolate=False)[0],
    "interpolated": lambda window, power: dominant(power)[0],
    "centroid": lambda window, power: centroid(power)[0],
    "rate": lambda window, power: rate_of_change(window),
    "rms": lambda window, power: root_mean_square(window),
    "abs_mean": lambda window, power: window.mean(0).abs(),
    "coherence": lambda window, power: coherence(window),
}
"""Name → function of a window [N, n] and its power spectrum [N/2, n]."""


def read_window(window: Tensor) -> dict[str, Tensor]:
    """Return every reading [n] of a window [N, n]; NaN where a connection has no signal.

    The spectrum is the detector's (mean removed, periodic Hann taper).
    """
    power = spectrum(window)
    silent = ~has_signal(window)
    return {
        name: read(window, power).masked_fill(silent, math.nan) for name, read in READINGS.items()
    }
