"""The detector of resonance frequencies on a GPU: its speed, and that it reads what a CPU does."""

import torch

from suite.bench import detector
from suite.bench.report import figure
from suite.bench.turns import CPU
from suite.resonance.detector import Detector, History, dominant, spectrum
from suite.training.seeding import full_float32
from tests.gpu.report import Check, Lines, attempt

SIZE, BLOCKS = 2**24, 5
QUICK_SIZE, QUICK_BLOCKS = 2_000, 1
COMPARED = 100_000
"""Weights whose frequencies are compared with those that a CPU reads."""

MOST_DIFFERENT = 1e-3
"""Largest share of the weights whose frequency may be another one: their dominant bin has a rival
within rounding."""
TOLERANCE = 1e-3
"""Of a frequency in (0, 1]: a refined bin has logarithms of sums in it."""


def measure(device: torch.device, quick: bool) -> Lines:
    """Yield nanoseconds per weight by window, and for each a check against the CPU's readings."""
    size, blocks = (QUICK_SIZE, QUICK_BLOCKS) if quick else (SIZE, BLOCKS)
    yield f"{size:,} weights, gradients in bfloat16"
    with full_float32():
        for window in detector.WINDOWS:
            yield attempt(
                f"frequencies, N = {window}",
                lambda window=window: _compare(window, min(size, COMPARED), device),
            )
            for one in detector.run((window,), size, blocks, device):
                yield f"      {one.what}: {figure(one.value, one.unit)} {one.unit}"


def _compare(window: int, size: int, device: torch.device) -> Check:
    """Compare the frequencies of random gradients; on a CPU with those of the definition."""
    generator = torch.Generator().manual_seed(window)
    rows = torch.randn(window, size, generator=generator).bfloat16()
    history = History(window, size, torch.bfloat16, device)
    history.restore(rows.to(device), window)
    found = Detector(window)(history).frequency.cpu()
    if device.type == "cpu":
        power = spectrum(history.ordered(slice(None)))
        expected, _ = dominant(power)
    else:
        history = History(window, size, torch.bfloat16, CPU)
        history.restore(rows, window)
        expected = Detector(window)(history).frequency
    differ = int(((found - expected).abs() > TOLERANCE).sum())
    most = int(MOST_DIFFERENT * size)
    return Check(
        f"frequencies, N = {window}",
        differ <= most,
        f"{differ:,} of {size:,} differ by more than {TOLERANCE:g}, at most {most:,}",
    )
