"""Resonance detection: the last N gradients of each connection → its resonance frequency.

A history is a tensor [N, n]: one row per recorded step, one column per connection, oldest first.
"""

import functools
import math
from collections.abc import Callable

import torch
from torch import Tensor

from suite.resonance.signal import Reading

SILENT = 1e-6
"""A window counts as zero if detrending leaves at most this fraction of its raw power."""

CHUNK = {"cpu": 2**19, "cuda": 2**25}
"""Values (window × connections) transformed at a time: on a CPU, so that they stay in cache."""

MATRIX_UP_TO = 128
"""Largest window whose transform is a matrix product; above, the FFT is cheaper."""


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

    def restore(self, rows: Tensor, recorded: int) -> None:
        """Replace the rows (copied) and the count by those of another history."""
        self.rows, self.recorded = rows.clone(), recorded

    def next_row(self) -> Tensor:
        """Return the row for the next gradient, the oldest one, and count it as written."""
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
    """Return (ν, ρ), each [n], of a power spectrum [K, n]: dominant bin / K, its fraction of power.

    With `interpolate` the bin is refined: inside by a parabola through the log-power of its
    neighbours, at most half a bin; at an edge (k = 1 or K) by the power-weighted centroid of the
    two bins there. Without it, a tenth of white-noise signals would tie at ν = 1.
    """
    peak, index = power.max(0)
    strength = peak / power.sum(0).clamp_min(torch.finfo(power.dtype).tiny)
    if not interpolate:
        return (index.to(power.dtype) + 1) / len(power), strength
    return _refine(power, index.int(), torch.empty_like(peak)), strength


def _refine(power: Tensor, index: Tensor, out: Tensor) -> Tensor:
    """Write ν [n] of the peak at row `index` (int32 [n]) of `power` [K, n] into `out`."""
    bins, width = power.shape
    inside = index.clamp(1, bins - 2)
    place = inside.mul_(width).add_(torch.arange(width, dtype=inside.dtype, device=inside.device))
    around = torch.cat([place - width, place, place + width])
    near = power.reshape(-1).index_select(0, around).view(3, width)
    low, middle, high = near.clamp_min_(torch.finfo(power.dtype).tiny)
    # At an edge the peak is `low` or `high`; its only neighbour is the middle one.
    first = middle / (low + middle) + 1
    last = middle.div(middle + high).neg_().add_(bins)
    low, high = low.div_(middle).log_(), high.div_(middle).log_()
    # If the three are equal the curvature is 0, and 0/0 (NaN) is replaced by no shift.
    torch.sub(low, high, out=out).div_(low.add_(high)).mul_(0.5).nan_to_num_(0.0)
    out.clamp_(-0.5, 0.5).add_(index).add_(1)
    # Chosen by arithmetic: on a CPU a comparison and a choice take five times as long.
    row = index.to(power.dtype)
    out.lerp_(first, (1 - row).clamp_min_(0))
    out.lerp_(last, row.sub_(bins - 2).clamp_min_(0))
    return out.div_(bins)


def transform_flops(window: int) -> float:
    """Return the FLOPs that the transform of one connection's window takes, as `Detector` does it.

    Up to N = 128 those of the products of `_MatrixTransform`, 2 (K + 1)² + 2 (K − 1)² = 4 K² + 4
    with K = N/2; above, 5/2 · N · log₂ N, the usual count for an FFT of real values
    (fftw.org/speed/method.html).
    """
    bins = window // 2
    if window <= MATRIX_UP_TO:
        return 4.0 * bins**2 + 4.0
    return 2.5 * window * math.log2(window)


class Detector:
    """Reads histories of one window: the resonance frequency of every connection.

    Up to N = 128 the transform is a matrix product per chunk: tapering and detrending are part
    of the matrix, mirrored samples are added or subtracted first, and only the current chunk of
    the history is copied. Above, ``torch.fft`` is used. Buffers are allocated once and reused for
    the next history: freeing them returns the memory to the system, and allocating zeroed memory
    again doubled the time of a detection on a CPU.
    """

    def __init__(
        self, window: int, detrend: str = "mean", taper: str = "hann", interpolate: bool = True
    ) -> None:
        self.window, self.detrend, self.taper = window, detrend, taper
        self._transform: Callable[[History, slice, Tensor, Tensor], tuple[Tensor, Tensor]]
        if window <= MATRIX_UP_TO:
            self._transform = _MatrixTransform(window, detrend, taper, interpolate)
        else:
            self._transform = functools.partial(_transform_by_fft, detrend, taper, interpolate)

    def __call__(self, history: History) -> Reading:
        """Return the reading of a full history.

        Raises:
            ValueError: the history is not full, or holds a NaN or an infinity.
        """
        if history.recorded < history.window:
            raise ValueError(f"{history.recorded} of {history.window} gradients recorded")
        size, device = history.rows.shape[1], history.rows.device
        reading = Reading(*torch.empty(2, size, dtype=torch.float32, device=device))
        chunk = CHUNK.get(device.type, CHUNK["cpu"]) // history.window
        for start in range(0, size, chunk):
            columns = slice(start, min(start + chunk, size))
            frequency, strength = reading.frequency[columns], reading.strength[columns]
            mean, total = self._transform(history, columns, frequency, strength)
            quiet = _silent(history, start, mean, total, detrended=self.detrend == "mean")
            if quiet is not None:
                frequency.index_fill_(0, quiet, 0)
                strength.index_fill_(0, quiet, 0)
        # The sum is finite only if all are (ρ is at most 1), and costs a tenth of checking each.
        if not bool(reading.strength.sum().isfinite()):
            raise ValueError("a recorded gradient is not finite")
        return reading


def _silent(
    history: History, start: int, mean: Tensor, total: Tensor, *, detrended: bool
) -> Tensor | None:
    """Return the places, from `start` on, whose power after detrending is ≤ SILENT of the raw.

    `total` = Σ_k |X[k]|² is at most N² times the power after detrending (Parseval; a taper is at
    most 1), so a large one proves that there is a signal, and only the few others are checked.
    """
    excess = total.addcmul(mean, mean, value=-1.1 * SILENT * history.window**2)
    if float(excess.amin()) > 0:
        return None
    quiet = (excess <= 0).nonzero().flatten()
    zero = mean[quiet] == 0  # neither a mean nor a spectrum: nothing was recorded but zeros
    doubtful = quiet[~zero]
    part = history.ordered(start + doubtful)
    raw = part.square().mean(0)
    kept = (part - part.mean(0)).square().mean(0) if detrended else raw
    return torch.cat([quiet[zero], doubtful[kept <= SILENT * raw]])


def _transform_by_fft(
    detrend: str,
    taper: str,
    interpolate: bool,
    history: History,
    columns: slice,
    frequency: Tensor,
    strength: Tensor,
) -> tuple[Tensor, Tensor]:
    """Detect a chunk through ``torch.fft``, by the definition; arguments as `_MatrixTransform`."""
    part = history.ordered(columns)
    power = spectrum(part, detrend=detrend, taper=taper)
    found = dominant(power, interpolate=interpolate)
    frequency.copy_(found[0])
    strength.copy_(found[1])
    return part.mean(0), power.sum(0)


class _MatrixTransform:
    """Detection of a chunk by a matrix product.

    Cosine and (symmetric) taper are even in n and sine is odd, so x[n] + x[N − n] goes through
    the one and x[n] − x[N − n] through the other: half the products of a whole transform.

    The dominant bin is found by one integer maximum: the bin's number is written into the lowest
    bits of its power's mantissa (floats of one sign order as integers do). Two bins closer than
    2^(bits − 23) of their power, 2^−19 at N = 32, therefore count as equal, the lower one winning.
    """

    def __init__(self, window: int, detrend: str, taper: str, interpolate: bool) -> None:
        self.bins = bins = window // 2
        self.interpolate = interpolate
        self.even, self.odd = _dft_matrices(window, detrend, taper)
        self.low = (1 << (bins - 1).bit_length()) - 1
        self.numbers = (self.low - torch.arange(bins, dtype=torch.int32))[:, None]
        self.reversed = torch.arange(window - 1, bins, -1)
        self.room = torch.empty(0, dtype=torch.float32)
        self.carved: dict[int, list[Tensor]] = {}

    def _move(self, device: torch.device) -> None:
        self.even, self.odd = self.even.to(device), self.odd.to(device)
        self.numbers, self.reversed = self.numbers.to(device), self.reversed.to(device)
        self.room, self.carved = torch.empty(0, dtype=torch.float32, device=device), {}

    def _buffers(self, width: int) -> list[Tensor]:
        """Return signal, its mirrored half, differences, lines, power and two rows, contiguous."""
        if width not in self.carved:
            bins = self.bins
            rows = [2 * bins, bins - 1, bins - 1, 2 * bins, bins, 1, 1]
            if self.room.numel() < sum(rows) * width:
                self.room = self.room.new_empty(sum(rows) * width)
                self.carved = {}
            parts = self.room[: sum(rows) * width].split([count * width for count in rows])
            views = zip(parts, rows, strict=True)
            self.carved[width] = [part.view(count, width) for part, count in views]
        return self.carved[width]

    def __call__(
        self, history: History, columns: slice, frequency: Tensor, strength: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Fill in ν and ρ; return the mean of the window and Σ_k |X[k]|²."""
        bins, rows, oldest = self.bins, history.rows, history.oldest
        if self.room.device != rows.device:
            self._move(rows.device)
        signal, mirrored, differences, lines, power, best, total = self._buffers(len(frequency))
        signal[: 2 * bins - oldest].copy_(rows[oldest:, columns])
        signal[2 * bins - oldest :].copy_(rows[:oldest, columns])
        sums, cosines, sines = signal[: bins + 1], lines[: bins + 1], lines[bins + 1 :]
        torch.index_select(signal, 0, self.reversed, out=mirrored)
        torch.sub(sums[1:bins], mirrored, out=differences)
        sums[1:bins].add_(mirrored)
        torch.mm(self.even, sums, out=cosines)
        torch.mm(self.odd, differences, out=sines)
        torch.mul(cosines[:bins], cosines[:bins], out=power)
        power[:-1].addcmul_(sines, sines)  # the Nyquist bin has no sine
        torch.sum(power, 0, out=total[0])
        numbered = power.view(torch.int32).bitwise_and_(~self.low).bitwise_or_(self.numbers)
        highest = torch.amax(numbered, 0, out=best[0].view(torch.int32))
        index = (highest & self.low).neg_().add_(self.low)
        peak = highest.bitwise_and_(~self.low).view(torch.float32)
        torch.div(peak, total[0].clamp_min(torch.finfo(torch.float32).tiny), out=strength)
        if self.interpolate:
            _refine(power, index, frequency)
        else:
            frequency.copy_(index).add_(1).div_(bins)
        return cosines[bins], total[0]


@functools.lru_cache(maxsize=16)
def _dft_matrices(window: int, detrend: str, taper: str) -> tuple[Tensor, Tensor]:
    """Return the real transform of folded samples, taper and detrending included, float32.

    The first, [K + 1, K + 1], takes x[0], x[n] + x[N − n] for 0 < n < K, x[K] to the cosines of
    bins 1 … K and the mean of the window; the second, [K − 1, K − 1], takes x[n] − x[N − n] to
    the sines of bins 1 … K − 1. K = N/2.
    """
    bins = window // 2
    n = torch.arange(window, dtype=torch.float64)
    k = torch.arange(1, bins + 1, dtype=torch.float64)
    weights = torch.ones(window, dtype=torch.float64)
    if taper == "hann":
        weights = torch.hann_window(window, dtype=torch.float64)
    angle = 2 * math.pi * torch.outer(k, n) / window
    cosines, sines = angle.cos() * weights, angle.sin() * weights
    if detrend == "mean":
        cosines -= cosines.mean(1, keepdim=True)  # sines have no mean under an even taper
    mean = torch.full((1, bins + 1), 1 / window, dtype=torch.float64)
    return torch.cat([cosines[:, : bins + 1], mean]).float(), sines[:-1, 1:bins].float()
