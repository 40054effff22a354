"""Resonance detection: the last N gradients of each connection → its resonance frequency.

A history is a tensor [N, n]: one row per recorded step, one column per connection, oldest first.
"""

import functools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

SILENT = 1e-6
"""A window whose power after detrending is at most this share of its raw power counts as zero."""

CHUNK = {"cpu": 2**18, "cuda": 2**25}
"""Values (window × connections) transformed at a time: on a CPU, so that they stay in cache."""

MATRIX_UP_TO = 128
"""Largest window whose transform is a matrix product; above, the FFT is cheaper."""


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

    @property
    def oldest(self) -> int:
        """Row that holds the oldest gradient of a full history."""
        return self.recorded % self.window

    def ordered(self, which: slice | Tensor) -> Tensor:
        """Return the connections `which` (a slice, or indices) as float32 [N, …], oldest first."""
        return self.rows[:, which].float().roll(-self.oldest, dims=0)


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
    peak, index = power.max(0)
    strength = peak / power.sum(0).clamp_min(torch.finfo(power.dtype).tiny)
    position = _refine(power, index) if interpolate else index.to(power.dtype) + 1
    return position / len(power), strength


def _refine(power: Tensor, index: Tensor) -> Tensor:
    """Return the position, in bins from 1, of the peak at row `index` of `power` [K, n]."""
    bins = len(power)
    inside = index.clamp(1, bins - 2)
    near = power.gather(0, torch.stack([inside - 1, inside, inside + 1]))
    near.clamp_min_(torch.finfo(power.dtype).tiny)
    low, middle, high = near.log()
    curvature = low - 2 * middle + high
    # Where the three are equal the curvature is 0 and 0/0 falls to no shift.
    shift = ((low - high) / (2 * curvature)).nan_to_num_(0.0).clamp_(-0.5, 0.5)
    # At an edge the peak is near[0] or near[2]; its only neighbour is the middle one.
    first = 1 + near[1] / (near[0] + near[1])
    last = bins - near[1] / (near[1] + near[2])
    position = torch.where(index == 0, first, shift.add_(index).add_(1))
    return torch.where(index == bins - 1, last, position)


def detect(
    history: History, *, detrend: str = "mean", taper: str = "hann", interpolate: bool = True
) -> Signals:
    """Read a full history: the resonance frequency of every connection, and what goes with it.

    Up to N = 128 the transform is one matrix product per chunk. Tapering and detrending are
    folded into the matrix, the order of the ring is a rotation of its columns, so nothing of the
    history is copied but the chunk at hand. Above, ``torch.fft`` is used.

    Raises:
        ValueError: the history is not full, or holds a NaN or an infinity.
    """
    if not history.full:
        raise ValueError(f"{history.recorded} of {history.window} gradients recorded")
    size, device = history.rows.shape[1], history.rows.device
    columns = [torch.empty(size, device=device) for _ in range(4)]
    chunk = min(CHUNK.get(device.type, CHUNK["cpu"]) // history.window, size)
    transform: _MatrixTransform | _FourierTransform
    if history.window <= MATRIX_UP_TO:
        transform = _MatrixTransform(history, chunk, detrend, taper, interpolate)
    else:
        transform = _FourierTransform(history, detrend, taper, interpolate)
    for start in range(0, size, chunk):
        stop = min(start + chunk, size)
        for column, part in zip(columns, transform(start, stop), strict=True):
            column[start:stop] = part
    signals = Signals(*columns)
    if not bool(signals.power.isfinite().all()):
        raise ValueError("a recorded gradient is not finite")
    return signals


class _FourierTransform:
    """Detection of one chunk through ``torch.fft``: the definition, for any window."""

    def __init__(self, history: History, detrend: str, taper: str, interpolate: bool) -> None:
        self.history = history
        self.detrend = detrend
        self.taper = taper
        self.interpolate = interpolate

    def __call__(self, start: int, stop: int) -> tuple[Tensor, ...]:
        part = self.history.ordered(slice(start, stop))
        mean = part.mean(0)
        raw = part.square().mean(0)
        kept = (part - mean).square().mean(0) if self.detrend == "mean" else raw
        power = spectrum(part, detrend=self.detrend, taper=self.taper)
        frequency, strength = dominant(power, interpolate=self.interpolate)
        return _signals(frequency, strength, mean, raw, kept)


class _MatrixTransform:
    """Detection of one chunk by a matrix product, in buffers that are allocated once.

    The dominant bin is found by one integer maximum: the bin's number is written into the lowest
    bits of its power's mantissa (floats of one sign order as integers do). Two bins closer than
    2^(bits − 23) of their power, 2^−19 at N = 32, therefore count as equal, the lower one winning.
    """

    def __init__(
        self, history: History, chunk: int, detrend: str, taper: str, interpolate: bool
    ) -> None:
        device, window = history.rows.device, history.window
        self.history = history
        self.bins = window // 2
        self.detrended = detrend == "mean"
        self.interpolate = interpolate
        self.matrix = _dft_matrix(window, detrend, taper).to(device).roll(history.oldest, dims=1)
        self.low = (1 << (self.bins - 1).bit_length()) - 1
        numbers = torch.arange(self.bins, dtype=torch.int32, device=device)
        self.numbers = (self.low - numbers)[:, None]
        self.buffers = _Buffers(window, chunk, device)

    def __call__(self, start: int, stop: int) -> tuple[Tensor, ...]:
        b = self.buffers.narrowed(stop - start)
        b.signal.copy_(self.history.rows[:, start:stop])
        torch.mm(self.matrix, b.signal, out=b.lines)
        mean = b.lines[-1].clone()  # the last row, the sine of the Nyquist bin, is zero anyway
        b.lines[-1].zero_()
        raw = b.signal.square_().sum(0).div_(self.history.window)
        b.lines.square_()
        power = torch.add(b.lines[: self.bins], b.lines[self.bins :], out=b.power)
        packed = torch.bitwise_and(power.view(torch.int32), ~self.low, out=b.packed)
        best = packed.bitwise_or_(self.numbers).amax(0)
        index = self.low - (best & self.low)
        peak = (best & ~self.low).view(torch.float32)
        strength = peak / power.sum(0).clamp_min_(torch.finfo(torch.float32).tiny)
        position = _refine(power, index.long()) if self.interpolate else index.float() + 1
        kept = raw - mean.square() if self.detrended else raw
        return _signals(position.div_(self.bins), strength, mean, raw, kept)


class _Buffers:
    """Room for a chunk: its signal [N, c], the lines of its transform [N, c], its power [K, c]."""

    def __init__(self, window: int, chunk: int, device: torch.device) -> None:
        self.signal = torch.empty(window, chunk, device=device)
        self.lines = torch.empty(window, chunk, device=device)
        self.power = torch.empty(window // 2, chunk, device=device)
        self.packed = torch.empty(window // 2, chunk, dtype=torch.int32, device=device)

    def narrowed(self, width: int) -> "_Buffers":
        """Return buffers for the last, narrower chunk; these where it is not narrower."""
        window, chunk = self.signal.shape
        return self if width == chunk else _Buffers(window, width, self.signal.device)


@functools.lru_cache(maxsize=16)
def _dft_matrix(window: int, detrend: str, taper: str) -> Tensor:
    """Return the real transform [N, N] with taper and detrending folded in, float32.

    Rows: the cosines of bins 1 … K, the sines of bins 1 … K − 1, and the mean of the window.
    """
    n = torch.arange(window, dtype=torch.float64)
    k = torch.arange(1, window // 2 + 1, dtype=torch.float64)
    angle = 2 * math.pi * torch.outer(k, n) / window
    matrix = torch.cat([angle.cos(), angle.sin()])
    if taper == "hann":
        matrix *= torch.hann_window(window, dtype=torch.float64)
    if detrend == "mean":
        matrix -= matrix.mean(1, keepdim=True)
    matrix[-1] = 1 / window
    return matrix.float()


def _signals(
    frequency: Tensor, strength: Tensor, mean: Tensor, raw: Tensor, kept: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the columns of `Signals`; `raw`, `kept`: mean squares before and after detrending."""
    silent = kept <= SILENT * raw
    coherence = mean.square() / raw.clamp_min(torch.finfo(raw.dtype).tiny)
    return (
        frequency.masked_fill_(silent, 0),
        strength.masked_fill_(silent, 0),
        raw.sqrt(),
        coherence.clamp_max_(1),
    )


def permutation_within(order: Tensor, live: Tensor) -> Tensor:
    """Return the permutation that `order` induces on the `live` connections; others stay put.

    Each live connection follows the cycle of `order` until it meets a live one again (the first
    return), so the same `order` gives nearly the same permutation while `live` changes a little.
    Both [n]; the result says where each connection's signal comes from.
    """
    place = torch.arange(len(order), device=order.device)
    hop = torch.where(live, place, order)
    for _ in range(len(order).bit_length()):
        hop = hop[hop]
    return torch.where(live, hop[order], place)
