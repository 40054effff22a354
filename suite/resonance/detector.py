"""Resonance detection: the last N gradients of each connection → its resonance frequency.

A history is a tensor [N, n]: one row per recorded step, one column per connection, oldest first.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

SILENT = 1e-6
"""A window whose power after detrending is at most this share of its raw power counts as zero."""

CHUNK = 16_384
"""Connections transformed at a time, so that a chunk's spectrum stays in cache."""


@dataclass(frozen=True)
class Signals:
    """What detection says of each connection; every tensor is [n], float32.

    Attributes:
        frequency: resonance frequency ν in [0, 1], normalised to the Nyquist frequency; 0 where
            the window is silent.
        strength: ρ, the share of spectral power in the dominant bin; 0 where silent.
        power: root mean square of the raw gradients.
        coherence: (mean g)² / mean(g²) in [0, 1]: how steadily the gradient pushes one way.
    """

    frequency: Tensor
    strength: Tensor
    power: Tensor
    coherence: Tensor

    def permuted(self, source: Tensor) -> "Signals":
        """Return the same signals belonging to other connections: i gets those of source[i]."""
        return Signals(
            self.frequency[source],
            self.strength[source],
            self.power[source],
            self.coherence[source],
        )


class History:
    """A ring buffer of the last `window` gradients of one weight.

    Args:
        window: N, how many gradients are held.
        size: n, the number of connections.
        dtype: bfloat16 (2N bytes per connection) or float32.
        device: where the gradients are.
    """

    def __init__(
        self, window: int, size: int, dtype: torch.dtype, device: torch.device | None = None
    ) -> None:
        self.window = window
        self.recorded = 0
        self.rows = torch.zeros(window, size, dtype=dtype, device=device)

    @property
    def full(self) -> bool:
        """Whether `window` gradients have been recorded."""
        return self.recorded >= self.window

    def next_row(self) -> Tensor:
        """Return the row that the next gradient goes to, oldest of all, and count it as written."""
        row = self.rows[self.recorded % self.window]
        self.recorded += 1
        return row

    def ordered(self, start: int, stop: int) -> Tensor:
        """Return connections `start` to `stop` as float32 [N, stop − start], oldest first."""
        part = self.rows[:, start:stop].float()
        return part.roll(-(self.recorded % self.window), dims=0)


def spectrum(history: Tensor, *, detrend: str = "mean", taper: str = "hann") -> Tensor:
    """Return the power spectrum |X[k]|² for k = 1 … N/2: float [N/2, n].

    X[k] = Σ_n x[n] · taper[n] · exp(−2πi k n / N), x being `history` [N, n] less its mean
    (`detrend` "mean") or as it is ("none"); the taper is a periodic Hann window or none.
    """
    signal = history - history.mean(0) if detrend == "mean" else history
    if taper == "hann":
        window = torch.hann_window(len(history), dtype=history.dtype, device=history.device)
        signal = signal * window[:, None]
    return torch.fft.rfft(signal, dim=0)[1:].abs().square()


def dominant(power: Tensor, *, interpolate: bool = True) -> tuple[Tensor, Tensor]:
    """Return (ν, ρ), each [n], of a power spectrum [K, n]: the dominant bin over K, its share.

    With `interpolate` the bin is refined: inside by a parabola through the log-power of its
    neighbours, at most half a bin; at an edge (k = 1 or K) by the power-weighted centroid of the
    two bins there. Otherwise a tenth of white noise would tie at ν = 1.
    """
    bins = power.shape[0]
    peak, index = power.max(0)
    strength = peak / power.sum(0).clamp_min(torch.finfo(power.dtype).tiny)
    position = index.to(power.dtype) + 1
    if interpolate:
        inside = index.clamp(1, bins - 2)
        around = torch.stack([inside - 1, inside, inside + 1])
        near = power.gather(0, around)
        low, middle, high = near.clamp_min(torch.finfo(power.dtype).tiny).log()
        curvature = low - 2 * middle + high
        shift = torch.where(curvature < 0, 0.5 * (low - high) / curvature, 0).clamp(-0.5, 0.5)
        # At an edge the peak is near[0] or near[2]; its only neighbour is the middle one.
        total = (near[0] + near[1]).clamp_min(torch.finfo(power.dtype).tiny)
        first = 1 + near[1] / total
        total = (near[1] + near[2]).clamp_min(torch.finfo(power.dtype).tiny)
        last = bins - near[1] / total
        position = torch.where(index == 0, first, position + shift)
        position = torch.where(index == bins - 1, last, position)
    return position / bins, strength


def detect(
    history: History, *, detrend: str = "mean", taper: str = "hann", interpolate: bool = True
) -> Signals:
    """Read a full history: the resonance frequency of every connection, and what goes with it.

    Raises:
        ValueError: the history is not full, or holds a NaN or an infinity.
    """
    if not history.full:
        raise ValueError(f"{history.recorded} of {history.window} gradients recorded")
    parts = [
        _detect_chunk(history.ordered(start, start + CHUNK), detrend, taper, interpolate)
        for start in range(0, history.rows.shape[1], CHUNK)
    ]
    signals = Signals(*(torch.cat(column) for column in zip(*parts, strict=True)))
    if not bool(signals.power.isfinite().all()):
        raise ValueError("a recorded gradient is not finite")
    return signals


def _detect_chunk(
    part: Tensor, detrend: str, taper: str, interpolate: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    mean = part.mean(0)
    raw = part.square().mean(0)
    kept = (part - mean).square().mean(0) if detrend == "mean" else raw
    frequency, strength = dominant(
        spectrum(part, detrend=detrend, taper=taper), interpolate=interpolate
    )
    silent = kept <= SILENT * raw
    coherence = mean.square() / raw.clamp_min(torch.finfo(raw.dtype).tiny)
    return (
        frequency.masked_fill(silent, 0),
        strength.masked_fill(silent, 0),
        raw.sqrt(),
        coherence.clamp_max(1),
    )
