"""Windows of gradients as they are recorded, against a history kept in whole."""

import pytest
import torch
from torch import nn

from suite.analysis import signal_recorder
from suite.analysis.signal_recorder import MAX_WINDOWS, SignalRecorder, every_nth
from suite.resonance.readings import READINGS, read_window

N = 16


class Layer:
    """As much of a prunable weight as is recorded."""

    def __init__(self, name: str, *shape: int) -> None:
        self.name, self.parameter = name, nn.Parameter(torch.zeros(shape))
        self.size, self.device = self.parameter.numel(), torch.device("cpu")


def recorded(steps: int, layers: list[Layer], silent: int = 3) -> tuple[SignalRecorder, dict]:
    """Record random gradients, the first `silent` of each layer 0; return the whole history too."""
    random = torch.Generator().manual_seed(0)
    recorder = SignalRecorder(layers, N, steps, seed=1)
    history = {layer.name: [] for layer in layers}
    for step in range(1, steps + 1):
        for layer in layers:
            gradient = torch.randn(layer.parameter.shape, generator=random)
            gradient.view(-1)[:silent] = 0
            layer.parameter.grad = gradient
            history[layer.name].append(gradient.flatten())
        recorder(step)
    return recorder, {name: torch.stack(rows) for name, rows in history.items()}


@pytest.mark.parametrize("chunk", [7, 2**14])
def test_means_and_values_are_those_of_the_whole_history(chunk, monkeypatch):
    monkeypatch.setattr(signal_recorder, "CHUNK", chunk)
    recorder, histories = recorded(3 * N + 5, [Layer("1", 4, 10), Layer("3", 5, 3)])
    assert recorder.windows == 3  # the last steps fill none
    for name, read in recorder.readings().items():
        windows = histories[name][: 3 * N].view(3, N, -1)
        torch.testing.assert_close(read.mean_square, windows.square().mean((0, 1)))
        found = [read_window(window) for window in windows]
        for reading in READINGS:
            every = torch.stack([one[reading] for one in found])
            torch.testing.assert_close(
                read.values[reading], every[:, read.sample], equal_nan=True, rtol=1e-4, atol=1e-6
            )
            torch.testing.assert_close(
                read.means[reading], every.mean(0), equal_nan=True, rtol=1e-4, atol=1e-6
            )
            assert read.means[reading].isnan().tolist() == [True] * 3 + [False] * (
                len(read.means[reading]) - 3
            )


def test_the_sample_is_drawn_once_from_the_seed(monkeypatch):
    monkeypatch.setattr(signal_recorder, "MAX_SAMPLE", 6)
    first, second = (recorded(N, [Layer("1", 4, 10)])[0].readings()["1"] for _ in range(2))
    assert len(first.sample) == 6
    assert torch.equal(first.sample, second.sample)
    assert first.values["rms"].shape == (1, 6)


def test_of_a_long_training_one_window_in_several_is_read():
    assert every_nth(MAX_WINDOWS) == 1
    assert every_nth(MAX_WINDOWS + 1) == 2
    assert every_nth(0) == 1
    recorder = SignalRecorder([Layer("1", 2)], N, N * (MAX_WINDOWS + 5), seed=0)
    for step in range(1, N * (MAX_WINDOWS + 5) + 1):
        recorder(step)
    assert recorder.windows == -(-(MAX_WINDOWS + 5) // 2)


def test_a_layer_without_a_gradient_is_silent():
    layer = Layer("1", 3)
    recorder = SignalRecorder([layer], N, N, seed=0)
    for step in range(1, N + 1):
        recorder(step)
    assert bool(recorder.readings()["1"].means["rms"].isnan().all())
