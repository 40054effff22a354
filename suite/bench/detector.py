"""The detector of resonance frequencies against chunked ``torch.fft`` for the same answer."""

from collections.abc import Callable, Iterator, Sequence

import torch

from suite.bench.measurement import Bar, Measurement
from suite.bench.threads import on_threads
from suite.bench.turns import CPU, ratios, seconds
from suite.resonance.detector import CHUNK, Detector, History, dominant, spectrum

SIZE, BLOCKS = 266_200, 15
WINDOWS = (16, 32, 64, 128)
BARS = {32: 5.0, 128: 4.0}
"""By window: the least speed-up for the dominant bin; as many refine it as do not."""


def run(
    windows: Sequence[int] = WINDOWS,
    size: int = SIZE,
    blocks: int = BLOCKS,
    device: torch.device = CPU,
) -> Iterator[Measurement]:
    """Yield the speed-up over ``torch.fft`` and nanoseconds per weight, by window.

    Both read the same history of bfloat16 gradients of `size` weights, in chunks of as many values,
    so that both find theirs in cache. Bars are those of a CPU.
    """
    note = "1 thread" if device.type == "cpu" else ""
    with on_threads(1):
        for window in windows:
            history = History(window, size, torch.bfloat16, device)
            history.rows.normal_()
            history.recorded = window + 5
            for refines in (False, True):
                ours, peer = works(history, refines)
                what = f"N = {window}, {'refined bin' if refines else 'dominant bin'}"
                bar = None if refines or window not in BARS else Bar(BARS[window], least=True)
                values = ratios(peer, ours, blocks, device)
                yield Measurement.of(
                    f"torch.fft / detector, {what}",
                    values,
                    "×",
                    bar if device.type == "cpu" else None,
                    note,
                )
                spent = [seconds(ours, device) / size * 1e9 for _ in range(3)]
                yield Measurement.of(f"detector, {what}", spent, "ns per weight", note=note)


def works(history: History, refines: bool) -> tuple[Callable[[], object], Callable[[], object]]:
    """Return the detector's reading of a full history, and that by ``torch.fft``."""
    chunk = max(1, CHUNK[history.rows.device.type] // history.window)
    detector = Detector(history.window, interpolate=refines)

    def ours() -> None:
        detector(history)

    def peer() -> None:
        for start in range(0, history.rows.shape[1], chunk):
            power = spectrum(history.ordered(slice(start, start + chunk)))
            dominant(power, interpolate=refines)

    return ours, peer
