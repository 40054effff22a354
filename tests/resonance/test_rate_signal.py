import numpy as np
import pytest
import torch

from suite.resonance.rate_signal import RateSignal

CPU = torch.device("cpu")


def empty(average: float = 0.0, **sizes: int) -> RateSignal:
    return RateSignal({name: (size, CPU) for name, size in sizes.items()}, average)


def record(signal: RateSignal, gradients: torch.Tensor, layer: str = "a") -> None:
    """Record gradients [steps, n] of one layer."""
    for gradient in gradients:
        signal.record({layer: gradient})


def read(gradients: torch.Tensor) -> np.ndarray:
    """Return the rates of gradients [steps, n]."""
    signal = empty(a=gradients.shape[1])
    record(signal, gradients)
    return signal.read("a").frequency.numpy()


def reference(*windows: np.ndarray, average: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Return rates and strengths by the formula, in float64, of windows [steps, n], oldest first.

    Each window but the last counts `average` times as much as the one after it.
    """
    weights = [average ** (len(windows) - 1 - k) for k in range(len(windows))]
    each = list(zip(weights, windows, strict=True))
    count = sum(w * len(x) for w, x in each)
    pairs = sum(w * (len(x) - 1) for w, x in each)
    mean = sum(w * x.sum(0) for w, x in each) / count
    square = sum(w * (x**2).sum(0) for w, x in each) / count
    variance = sum(w * ((x - mean) ** 2).sum(0) for w, x in each) / count
    change = sum(w * (np.diff(x, axis=0) ** 2).sum(0) for w, x in each) / pairs
    correlation = np.clip(1 - change / (2 * variance), -1, 1)
    return np.arccos(correlation) / np.pi, variance / square


@pytest.mark.parametrize("offset", [0.0, 3.0, -50.0])
@pytest.mark.parametrize("steps", [8, 32, 100])
def test_the_rate_is_the_formula(steps, offset):
    gradients = torch.randn(steps, 300) + offset
    signal = empty(a=300)
    record(signal, gradients)
    found, (rate, strength) = signal.read("a"), reference(gradients.double().numpy())
    tolerance = 1e-5 * (1 + offset**2)  # of squares in single precision
    np.testing.assert_allclose(found.frequency.numpy(), rate, atol=tolerance)
    np.testing.assert_allclose(found.strength.numpy(), strength, atol=tolerance, rtol=tolerance)


def test_the_correlation_is_that_of_successive_gradients_about_their_mean_but_for_the_ends():
    gradients = np.random.default_rng(0).standard_normal((400, 50)).cumsum(0) * 0.1 + 2
    gradients += np.random.default_rng(1).standard_normal((400, 50))
    about = gradients - gradients.mean(0)
    textbook = (about[1:] * about[:-1]).sum(0) / (about**2).sum(0)
    found = np.cos(np.pi * read(torch.from_numpy(gradients)))
    ends = (about[0] ** 2 + about[-1] ** 2) / (2 * (about**2).sum(0))
    np.testing.assert_allclose(found, textbook + ends, atol=5 / 400)
    assert np.abs(found).max() > 0.3


@pytest.mark.parametrize("frequency", [0.0021, 0.01, 0.1, 0.25, 0.4, 0.49])
@pytest.mark.parametrize("offset", [0.0, 3.0])
def test_a_sine_of_f_cycles_per_gradient_has_a_rate_of_2f(frequency, offset):
    t = torch.arange(4000, dtype=torch.float64)
    sine = torch.sin(2 * torch.pi * frequency * t + 0.4) + offset
    assert read(sine.float()[:, None])[0] == pytest.approx(2 * frequency, rel=0.01)


def test_the_highest_rate_is_that_of_a_change_of_sign_at_every_gradient():
    signs = torch.tensor([1.0, -1.0]).repeat(16)[:, None]
    assert read(signs).item() == 1.0
    assert read(signs + 100).item() == pytest.approx(1, abs=0.01)


def test_white_noise_reads_about_one_half():
    rates = read(torch.randn(32, 20_000, generator=torch.Generator().manual_seed(0)))
    assert abs(rates.mean() - 0.5) < 0.01
    assert rates.std() == pytest.approx(1 / (np.pi * np.sqrt(32)), rel=0.05)


@pytest.mark.parametrize("value", [0.0, 1.0, -3e-8, 1e4, 0.1])
@pytest.mark.parametrize("steps", [8, 32, 4096])
def test_a_constant_never_resonates(steps, value):
    assert read(torch.full((steps, 3), value)).tolist() == [0, 0, 0]


def test_what_hardly_changes_beside_its_mean_is_silent():
    noise = torch.randn(32, 100, generator=torch.Generator().manual_seed(1))
    assert (read(1 + 1e-2 * noise) > 0).all()
    assert (read(1 + 1e-4 * noise) == 0).all()


def test_a_reading_is_of_the_gradients_since_the_last_one():
    gradients = torch.randn(3, 12, 40)
    signal = empty(a=40)
    for window in gradients:
        record(signal, window)
        np.testing.assert_allclose(signal.read("a").frequency, read(window), atol=1e-5)


def test_with_an_average_former_sums_count_less():
    gradients = torch.randn(4, 10, 60) + 0.5
    signal = empty(0.7, a=60)
    for number, window in enumerate(gradients, start=1):
        record(signal, window)
        found = signal.read("a")
        rate, strength = reference(*gradients[:number].double().numpy(), average=0.7)
        np.testing.assert_allclose(found.frequency, rate, atol=1e-4)
        np.testing.assert_allclose(found.strength, strength, atol=1e-4)


def test_with_an_average_a_connection_that_is_silent_now_reads_0_and_is_heard_again_later():
    signal = empty(0.9, a=3)
    gradients = torch.randn(3, 10, 3)
    gradients[1, :, 0] = 0
    gradients[1, :, 1] = 0.7
    silent = []
    for window in gradients:
        record(signal, window)
        found = signal.read("a")
        silent.append((found.frequency == 0).tolist())
        assert torch.equal(found.frequency == 0, found.strength == 0)
    assert silent == [[False, False, False], [True, True, False], [False, False, False]]


def test_too_few_gradients_cannot_be_read_and_a_layer_left_out_keeps_what_it_has():
    signal = empty(a=4, b=4)
    for step in range(8):
        assert not signal.is_full("a")
        with pytest.raises(ValueError, match=f"{step} of 8"):
            signal.read("a")
        signal.record({"a": torch.randn(4), "b": torch.randn(4)})
    before = {name: signal.read(name).frequency for name in ("a", "b")}
    assert signal.is_full("a")
    record(signal, torch.randn(5, 4))
    assert not signal.is_full("a")
    assert signal.is_full("b")
    assert torch.equal(signal.read("b").frequency, before["b"])


def test_a_layer_without_a_gradient_records_zeros():
    signal, same = empty(a=4), empty(a=4)
    for step in range(12):
        gradient = torch.full((4,), 1.0 + step)
        signal.record({"a": None if step % 3 == 0 else gradient})
        same.record({"a": gradient * (step % 3 > 0)})
    assert torch.equal(signal.read("a").frequency, same.read("a").frequency)
    for _ in range(8):
        signal.record({"a": None})
    assert signal.read("a").frequency.tolist() == [0] * 4


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30])
@pytest.mark.parametrize("average", [0.0, 0.9])
def test_a_gradient_that_is_not_finite_is_refused(average, value):
    gradients = torch.randn(16, 4)
    gradients[3, 2] = value
    signal = empty(average, a=4)
    record(signal, gradients)
    with pytest.raises(ValueError, match="not finite"):
        signal.read("a")


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_gradients_of_any_precision_and_shape_are_summed_in_single(dtype):
    gradients = torch.randn(20, 2, 3).to(dtype)
    signal = empty(a=6)
    record(signal, gradients)
    np.testing.assert_array_equal(signal.read("a").frequency, read(gradients.float().flatten(1)))


def test_recording_leaves_the_gradient_alone():
    gradients = torch.randn(9, 6)
    before = gradients.clone()
    record(empty(a=6), gradients)
    assert torch.equal(gradients, before)


@pytest.mark.parametrize("average", [0.0, 0.6])
@pytest.mark.parametrize("stop", [5, 10, 17])
def test_a_loaded_signal_goes_on_as_its_own_copy(stop, average):
    gradients = torch.randn(30, 5)

    def go(signal: RateSignal, start: int, end: int) -> list[list[float]]:
        found = []
        for step in range(start, end):
            signal.record({"a": gradients[step]})
            if step % 10 == 9:
                found.append(signal.read("a").frequency.tolist())
        return found

    saved, loaded = empty(average, a=5), empty(average, a=5)
    first = go(saved, 0, stop)
    loaded.load(saved.state())
    record(saved, torch.zeros(4, 5))
    assert first + go(loaded, stop, 30) == go(empty(average, a=5), 0, 30)


def test_a_released_signal_holds_nothing_and_is_loaded_as_such():
    signal, other = empty(a=5), empty(a=5)
    signal.release()
    assert signal.state() == {}
    other.load(signal.state())
    assert other.sums == {}


def test_a_state_that_lacks_a_layer_is_refused():
    with pytest.raises(KeyError, match="b"):
        empty(a=5, b=2).load(empty(a=5).state())


def test_sums_have_no_spectra():
    signal = empty(a=5)
    record(signal, torch.randn(8, 5))
    assert list(signal.series("a", torch.tensor([1, 2]))) == []
