import pytest
import torch

from suite.resonance.detector import Detector, History, spectrum
from suite.resonance.spectral_signal import SpectralSignal

WINDOW = 8


def empty(**sizes: int) -> SpectralSignal:
    histories = {name: History(WINDOW, size, torch.float32) for name, size in sizes.items()}
    return SpectralSignal(histories, Detector(WINDOW))


def test_each_layer_is_read_from_its_last_window_of_gradients():
    signal = empty(a=6, b=3)
    gradients = {"a": torch.randn(11, 2, 3), "b": torch.randn(11, 3)}
    for step in range(11):
        assert signal.is_full("a") == (step >= WINDOW)
        signal.record({name: values[step] for name, values in gradients.items()})
    for name, values in gradients.items():
        alone = empty(x=values[0].numel())
        for gradient in values[-WINDOW:]:
            alone.record({"x": gradient})
        found, expected = signal.read(name), alone.read("x")
        assert torch.allclose(found.frequency, expected.frequency, atol=1e-5)
        assert torch.allclose(found.strength, expected.strength, atol=1e-5)


def test_a_layer_without_a_gradient_records_zeros_and_one_left_out_keeps_what_it_has():
    signal = empty(a=4, b=4)
    for _ in range(WINDOW):
        signal.record({"a": torch.randn(4), "b": torch.randn(4)})
    before = signal.read("b")
    for _ in range(WINDOW):
        signal.record({"a": None})
    assert signal.read("a").frequency.tolist() == [0, 0, 0, 0]
    assert torch.equal(signal.read("b").frequency, before.frequency)


def test_a_window_that_is_not_full_cannot_be_read():
    signal = empty(a=4)
    signal.record({"a": torch.randn(4)})
    with pytest.raises(ValueError, match="1 of 8"):
        signal.read("a")


def test_the_series_are_the_spectra_of_the_places():
    signal, gradients = empty(a=5), torch.randn(WINDOW, 5)
    for gradient in gradients:
        signal.record({"a": gradient})
    expected = spectrum(gradients)
    found = dict(signal.series("a", torch.tensor([4, 1])))
    assert list(found) == ["spectrum 4", "spectrum 1"]
    assert torch.allclose(torch.tensor(list(found.values())), expected[:, [4, 1]].T)


def test_a_loaded_signal_goes_on_as_its_own_copy():
    gradients = torch.randn(WINDOW + 3, 5)
    saved, loaded, whole = empty(a=5), empty(a=5), empty(a=5)
    for gradient in gradients[:-3]:
        saved.record({"a": gradient})
    loaded.load(saved.state())
    saved.record({"a": torch.zeros(5)})
    for gradient in gradients[-3:]:
        loaded.record({"a": gradient})
    for gradient in gradients:
        whole.record({"a": gradient})
    assert torch.equal(loaded.read("a").frequency, whole.read("a").frequency)


def test_a_released_signal_holds_nothing_and_is_loaded_as_such():
    signal, other = empty(a=5), empty(a=5)
    signal.release()
    assert signal.state() == {}
    other.load(signal.state())
    assert other.histories == {}


def test_a_state_that_lacks_a_layer_is_refused():
    saved, signal = empty(a=5), empty(a=5, b=2)
    with pytest.raises(KeyError, match="b"):
        signal.load(saved.state())
