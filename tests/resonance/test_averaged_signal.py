import pytest
import torch

from suite.resonance.averaged_signal import AveragedSignal
from suite.resonance.detector import Detector, History
from suite.resonance.spectral_signal import SpectralSignal

WINDOW, AVERAGE = 8, 0.75
CPU = torch.device("cpu")


def spectral(**sizes: int) -> SpectralSignal:
    histories = {name: History(WINDOW, size, torch.float32) for name, size in sizes.items()}
    return SpectralSignal(histories, Detector(WINDOW))


def averaged(**sizes: int) -> AveragedSignal:
    layers = {name: (size, CPU) for name, size in sizes.items()}
    return AveragedSignal(spectral(**sizes), layers, AVERAGE)


def record(signal, gradients: torch.Tensor) -> None:
    for gradient in gradients:
        signal.record({"a": gradient})


def test_the_reading_is_the_weighted_mean_of_those_with_a_signal():
    gradients = torch.randn(5, WINDOW, 6)
    gradients[1, :, 0] = gradients[3, :, 0] = 0  # twice silent
    gradients[:3, :, 1] = 0  # silent at first
    gradients[:, :, 2] = 0  # never heard
    signal, single = averaged(a=6), spectral(a=6)
    single_readings: list[list[tuple[float, float]]] = [[] for _ in range(6)]
    for window in gradients:
        record(signal, window)
        record(single, window)
        found, new = signal.read("a"), single.read("a")
        for place, heard in enumerate(single_readings):
            if new.frequency[place] == 0:
                assert float(found.frequency[place]) == float(found.strength[place]) == 0
                continue
            heard.append((float(new.frequency[place]), float(new.strength[place])))
            weights = [AVERAGE**k for k in reversed(range(len(heard)))]
            for value, column in zip((found.frequency, found.strength), zip(*heard, strict=True),
                                     strict=True):  # fmt: skip
                mean = sum(w * x for w, x in zip(weights, column, strict=True)) / sum(weights)
                assert float(value[place]) == pytest.approx(mean, rel=1e-5)
    assert [len(heard) for heard in single_readings] == [3, 2, 0, 5, 5, 5]


def test_averages_come_closer_together_than_readings():
    generator = torch.Generator().manual_seed(0)
    signal, single = averaged(a=5000), spectral(a=5000)
    for _ in range(20):
        window = torch.randn(WINDOW, 5000, generator=generator)
        record(signal, window)
        record(single, window)
        found, new = signal.read("a").frequency, single.read("a").frequency
    expected = new.std() * ((1 - AVERAGE) / (1 + AVERAGE)) ** 0.5
    assert float(found.std()) == pytest.approx(float(expected), rel=0.05)


def test_the_series_are_those_of_the_signal():
    signal, single = averaged(a=5), spectral(a=5)
    gradients, places = torch.randn(WINDOW, 5), torch.tensor([4, 1])
    record(signal, gradients)
    record(single, gradients)
    assert list(signal.series("a", places)) == list(single.series("a", places))
    assert signal.is_full("a")


def test_a_signal_that_is_not_full_cannot_be_read_and_counts_nothing():
    signal = averaged(a=4)
    assert not signal.is_full("a")
    with pytest.raises(ValueError, match="0 of 8"):
        signal.read("a")
    assert float(signal.sums["a"].sum()) == 0


def test_a_loaded_signal_goes_on_as_its_own_copy():
    gradients = torch.randn(4 * WINDOW, 5)
    saved, loaded, whole = averaged(a=5), averaged(a=5), averaged(a=5)

    def go(signal: AveragedSignal, start: int, end: int) -> None:
        for step in range(start, end):
            signal.record({"a": gradients[step]})
            if step % WINDOW == WINDOW - 1:
                signal.read("a")

    go(saved, 0, 19)
    loaded.load(saved.state())
    record(saved, torch.zeros(2, 5))
    saved.sums["a"].zero_()
    go(loaded, 19, 32)
    go(whole, 0, 32)
    assert torch.equal(loaded.read("a").frequency, whole.read("a").frequency)


def test_a_released_signal_holds_nothing_and_is_loaded_as_such():
    signal, other = averaged(a=5), averaged(a=5)
    signal.release()
    assert signal.state() == {}
    other.load(signal.state())
    assert other.sums == other.state() == {}


def test_a_state_that_lacks_a_layer_is_refused():
    with pytest.raises(KeyError, match="b"):
        averaged(a=5, b=2).load(averaged(a=5).state())
