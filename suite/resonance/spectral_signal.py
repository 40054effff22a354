"""The signal of the resonance frequency: a window of gradients and its spectrum."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from suite.resonance.detector import Detector, History, spectrum, transform_flops
from suite.resonance.signal import Reading, Signal


class SpectralSignal(Signal):
    """Keeps the last N gradients of each connection and reads their dominant frequency.

    Args:
        histories: the empty windows of gradients, by layer.
        detector: reads them; of the same N.
    """

    def __init__(self, histories: Mapping[str, History], detector: Detector) -> None:
        self.histories = dict(histories)
        self._detector = detector

    @property
    def flops(self) -> float:
        """FLOPs of the transform of one connection's window."""
        return transform_flops(self._detector.window)

    def record(self, gradients: Mapping[str, Tensor | None]) -> None:
        """Write one gradient of each layer given over its oldest one; None stands for zeros."""
        rows, values = [], []
        for name, gradient in gradients.items():
            row = self.histories[name].next_row()
            if gradient is None:
                row.zero_()
            else:
                rows.append(row)
                values.append(gradient.flatten())
        if rows:
            torch._foreach_copy_(rows, values)

    def is_full(self, layer: str) -> bool:
        """Return whether the window of a layer is full."""
        history = self.histories[layer]
        return history.recorded >= history.window

    def read(self, layer: str) -> Reading:
        """Return frequency and strength of each connection of a layer.

        Raises:
            ValueError: the window is not full, or holds a NaN or an infinity.
        """
        return self._detector(self.histories[layer])

    def series(self, layer: str, places: Tensor) -> Iterator[tuple[str, list[float]]]:
        """Yield the power spectra of the connections at `places`."""
        window = self.histories[layer].ordered(places)
        power = spectrum(window, detrend=self._detector.detrend, taper=self._detector.taper)
        for place, lines in zip(places.tolist(), power.T.tolist(), strict=True):
            yield f"spectrum {place}", lines

    def release(self) -> None:
        """Free the windows."""
        self.histories.clear()

    def state(self) -> dict[str, Any]:
        """Return the windows by layer; none after `release`."""
        return {
            name: {"rows": history.rows, "recorded": history.recorded}
            for name, history in self.histories.items()
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Restore the windows; those of an empty state have been released."""
        if not state:
            self.release()
        for name, history in self.histories.items():
            history.restore(state[name]["rows"], state[name]["recorded"])
