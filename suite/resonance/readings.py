"""What can be read from a window of a connection's gradients: pure functions of a window [N, n].

A window has one row per recorded gradient, oldest first, and one column per connection.
Frequencies are normalised to the Nyquist frequency. Where a connection has no signal (`has_signal`)
its frequencies mean nothing.
"""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from suite.resonance.detector import SILENT, dominant, spectrum


def has_signal(window: Tensor) -> Tensor:
    """Return whether there is more in a window than its mean: boolean [n].

    False for gradients that are all 0, all equal, or not finite.
    """
    power = (window - window.mean(0)).square().mean(0)
    return (power > SILENT * window.square().mean(0)) & power.isfinite()


def centroid(power: Tensor) -> Tensor:
    """Return the mean frequency [n] of a power spectrum [K, n], weighted by power: Σ k·P / K·Σ P.

    0 where there is no power.
    """
    bins = torch.arange(1, len(power) + 1, dtype=power.dtype, device=power.device)
    total = power.sum(0).clamp_min(torch.finfo(power.dtype).tiny)
    return (bins @ power) / (len(power) * total)


def rate_of_change(window: Tensor) -> Tensor:
    """Return ν = arccos(ρ₁) / π [n], ρ₁ being the autocorrelation at lag one about the mean.

    ρ₁ = Σ (g_t − ḡ)(g_{t−1} − ḡ) / Σ (g_t − ḡ)², clamped to [−1, 1]. A cosine of frequency ν has
    ρ₁ = cos(πν), white noise 0 on average, so that its rate is 1/2 (also where nothing changes).
    """
    signal = window - window.mean(0)
    power = signal.square().sum(0).clamp_min(torch.finfo(window.dtype).tiny)
    correlation = (signal[1:] * signal[:-1]).sum(0) / power
    return correlation.clamp_(-1, 1).acos_().div_(math.pi)


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
    "centroid": lambda window, power: centroid(power),
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
