import pytest
import torch

from suite.resonance.running_sums import Moments, RunningSums


def filled(gradients: torch.Tensor) -> RunningSums:
    """Return the sums of `gradients` [steps, ...] of one layer, "a"; another, "b", has none."""
    sums = RunningSums({"a": gradients[0], "b": torch.ones(2)})
    for gradient in gradients:
        sums.record({"a": gradient, "b": None})
    return sums


def test_the_moments_are_those_of_all_recorded_gradients():
    gradients = torch.randn(7, 3, 5, dtype=torch.float64) + 0.5
    sums = filled(gradients)
    found = sums.moments("a")
    mean, square = gradients.mean(0), gradients.square().mean(0)
    torch.testing.assert_close(found.mean, mean)
    torch.testing.assert_close(found.power, square.sqrt())
    torch.testing.assert_close(found.coherence, mean.square() / square)
    none = sums.moments("b")
    assert torch.stack([none.mean, none.power, none.coherence]).eq(0).all()


def test_a_constant_gradient_has_a_coherence_of_one_whatever_its_size():
    for value in (1e-12, -0.1, 3e10):
        coherence = filled(torch.full((3, 4), value)).moments("a").coherence
        assert torch.allclose(coherence, torch.ones(4))
        assert float(coherence.max()) <= 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_gradients_in_half_precision_are_added_up_in_single(dtype):
    """In their own precision squares of 1e-4 are 0, or a sum stops at 256 times its terms."""
    gradient = torch.tensor([1e-4, -2e-4, 3e-4, -1e-3], dtype=dtype)
    sums = filled(gradient.expand(600, -1))
    again = RunningSums({})
    again.load(sums.state() | {"total": {"a": sums.total["a"].to(dtype)}})
    again.record({"a": gradient})
    for found in (sums, again):
        moments, exact = found.moments("a"), gradient.float()
        tolerance = {"rtol": 1e-2, "atol": 0.0}
        torch.testing.assert_close(moments.mean, exact, **tolerance)
        torch.testing.assert_close(moments.power, exact.abs(), **tolerance)
        torch.testing.assert_close(moments.agreement(0.5), exact.abs(), **tolerance)


def test_sums_start_again_after_clear():
    old, new = torch.randn(4, 6), torch.randn(3, 6)
    sums = filled(old)
    sums.clear()
    for gradient in new:
        sums.record({"a": gradient, "b": None})
    assert torch.equal(sums.moments("a").mean, filled(new).moments("a").mean)


def test_loaded_sums_go_on_as_their_own_copy():
    gradients = torch.randn(5, 2, 3)
    saved, loaded = filled(gradients[:3]), RunningSums({"a": gradients[0], "b": torch.ones(2)})
    loaded.load(saved.state())
    saved.clear()
    for gradient in gradients[3:]:
        loaded.record({"a": gradient, "b": None})
    expected = filled(gradients).moments("a")
    assert torch.equal(loaded.moments("a").mean, expected.mean)
    assert torch.equal(loaded.moments("a").power, expected.power)


def test_moments_taken_from_others_keep_the_weights_shape():
    moments = Moments(torch.arange(6.0).view(2, 3), torch.arange(6.0, 12.0).view(2, 3))
    taken = moments.taken_from(torch.tensor([5, 4, 3, 2, 1, 0]))
    assert taken.mean.tolist() == [[5, 4, 3], [2, 1, 0]]
    assert taken.mean_square.tolist() == [[11, 10, 9], [8, 7, 6]]


def test_the_power_of_some_places_is_that_of_all_there():
    sums = RunningSums({"layer": torch.zeros(4, 5)})
    for _ in range(3):
        sums.record({"layer": torch.randn(4, 5)})
    places = torch.tensor([0, 3, 7, 19])
    assert torch.equal(
        sums.power_at("layer", places), sums.moments("layer").power.flatten()[places]
    )
