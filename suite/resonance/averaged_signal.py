"""A signal whose readings are averaged over the decisions."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from suite.resonance.signal import Reading, Signal


class AveragedSignal(Signal):
    """Reads the weighted mean of another signal's readings: a new one counts 1, older ones a^k.

    Per connection, over the decisions at which it was not silent: sum = a·sum + ν,
    weight = a·weight + 1, and the reading is sum / weight; the strength likewise. A connection that
    is silent in the newest window reads 0, so that one whose gradient has vanished does not
    resonate; its sums stay as they are until it has a signal again.

    Args:
        signal: what is recorded and read.
        layers: number of connections and device of each layer.
        average: a in (0, 1), the fraction of the former sums that is kept at a decision.
    """

    def __init__(
        self,
        signal: Signal,
        layers: Mapping[str, tuple[int, torch.device | None]],
        average: float,
    ) -> None:
        self._signal = signal
        self.average = average
        # Rows: Σ of frequencies, Σ of strengths, weight.
        self.sums = {
            name: torch.zeros(3, size, dtype=torch.float32, device=device)
            for name, (size, device) in layers.items()
        }

    @property
    def flops(self) -> float:
        """Operations of one reading of one connection: those of the signal."""
        return self._signal.flops

    def record(self, gradients: Mapping[str, Tensor | None]) -> None:
        """Record them in the signal."""
        self._signal.record(gradients)

    def is_full(self, layer: str) -> bool:
        """Return whether the signal can be read."""
        return self._signal.is_full(layer)

    def read(self, layer: str) -> Reading:
        """Read the signal of a layer, once at each decision, and return the averages.

        Raises:
            ValueError: too few gradients are recorded, or one holds a NaN or an infinity.
        """
        new = self._signal.read(layer)
        live = new.frequency > 0
        sums = self.sums[layer]
        for total, value in zip(sums, (new.frequency, new.strength, 1.0), strict=True):
            total.copy_(torch.where(live, total * self.average + value, total))
        frequency, strength = torch.where(live, sums[:2] / sums[2], 0)
        return Reading(frequency, strength)

    def series(self, layer: str, places: Tensor) -> Iterator[tuple[str, list[float]]]:
        """Yield what the signal has to report of the connections at `places`, not averaged."""
        return self._signal.series(layer, places)

    def release(self) -> None:
        """Free the signal and the averages."""
        self._signal.release()
        self.sums.clear()

    def state(self) -> dict[str, Any]:
        """Return the state of the signal and the averages; nothing after `release`."""
        if not self.sums:
            return {}
        return {"signal": self._signal.state(), "averages": self.sums}

    def load(self, state: Mapping[str, Any]) -> None:
        """Restore the signal and the averages; an empty state is that of a released one."""
        if not state:
            self.release()
            return
        self._signal.load(state["signal"])
        self.sums = {name: state["averages"][name].clone() for name in self.sums}
