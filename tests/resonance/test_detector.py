import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from suite.resonance import detector
from suite.resonance.detector import (
    CHUNK,
    Detector,
    History,
    centroid,
    dominant,
    spectrum,
    transform_flops,
)
from suite.resonance.signal import Reading


def filled(signal: torch.Tensor, dtype: torch.dtype = torch.float32, turn: int = 0) -> History:
    """Return a full history of `signal` [N, n] whose ring has turned by `turn` rows."""
    window, size = signal.shape
    history = History(window, size, dtype)
    for row in torch.cat([torch.randn(turn, size), signal]):
        history.next_row().copy_(row)
    return history


def detect(history: History, **settings) -> Reading:
    """Read one history with a detector of these settings."""
    return Detector(history.window, **settings)(history)


def tone(window: int, position: float, phase: float = 0.3) -> torch.Tensor:
    """Return a sine of `position` cycles per window, [N, 1]."""
    n = torch.arange(window, dtype=torch.float64)
    return torch.sin(2 * torch.pi * position * n / window + phase).float()[:, None]


def reference(signal: np.ndarray) -> np.ndarray:
    """Return |X[k]|², k = 1 … K, by the definition in float64."""
    window = len(signal)
    n = np.arange(window)
    taper = 0.5 - 0.5 * np.cos(2 * np.pi * n / window)
    tapered = (signal - signal.mean(0)) * taper[:, None]
    k = np.arange(1, window // 2 + 1)
    return np.abs(np.exp(-2j * np.pi * np.outer(k, n) / window) @ tapered) ** 2


@pytest.mark.parametrize("window", [8, 32, 64])
def test_the_spectrum_is_the_definition(window):
    signal = torch.randn(window, 200, dtype=torch.float64)
    expected = reference(signal.numpy())
    np.testing.assert_allclose(spectrum(signal).numpy(), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("window", [16, 32, 64])
def test_a_tone_in_a_bin_is_found_in_that_bin(window):
    for k in range(1, window // 2):
        frequency, _ = dominant(spectrum(tone(window, k)), interpolate=False)
        assert float(frequency) == pytest.approx(k / (window // 2))


@pytest.mark.parametrize("window", [16, 32, 64])
def test_a_tone_between_bins_is_found_within_a_twentieth_of_a_bin(window):
    for position in np.arange(2.5, window / 2 - 1.5 + 1e-9, 0.1):
        for phase in (0.0, 0.7, 2.0):
            frequency, _ = dominant(spectrum(tone(window, position, phase)))
            assert abs(float(frequency) * window / 2 - position) < 0.05


def test_the_stronger_of_two_tones_wins_and_strength_is_its_share():
    signal = tone(32, 5) + 0.5 * tone(32, 11)
    frequency, strength = dominant(spectrum(signal), interpolate=False)
    assert float(frequency) == pytest.approx(5 / 16)
    power = spectrum(signal)
    assert float(strength) == pytest.approx(float(power[4] / power.sum()))


def test_white_noise_does_not_pile_up_at_an_edge():
    noise = torch.randn(32, 50_000, generator=torch.Generator().manual_seed(0))
    plain, _ = dominant(spectrum(noise), interpolate=False)
    assert float((plain == 1).float().mean()) > 0.05
    refined, _ = dominant(spectrum(noise))
    assert float((refined == 1).float().mean()) < 0.01
    assert float(refined.max()) <= 1
    assert float(refined.min()) > 0


@pytest.mark.parametrize("value", [0.0, 1.0, -3e-8, 1e4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_constant_never_resonates(value, dtype):
    signals = detect(filled(torch.full((32, 3), value), dtype))
    assert signals.frequency.tolist() == [0, 0, 0]
    assert signals.strength.tolist() == [0, 0, 0]


def test_the_order_of_the_ring_does_not_matter():
    signal = torch.randn(32, 20)
    straight, turned = detect(filled(signal)), detect(filled(signal, turn=13))
    assert torch.allclose(straight.frequency, turned.frequency, atol=1e-5)


def test_chunks_do_not_show():
    signal = torch.randn(8, CHUNK["cpu"] // 8 + 5)
    whole, last = detect(filled(signal)), detect(filled(signal[:, -7:]))
    assert torch.allclose(whole.frequency[-7:], last.frequency)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_gradient_that_is_not_finite_is_refused(value):
    signal = torch.randn(16, 4)
    signal[3, 2] = value
    with pytest.raises(ValueError, match="not finite"):
        detect(filled(signal))


def test_a_history_that_is_not_full_takes_no_decision():
    history = History(16, 3, torch.float32)
    history.next_row().fill_(1)
    with pytest.raises(ValueError, match="1 of 16"):
        detect(history)


def exact(signal: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return the reference spectrum and, per connection, the relative gap of its two top bins."""
    power = reference(signal.double().numpy())
    top = np.sort(power, axis=0)
    return power, (top[-1] - top[-2]) / top[-1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("window", [8, 16, 32, 64, 128, 256])
def test_the_fast_detector_finds_the_bin_of_the_definition(window, dtype):
    signal = torch.randn(window, 5000, generator=torch.Generator().manual_seed(1)).to(dtype).float()
    power, gap = exact(signal)
    for turn in (0, 5):
        found = detect(filled(signal, dtype, turn), interpolate=False).frequency * (window // 2)
        clear = gap > 2**-16
        assert clear.mean() > 0.99
        assert np.array_equal(found.numpy()[clear], power.argmax(0)[clear] + 1)


@pytest.mark.parametrize("detrend", ["mean", "none"])
@pytest.mark.parametrize("taper", ["hann", "none"])
@pytest.mark.parametrize("window", [8, 32, 128])
def test_the_fast_detector_agrees_with_torch_fft(window, taper, detrend):
    signal = torch.randn(window, 3000, generator=torch.Generator().manual_seed(2)) + 0.1
    frequency, strength = dominant(spectrum(signal.double(), detrend=detrend, taper=taper))
    signals = detect(filled(signal, turn=3), detrend=detrend, taper=taper)
    close = (signals.frequency.double() - frequency).abs() < 1e-4
    assert float(close.double().mean()) > 0.998  # the rest: two bins of nearly equal power
    assert float((signals.strength.double() - strength).abs().max()) < 1e-4


def test_the_centroid_is_the_mean_frequency_weighted_by_power():
    signal = torch.randn(32, 200, dtype=torch.float64)
    power = reference(signal.numpy())
    places = np.arange(1, 17)[:, None] / 16
    frequency, strength = centroid(spectrum(signal))
    np.testing.assert_allclose(frequency, (places * power).sum(0) / power.sum(0), rtol=1e-9)
    np.testing.assert_allclose(strength, power.max(0) / power.sum(0), rtol=1e-9)


def test_the_centroid_of_a_tone_is_its_frequency_and_that_of_two_lies_between_them():
    low, high = tone(32, 4), tone(32, 12)
    both = (float(centroid(spectrum(x))[0]) for x in (low, high, low + high))
    assert list(both) == pytest.approx([4 / 16, 12 / 16, 8 / 16], abs=1e-4)


@pytest.mark.parametrize("detrend", ["mean", "none"])
@pytest.mark.parametrize("taper", ["hann", "none"])
@pytest.mark.parametrize("window", [8, 32, 128, 130])
def test_the_fast_detector_reads_the_centroid(window, taper, detrend):
    signal = torch.randn(window, 3000, generator=torch.Generator().manual_seed(2)) + 0.1
    frequency, strength = centroid(spectrum(signal.double(), detrend=detrend, taper=taper))
    settings = {"detrend": detrend, "taper": taper, "reading": "centroid"}
    found = detect(filled(signal, turn=3), **settings)
    assert float((found.frequency.double() - frequency).abs().max()) < 1e-5
    assert float((found.strength.double() - strength).abs().max()) < 1e-4
    assert 0 < float(found.frequency.min()) <= float(found.frequency.max()) <= 1


@pytest.mark.parametrize("window", [16, 130])
def test_the_centroid_of_a_silent_connection_is_0_and_one_that_is_not_finite_is_refused(window):
    signal = torch.randn(window, 4)
    signal[:, 1] = 0
    signal[:, 2] = -2.5
    found = detect(filled(signal), reading="centroid")
    assert (found.frequency == 0).tolist() == (found.strength == 0).tolist() == [0, 1, 1, 0]
    signal[3, 2] = float("nan")
    with pytest.raises(ValueError, match="not finite"):
        detect(filled(signal), reading="centroid")


def test_white_noise_has_the_reference_distribution():
    signal = torch.randn(32, 100_000, generator=torch.Generator().manual_seed(3))
    frequency, strength = dominant(spectrum(signal.double()))
    signals = detect(filled(signal, torch.bfloat16))
    bins = torch.linspace(0, 1, 17)
    for ours, theirs in ((signals.frequency, frequency), (signals.strength, strength)):
        a, b = (torch.histogram(x.float(), bins).hist / 1e5 for x in (ours, theirs))
        assert float((a - b).abs().max()) < 2e-3
    counts = torch.histogram(frequency.float(), bins).hist
    assert float(counts[0]) < 0.8 * float(counts[5])  # it is not uniform: the edge bins differ
    _, multiplicity = signals.frequency.unique(return_counts=True)
    assert int(multiplicity.max()) < 1000


def test_detection_leaves_the_history_alone():
    history = filled(torch.randn(32, 100), torch.bfloat16, turn=7)
    before = history.rows.clone()
    detect(history)
    assert torch.equal(history.rows, before)


def test_one_detector_reads_histories_of_any_width_and_age():
    detector = Detector(16)
    for width, turn in ((300, 3), (7, 0), (700, 9), (300, 15)):
        history = filled(torch.randn(16, width), turn=turn)
        found, alone = detector(history), detect(history)
        assert torch.equal(found.frequency, alone.frequency)
        assert torch.equal(found.strength, alone.strength)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_dead_and_constant_connections_are_silent_among_live_ones(share):
    signal = torch.randn(32, 1000)
    silent = torch.arange(1000) < 1000 * share
    signal[:, silent] = torch.linspace(-3, 3, 1000)[silent] * (torch.arange(1000) % 2)[silent]
    for detrend in ("mean", "none"):
        found = detect(filled(signal, turn=5), detrend=detrend)
        constant = silent if detrend == "mean" else silent & (signal[0] == 0)
        assert torch.equal(found.frequency == 0, constant)
        assert torch.equal(found.strength == 0, constant)


@pytest.mark.parametrize("window", [8, 32, 128])
def test_the_transform_is_charged_as_torch_counts_its_products(window):
    history, detector = filled(torch.randn(window, 50)), Detector(window)
    with FlopCounterMode(display=False) as counter:
        detector(history)
    assert counter.get_total_flops() == 50 * transform_flops(window)


def test_a_long_window_is_charged_an_fft():
    assert transform_flops(32) == 4 * 16**2 + 4
    assert transform_flops(256) == 2.5 * 256 * 8


def test_a_product_has_the_same_bits_whatever_computes_it():
    matrix = torch.randn(65, 65)
    for width in (5, 1024, 3001):
        chunk = torch.randn(65, width)
        found = detector._product(matrix)(matrix, chunk, torch.empty(65, width))
        assert torch.equal(found, torch.mm(matrix, chunk, out=torch.empty(65, width)))


@pytest.mark.parametrize("kind", ["another rounding", "no such operator"])
def test_onednn_is_not_used_where_it_would_change_a_reading(monkeypatch, kind):
    def multiply(matrix, chunk, out):
        if kind == "no such operator":
            raise AttributeError(kind)
        return (matrix @ chunk) * (1 + 2**-22)

    monkeypatch.setattr(detector, "_multiply_by_onednn", multiply)
    assert detector._product(torch.randn(65, 65)) is detector._multiply


@pytest.mark.parametrize("window", [32, 128])
def test_a_reading_does_not_depend_on_what_the_buffers_held(window):
    reader = Detector(window)
    narrow, wide = filled(torch.randn(window, 9)), filled(torch.randn(window, 500))
    first = [reader(history) for history in (narrow, wide, narrow, wide)]
    for again, fresh in zip(first[2:], (narrow, wide), strict=True):
        expected = Detector(window)(fresh)
        assert torch.equal(again.frequency, expected.frequency)
        assert torch.equal(again.strength, expected.strength)
