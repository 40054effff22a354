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

ONEDNN_FROM, ONEDNN_WIDTH = 32, 1024
"""Bins and connections of a chunk from which oneDNN may multiply: below, MKL is as fast."""

ALIGNED_FROM = 16
"""Connections from which MKL adds up a product's terms in order, however operands are aligned."""


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
    inside, width = index.int().clamp_(1, len(power) - 2), power.shape[1]
    place = inside.mul_(width).add_(torch.arange(width, dtype=torch.int32, device=power.device))
    around = torch.cat([place - width, place, place + width])
    near = power.reshape(-1).index_select(0, around).view(3, width)
    return _refine(near, index, len(power), torch.empty_like(peak)), strength


def centroid(power: Tensor) -> tuple[Tensor, Tensor]:
    """Return (ν, ρ), each [n], of a power spectrum [K, n]: Σ_k k·X²[k] / (K·Σ_k X²[k]), and ρ.

    ν, the mean frequency weighted by power, lies in (0, 1]; ρ is that of `dominant`, the fraction
    of power in the dominant bin.
    """
    bins = len(power)
    total = power.sum(0).clamp_min(torch.finfo(power.dtype).tiny)
    places = torch.arange(1, bins + 1, dtype=power.dtype, device=power.device)
    return places @ power / (bins * total), power.amax(0) / total


def _refine(near: Tensor, index: Tensor, bins: int, out: Tensor) -> Tensor:
    """Write ν [n] of the peak at row `index` [n] of K = `bins` rows into `out`.

    `near` [3, n] is the power below, at and above it (at an edge it is the first or the third
    itself), and is overwritten.
    """
    low, middle, high = near.clamp_min_(torch.finfo(near.dtype).tiny)
    # At an edge the peak is `low` or `high`; its only neighbour is the middle one.
    first = middle / (low + middle) + 1
    last = middle.div(middle + high).neg_().add_(bins)
    near[::2].div_(middle).log_()
    # If the three are equal the curvature is 0, and 0/0 (NaN) is replaced by no shift.
    torch.sub(low, high, out=out).div_(low.add_(high)).mul_(0.5).nan_to_num_(0.0)
    out.clamp_(-0.5, 0.5).add_(index).add_(1)
    # Chosen by arithmetic: on a CPU a comparison and a choice take five times as long.
    row = index.to(near.dtype)
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


def chunk_width(window: int, device: str) -> int:
    """Return how many connections are read at a time on a type of device."""
    width = CHUNK.get(device, CHUNK["cpu"]) // window
    # Shorter pieces of so many rows are read from memory at half the speed.
    return 2 * width if window == MATRIX_UP_TO and device == "cpu" else width


class Detector:
    """Reads histories of one window: the resonance frequency of every connection.

    Up to N = 128 the transform is a matrix product per chunk: tapering and detrending are part
    of the matrix, mirrored samples are added or subtracted first, and only the current chunk of
    the history is copied. Above, ``torch.fft`` is used. Buffers are allocated once and reused for
    the next history: freeing them returns the memory to the system, and allocating zeroed memory
    again doubled the time of a detection on a CPU.

    Args:
        window: N.
        detrend: "mean" or "none".
        taper: "hann" or "none".
        interpolate: whether the dominant bin is refined (`dominant`).
        reading: "dominant", or "centroid" for the mean frequency of the spectrum.
    """

    def __init__(
        self,
        window: int,
        detrend: str = "mean",
        taper: str = "hann",
        interpolate: bool = True,
        reading: str = "dominant",
    ) -> None:
        self.window, self.detrend, self.taper = window, detrend, taper
        self._transform: Callable[[History, slice, Tensor, Tensor], tuple[Tensor, Tensor]]
        settings = (detrend, taper, interpolate, reading)
        if window <= MATRIX_UP_TO:
            self._transform = _MatrixTransform(window, *settings)
        else:
            self._transform = functools.partial(_transform_by_fft, *settings)

    def __call__(self, history: History) -> Reading:
        """Return the reading of a full history.

        Raises:
            ValueError: the history is not full, or holds a NaN or an infinity.
        """
        if history.recorded < history.window:
            raise ValueError(f"{history.recorded} of {history.window} gradients recorded")
        size, device = history.rows.shape[1], history.rows.device
        reading = Reading(*torch.empty(2, size, dtype=torch.float32, device=device))
        chunk = chunk_width(history.window, device.type)
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
    reading: str,
    history: History,
    columns: slice,
    frequency: Tensor,
    strength: Tensor,
) -> tuple[Tensor, Tensor]:
    """Detect a chunk through ``torch.fft``, by the definition; arguments as `_MatrixTransform`."""
    part = history.ordered(columns)
    power = spectrum(part, detrend=detrend, taper=taper)
    is_centroid = reading == "centroid"
    found = centroid(power) if is_centroid else dominant(power, interpolate=interpolate)
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

    def __init__(
        self, window: int, detrend: str, taper: str, interpolate: bool, reading: str
    ) -> None:
        self.bins = bins = window // 2
        self.interpolate = interpolate
        self.is_centroid = reading == "centroid"
        self.places = torch.arange(1, bins + 1, dtype=torch.float32)[None] / bins
        self.even, self.odd = _dft_matrices(window, detrend, taper)
        self.low = (1 << (bins - 1).bit_length()) - 1
        self.numbers = (self.low - torch.arange(bins, dtype=torch.int32))[:, None]
        self.reversed = torch.arange(window - 1, bins, -1)
        self.room = torch.empty(0, dtype=torch.float32)
        self.buffers: dict[int, _Buffers] = {}
        self.multiply = _product(self.even)

    def _move(self, device: torch.device) -> None:
        self.even, self.odd = self.even.to(device), self.odd.to(device)
        self.numbers, self.reversed = self.numbers.to(device), self.reversed.to(device)
        self.places = self.places.to(device)
        self.room, self.buffers = torch.empty(0, dtype=torch.float32, device=device), {}

    def _buffers(self, width: int) -> "_Buffers":
        """Return the buffers for `width` connections; all widths share their memory."""
        if width not in self.buffers:
            needed = _Buffers.rows(self.bins, width) * width
            if self.room.numel() < needed:
                self.room, self.buffers = self.room.new_empty(needed), {}
            self.buffers[width] = _Buffers(self.room[:needed].view(-1, width), self.bins)
        return self.buffers[width]

    def __call__(
        self, history: History, columns: slice, frequency: Tensor, strength: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Fill in ν and ρ; return the mean of the window and Σ_k |X[k]|²."""
        bins, rows, oldest, width = self.bins, history.rows, history.oldest, len(frequency)
        if self.room.device != rows.device:
            self._move(rows.device)
        at = self._buffers(width)
        at.signal[: len(rows) - oldest].copy_(rows[oldest:, columns])
        if oldest:
            at.signal[len(rows) - oldest :].copy_(rows[:oldest, columns])
        torch.index_select(at.signal, 0, self.reversed, out=at.mirrored)
        torch.sub(at.inner, at.mirrored, out=at.differences)
        at.inner.add_(at.mirrored)
        cosines = self.multiply(self.even, at.sums, at.cosines)
        sines = self.multiply(self.odd, at.differences, at.sines)
        torch.mul(cosines[:bins], cosines[:bins], out=at.power)
        at.power[:-1].addcmul_(sines, sines)  # the Nyquist bin has no sine
        torch.sum(at.power, 0, out=at.total)
        if self.is_centroid:
            torch.mm(self.places, at.power, out=frequency[None])
        numbered = at.numbered.bitwise_and_(~self.low).bitwise_or_(self.numbers)
        highest = torch.amax(numbered, 0, out=at.best)
        index = (highest & self.low).neg_().add_(self.low)
        peak = highest.bitwise_and_(~self.low).view(torch.float32)
        divisor = at.total.clamp_min(torch.finfo(torch.float32).tiny)
        torch.div(peak, divisor, out=strength)
        if self.is_centroid:
            frequency.div_(divisor)
        elif self.interpolate:
            _refine(at.neighbours(index), index, bins, frequency)
        else:
            frequency.copy_(index).add_(1).div_(bins)
        return cosines[bins], at.total


class _Buffers:
    """Views of memory [rows, width] for the spectra of `width` connections.

    Results take the place of what is read no more, which is in cache: 2N rows in all. Not so in a
    narrow chunk, where MKL rounds products by how their operands are aligned.

    Attributes:
        signal: the window [N, width], oldest first; x[n] + x[N − n] takes the place of its first
            half, `sums`, of which those with a mirrored sample are `inner`.
        mirrored: x[N − n] for 0 < n < K.
        differences: x[n] − x[N − n] for 0 < n < K.
        cosines, sines: products; the last of the cosines is the mean of the window.
        power: |X[k]|² [K, width]; `numbered` is the same memory as integers.
        total, best: Σ_k |X[k]|², and the highest of `numbered`, [width].
    """

    def __init__(self, room: Tensor, bins: int) -> None:
        width = room.shape[1]
        self.signal, lines, rest = room[: 2 * bins], room[2 * bins : 4 * bins], room[4 * bins :]
        self.mirrored, self.differences = lines[: bins - 1], self.signal[bins + 1 :]
        self.power = self.signal[:bins]
        if width < ALIGNED_FROM:
            parts = room.split([2 * bins, bins - 1, bins - 1, 2 * bins, bins, 5])
            self.signal, self.mirrored, self.differences, lines, self.power, rest = parts
        self.sums, self.inner = self.signal[: bins + 1], self.signal[1:bins]
        self.cosines, self.sines = lines[: bins + 1], lines[bins + 1 :]
        self.numbered = self.power.view(torch.int32)
        self.total, self.best, self._near = rest[0], rest[1].view(torch.int32), rest[2:]
        # From a place in the row below a peak: the same place in that row, its own, and above.
        flat = self.power.view(-1)
        self._from = [flat[row * width :] for row in range(3)]
        self._columns = torch.arange(width, dtype=torch.int32, device=room.device)

    @staticmethod
    def rows(bins: int, width: int) -> int:
        """Return how many rows of memory there must be."""
        return (4 * bins if width >= ALIGNED_FROM else 7 * bins - 2) + 5

    def neighbours(self, index: Tensor) -> Tensor:
        """Return the power [3, width] below, at and above the peak at row `index` (int32 [width]).

        At an edge the peak itself is the first or the third.
        """
        below = index.sub(1).clamp_(0, len(self.power) - 3)
        place = below.mul_(len(index)).add_(self._columns)
        for source, row in zip(self._from, self._near, strict=True):
            torch.index_select(source, 0, place, out=row)
        return self._near


def _product(matrix: Tensor) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Return what multiplies matrices of this size by a chunk [m, n], in a third tensor or anew.

    On a CPU, oneDNN takes half as long as MKL for the matrices of large windows. It is used only
    where it gives the same bits on this machine, which is tried here.
    """
    if len(matrix) <= ONEDNN_FROM or not torch.backends.mkldnn.is_available():
        return _multiply
    chunk = torch.linspace(-1, 1, len(matrix) * ONEDNN_WIDTH).mul_(1e3).sin_()
    chunk = chunk.view(len(matrix), -1)
    try:
        other = _multiply_by_onednn(matrix, chunk, chunk)
    except (RuntimeError, AttributeError):  # not in this build of torch
        return _multiply
    return _multiply_by_onednn if torch.equal(other, matrix @ chunk) else _multiply


def _multiply(matrix: Tensor, chunk: Tensor, out: Tensor) -> Tensor:
    return torch.mm(matrix, chunk, out=out)


def _multiply_by_onednn(matrix: Tensor, chunk: Tensor, out: Tensor) -> Tensor:
    if chunk.device.type != "cpu" or chunk.shape[1] < ONEDNN_WIDTH:
        return torch.mm(matrix, chunk, out=out)
    product: Tensor = torch.ops.mkldnn._linear_pointwise(matrix, chunk.t(), None, "none", [], "")
    return product


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
