"""The detector against chunked ``torch.fft`` for the same answer."""

import torch

from suite.resonance.detector import CHUNK, Detector, History, dominant, spectrum
from tests.bench.measure import ratios

SIZE, BLOCKS = 266_200, 15


def run() -> bool:
    """Print nanoseconds per weight and the speed-up over ``torch.fft``, by window."""
    torch.set_num_threads(1)
    met = True
    for window in (16, 32, 64, 128):
        history = History(window, SIZE, torch.bfloat16)
        history.rows.normal_()
        history.recorded = window + 5
        for interpolate, bar in ((False, 5.0), (True, 3.0)):
            ours, peer = _times(history, interpolate)
            values = ratios(peer, ours, BLOCKS)
            speed = sorted(values)[len(values) // 2]
            judged = window == 32
            ok = speed >= bar
            met = met and (ok or not judged)
            what = "with interpolation" if interpolate else "dominant bin"
            print(
                f"{f'detector, N = {window}, {what}':<58} {speed:6.2f} × faster than torch.fft"
                f" ({_nanoseconds(ours):.0f} ns per weight)"
                + (f"  bar ≥ {bar:g}  {'ok' if ok else 'MISSED'}" if judged else "")
            )
    return met


def _times(history: History, interpolate: bool):
    chunk = CHUNK["cpu"] // history.window

    detector = Detector(history.window, interpolate=interpolate)

    def ours() -> None:
        detector(history)

    def peer() -> None:
        for start in range(0, SIZE, chunk):
            power = spectrum(history.ordered(slice(start, start + chunk)))
            dominant(power, interpolate=interpolate)

    return ours, peer


def _nanoseconds(work) -> float:
    import time

    found = []
    for _ in range(5):
        began = time.perf_counter()
        work()
        found.append(time.perf_counter() - began)
    return min(found) / SIZE * 1e9
