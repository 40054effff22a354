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

    Power and coherence are for diagnosis and for variants, and left out unless asked for.

    Attributes:
        frequency: resonance frequency ν in [0, 1], normalised to the Nyquist frequency; 0 where
            the window is silent.
        strength: ρ, the share of spectral power in the dominant bin; 0 where silent.
        power: root mean square of the raw gradients.
        coherence: (mean g)² / mean(g²) in [0, 1]: how steadily the gradient pushes one way.
    """

    frequency: Tensor
    strength: Tensor
    power: Tensor | None = None
    coherence: Tensor | None = None


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
    if not interpolate:
        return (index.to(power.dtype) + 1) / len(power), strength
    return _refine(power, index, _Room(power.shape[1], power.dtype, power.device)), strength


class _Room:
    """Places for the intermediate results of `_refine`, so that chunks need no new memory.

    Memory that is freed after each chunk goes back to the system and is fetched, zeroed, for the
    next one: on a CPU that doubled the time of a detection.
    """

    def __init__(self, width: int, dtype: torch.dtype, device: torch.device) -> None:
        self.around = torch.empty(3, width, dtype=torch.int64, device=device)
        self.near = torch.empty(3, width, dtype=dtype, device=device)
        self.edge = torch.empty(width, dtype=torch.bool, device=device)
        self.rows = torch.empty(4, width, dtype=dtype, device=device)


def _refine(power: Tensor, index: Tensor, room: _Room) -> Tensor:
    """Return ν [n] (in `room`) of the peak at row `index` (int64 [n]) of `power` [K, n]."""
    bins = len(power)
    first, last, curvature, position = room.rows
    below, inside, above = room.around
    torch.clamp(index, 1, bins - 2, out=inside)
    torch.sub(inside, 1, out=below)
    torch.add(inside, 1, out=above)
    low, middle, high = torch.gather(power, 0, room.around, out=room.near)
    room.near.clamp_min_(torch.finfo(power.dtype).tiny)
    # At an edge the peak is `low` or `high`; its only neighbour is the middle one.
    torch.div(middle, torch.add(low, middle, out=first), out=first).add_(1)
    torch.div(middle, torch.add(middle, high, out=last), out=last).neg_().add_(bins)
    room.near.log_()
    torch.add(low, high, out=curvature).sub_(middle, alpha=2).mul_(2)
    torch.sub(low, high, out=position).div_(curvature)
    # Where the three are equal the curvature is 0, and 0/0 is no shift.
    position.nan_to_num_(0.0).clamp_(-0.5, 0.5).add_(index).add_(1)
    torch.where(torch.eq(index, 0, out=room.edge), first, position, out=position)
    torch.where(torch.eq(index, bins - 1, out=room.edge), last, position, out=position)
    return position.div_(bins)


def detect(
    history: History,
    *,
    detrend: str = "mean",
    taper: str = "hann",
    interpolate: bool = True,
    diagnose: bool = False,
) -> Signals:
    """Read a full history: the resonance frequency of every connection, and what goes with it.

    Up to N = 128 the transform is one matrix product per chunk. Tapering and detrending are
    folded into the matrix, the order of the ring is a rotation of its columns, so nothing of the
    history is copied but the chunk at hand. Above, ``torch.fft`` is used. With `diagnose` the
    signals have power and coherence too.

    Raises:
        ValueError: the history is not full, or holds a NaN or an infinity.
    """
    if not history.full:
        raise ValueError(f"{history.recorded} of {history.window} gradients recorded")
    size, device = history.rows.shape[1], history.rows.device
    columns = [torch.empty(size, device=device) for _ in range(4 if diagnose else 2)]
    chunk = min(CHUNK.get(device.type, CHUNK["cpu"]) // history.window, size)
    transform: _MatrixTransform | _FourierTransform
    if history.window <= MATRIX_UP_TO:
        transform = _MatrixTransform(history, chunk, detrend, taper, interpolate)
    else:
        transform = _FourierTransform(history, detrend, taper, interpolate)
    for start in range(0, size, chunk):
        stop = min(start + chunk, size)
        frequency, strength, mean, raw, kept = transform(start, stop)
        alive = kept > SILENT * raw
        torch.mul(frequency, alive, out=columns[0][start:stop])
        torch.mul(strength, alive, out=columns[1][start:stop])
        if diagnose:
            torch.sqrt(raw, out=columns[2][start:stop])
            tiny = torch.finfo(torch.float32).tiny
            columns[3][start:stop] = (mean.square() / raw.clamp_min(tiny)).clamp_max(1)
    signals = Signals(*columns)
    if not bool(signals.strength.isfinite().all()):
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
        return frequency, strength, mean, raw, kept


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
        b = self.buffers = self.buffers.fitting(stop - start)
        mean, raw, kept, total = b.rows
        b.signal.copy_(self.history.rows[:, start:stop])
        torch.mm(self.matrix, b.signal, out=b.lines)
        mean.copy_(b.lines[-1])  # the last row, the sine of the Nyquist bin, is zero anyway
        b.lines[-1].zero_()
        torch.sum(b.signal.square_(), 0, out=raw).div_(self.history.window)
        b.lines.square_()
        power = torch.add(b.lines[: self.bins], b.lines[self.bins :], out=b.power)
        torch.sum(power, 0, out=total).clamp_min_(torch.finfo(torch.float32).tiny)
        packed = torch.bitwise_and(power.view(torch.int32), ~self.low, out=b.packed)
        best = torch.amax(packed.bitwise_or_(self.numbers), 0, out=b.best)
        torch.bitwise_and(best, self.low, out=b.number)
        index = b.index.copy_(b.number).neg_().add_(self.low)
        peak = best.bitwise_and_(~self.low).view(torch.float32)
        strength = torch.div(peak, total, out=total)
        if self.interpolate:
            frequency = _refine(power, index, b.room)
        else:
            frequency = b.frequency.copy_(index).add_(1).div_(self.bins)
        torch.addcmul(raw, mean, mean, value=-1 if self.detrended else 0, out=kept)
        return frequency, strength, mean, raw, kept


class _Buffers:
    """Room for a chunk of c connections: signal and lines [N, c], power [N/2, c], rows [c]."""

    def __init__(self, window: int, width: int, device: torch.device) -> None:
        self.signal = torch.empty(window, width, device=device)
        self.lines = torch.empty(window, width, device=device)
        self.power = torch.empty(window // 2, width, device=device)
        self.packed = torch.empty(window // 2, width, dtype=torch.int32, device=device)
        self.best = torch.empty(width, dtype=torch.int32, device=device)
        self.number = torch.empty(width, dtype=torch.int32, device=device)
        self.index = torch.empty(width, dtype=torch.int64, device=device)
        self.frequency = torch.empty(width, device=device)
        self.rows = torch.empty(4, width, device=device)
        self.room = _Room(width, torch.float32, device)

    def fitting(self, width: int) -> "_Buffers":
        """Return buffers of this width: these, but for the last, narrower chunk."""
        window, here = self.signal.shape
        return self if width == here else _Buffers(window, width, self.signal.device)


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
