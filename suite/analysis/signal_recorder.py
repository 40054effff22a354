"""Records what gradients say, window by window, while a network trains.

One window of gradients of every connection is held at a time. Of each window there remain the
readings of a sample of connections, and, of all connections, sums over windows.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from suite.core.seeds import derive_seed
from suite.resonance.readings import READINGS, read_window
from suite.sparsity.layers import PrunableWeight

CHUNK = 2**14
"""Connections that are read at a time."""
MAX_SAMPLE, MAX_SAMPLES = 2**14, 2**17
"""At most this many connections of a layer, and of a network, are followed one by one."""
MAX_WINDOWS = 128
"""Of a longer training every second, third, … window is read, up to this many."""


def every_nth(windows: int) -> int:
    """Return m: one window in m is read of a training that has `windows` of them."""
    return max(1, math.ceil(windows / MAX_WINDOWS))


@dataclass(frozen=True)
class LayerReadings:
    """What was read of the signals of one layer of n connections.

    Attributes:
        window: N, gradients in a window.
        sample: indices int64 [m] of the connections that were followed one by one.
        values: reading → float32 [windows, m]; NaN where a connection had no signal.
        means: reading → mean over the windows in which there was a signal, float32 [n]; NaN
            without any.
        mean_square: mean of the squared gradient over all windows, float32 [n].
    """

    window: int
    sample: Tensor
    values: Mapping[str, Tensor]
    means: Mapping[str, Tensor]
    mean_square: Tensor


class SignalRecorder:
    """Reads disjoint windows of N consecutive gradients of every connection of some layers.

    Args:
        layers: in masked storage, so that autograd's gradient is that of every weight.
        window: N.
        steps: of the training.
        seed: of the trial; it fixes which connections are sampled.
    """

    def __init__(
        self, layers: Sequence[PrunableWeight], window: int, steps: int, seed: int
    ) -> None:
        self.window = window
        self.every = every_nth(steps // window)
        self.windows = 0
        limit = min(MAX_SAMPLE, MAX_SAMPLES // len(layers))
        self._layers = [_LayerRecorder(layer, window, limit, seed) for layer in layers]

    def __call__(self, step: int) -> None:
        """Take the gradients of `step`, before any of them is masked or clipped."""
        number, row = divmod(step - 1, self.window)
        if number % self.every:
            return
        for layer in self._layers:
            layer.record(row)
        if row + 1 == self.window:
            self.windows += 1
            for layer in self._layers:
                layer.read()

    def readings(self) -> dict[str, LayerReadings]:
        """Return what was read, by layer."""
        return {layer.name: layer.readings() for layer in self._layers}


class _LayerRecorder:
    def __init__(self, layer: PrunableWeight, window: int, limit: int, seed: int) -> None:
        self.name, self._layer = layer.name, layer
        self._rows = torch.zeros(window, layer.size, device=layer.device)
        random = torch.Generator().manual_seed(derive_seed(seed, "signals", layer.name))
        drawn = torch.randperm(layer.size, generator=random)[:limit]
        self._sample = drawn.sort().values.to(layer.device)
        self._values: dict[str, list[Tensor]] = {name: [] for name in READINGS}
        self._sums = {name: torch.zeros(layer.size, device=layer.device) for name in READINGS}
        self._read = torch.zeros(layer.size, device=layer.device)
        self._squares = torch.zeros(layer.size, device=layer.device)
        self._windows = 0

    @torch.no_grad()
    def record(self, row: int) -> None:
        gradient = self._layer.parameter.grad
        if gradient is None:
            self._rows[row].zero_()
        else:
            self._rows[row].copy_(gradient.flatten())

    @torch.no_grad()
    def read(self) -> None:
        """Read the window, which is full."""
        self._windows += 1
        followed: dict[str, list[Tensor]] = {name: [] for name in READINGS}
        for start in range(0, self._layer.size, CHUNK):
            part = slice(start, min(start + CHUNK, self._layer.size))
            window = self._rows[:, part]
            self._squares[part] += window.square().mean(0)
            inside = self._sample[(self._sample >= start) & (self._sample < part.stop)] - start
            found = read_window(window)
            self._read[part] += ~found["rms"].isnan()
            for name, values in found.items():
                self._sums[name][part] += values.nan_to_num(0.0)
                followed[name].append(values[inside])
        for name, parts in followed.items():
            self._values[name].append(torch.cat(parts))

    def readings(self) -> LayerReadings:
        values = {name: torch.stack(rows) for name, rows in self._values.items()}
        return LayerReadings(
            self._rows.shape[0],
            self._sample,
            values,
            {name: total / self._read for name, total in self._sums.items()},
            self._squares / self._windows,
        )
