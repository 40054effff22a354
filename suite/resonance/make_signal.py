"""Which signal a reading needs."""

from collections.abc import Mapping
from types import SimpleNamespace

import torch

from suite.resonance.averaged_signal import AveragedSignal
from suite.resonance.detector import Detector, History
from suite.resonance.rate_signal import RateSignal
from suite.resonance.signal import Signal
from suite.resonance.spectral_signal import SpectralSignal


def make_signal(
    o: SimpleNamespace, layers: Mapping[str, tuple[int, torch.device | None]]
) -> Signal:
    """Return the empty signal that `reading` and `average` ask for.

    Args:
        o: the options of the method.
        layers: number of connections and device of each layer.
    """
    if o.reading == "rate":
        return RateSignal(layers, o.average)
    dtype = getattr(torch, o.history_dtype)
    histories = {
        name: History(o.window, size, dtype, device) for name, (size, device) in layers.items()
    }
    detector = Detector(o.window, o.detrend, o.taper, o.interpolate, o.reading)
    signal = SpectralSignal(histories, detector)
    return AveragedSignal(signal, layers, o.average) if o.average > 0 else signal
