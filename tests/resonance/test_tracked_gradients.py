"""What is recorded in a period: the gradients of active weights and candidates, and no others."""

import math

import pytest
import torch
from torch import nn

from suite.resonance.tracked_gradients import TrackedGradients
from suite.sparsity.activity_draw import Activity, Grid
from suite.sparsity.candidates import Candidates
from suite.sparsity.masks import random_empty
from suite.sparsity.prunable import find_prunable
from suite.sparsity.storage.masked import MaskedWeight
from tests.support.updates import active_empty

SHAPE = (6, 10)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def generator(layer, purpose: str, step: int) -> torch.Generator:
    return seeded(1000 * step + len(purpose))


def a_layer(active: int = 12) -> tuple[nn.Linear, MaskedWeight]:
    """Return a Linear layer and its weight, with a random mask."""
    module = nn.Linear(SHAPE[1], SHAPE[0])
    weight = MaskedWeight(
        find_prunable(nn.Sequential(module))[0], torch.optim.SGD(module.parameters(), 0.1)
    )
    mask = torch.zeros(60, dtype=torch.bool)
    mask[torch.randperm(60, generator=seeded(9))[:active]] = True
    weight.set_mask(mask.view(SHAPE))
    return module, weight


def tracking(module: nn.Linear, ratio: float = 2.0, draw: str = "activity", shuffle: str = "none"):
    return TrackedGradients(Candidates(ratio), draw, shuffle, generator, lambda layer: module)


def record(tracked: TrackedGradients, weight: MaskedWeight, gradients: torch.Tensor) -> None:
    for gradient in gradients:
        weight.parameter.grad = gradient.clone()
        weight.request_gradient(True)
        tracked.record([weight])


def test_the_first_candidates_are_drawn_uniformly():
    module, weight = a_layer()
    tracked = tracking(module)
    tracked.begin([weight], 0)
    expected = weight.mask | random_empty(weight.mask, 24, generator(weight, "candidates", 0))
    assert torch.equal(tracked.known(weight), expected)
    places = tracked.places["0"]
    assert len(places) == 36
    assert places.tolist() == sorted(set(places.tolist()))


def test_the_next_are_drawn_by_the_size_of_gradients_in_rows_and_columns():
    module, weight = a_layer()
    tracked = tracking(module)
    tracked.begin([weight], 0)
    first = tracked.places["0"].clone()
    gradients = torch.randn(3, *SHAPE, generator=seeded(1))
    gradients[:, 2] *= 30  # a row
    record(tracked, weight, gradients)
    tracked.begin([weight], 40)
    size = gradients.flatten(1).square().mean(0).sqrt()[first]
    activity = Activity.observed(Grid.of(module, weight.shape), first, size)
    expected = weight.mask | active_empty(
        weight.mask, 24, activity, generator(weight, "candidates", 40)
    )
    assert torch.equal(tracked.known(weight), expected)
    assert bool(expected[2].all())  # all places of the row are among them
    assert not bool(tracked.sums.total["0"].any())  # what was seen is forgotten


def test_after_a_period_without_gradients_they_are_drawn_uniformly():
    module, weight = a_layer()
    tracked = tracking(module)
    tracked.begin([weight], 0)
    tracked.begin([weight], 40)
    expected = weight.mask | random_empty(weight.mask, 24, generator(weight, "candidates", 40))
    assert torch.equal(tracked.known(weight), expected)


def test_moments_are_those_of_tracked_places_and_0_elsewhere():
    module, weight = a_layer()
    tracked = tracking(module)
    tracked.begin([weight], 0)
    gradients = torch.randn(5, *SHAPE, generator=seeded(2), dtype=torch.float32) + 0.3
    record(tracked, weight, gradients)
    assert tracked.sums.total["0"].shape == (36,)
    known, moments = tracked.known(weight), tracked.moments(weight, 40)
    torch.testing.assert_close(tracked.spread(weight, moments.mean), gradients.mean(0) * known)
    torch.testing.assert_close(
        tracked.spread(weight, moments.power), gradients.square().mean(0).sqrt() * known
    )


def test_only_tracked_gradients_are_read():
    module, weight = a_layer()
    tracked = tracking(module)
    tracked.begin([weight], 0)
    seen = []
    weight.gradient_at = lambda places: seen.append(places) or torch.ones(len(places))
    tracked.record([weight])
    assert len(seen) == 1
    assert seen[0] is tracked.places["0"]


@pytest.mark.parametrize("active", [0, 60])
def test_a_layer_in_which_nothing_can_change_is_not_tracked(active):
    module, weight = a_layer(active)
    tracked = tracking(module)
    tracked.begin([weight], 0)
    record(tracked, weight, torch.ones(1, *SHAPE))
    assert tracked.places == {}
    assert not tracked.has_any(weight)


def test_a_shuffled_place_is_judged_by_another_tracked_one_with_a_signal():
    module, weight = a_layer()
    own, shuffled = tracking(module), tracking(module, shuffle="fixed")
    gradients = torch.randn(4, *SHAPE, generator=seeded(3))
    gradients[:, :, :3] = 0  # inputs that never change
    for tracked in (own, shuffled):
        tracked.begin([weight], 0)
        record(tracked, weight, gradients)
    mine, other = (
        tracked.spread(weight, tracked.moments(weight, 40).mean) for tracked in (own, shuffled)
    )
    assert not torch.equal(mine, other)
    assert mine.flatten().sort().values.tolist() == other.flatten().sort().values.tolist()
    assert not bool(other[:, :3].any())
    assert not bool(other[~shuffled.known(weight)].any())


def test_what_is_loaded_goes_on_as_its_own_copy():
    module, weight = a_layer()
    one, other = tracking(module), tracking(module)
    gradients = torch.randn(6, *SHAPE, generator=seeded(4))
    one.begin([weight], 20)
    record(one, weight, gradients[:3])
    other.load(one.state())
    for tracked in (one, other):
        record(tracked, weight, gradients[3:])
    assert torch.equal(one.moments(weight, 40).mean, other.moments(weight, 40).mean)
    for tracked in (one, other):
        tracked.begin([weight], 40)
    assert torch.equal(one.places["0"], other.places["0"])


def test_all_places_need_no_candidates():
    module, weight = a_layer()
    tracked = tracking(module, ratio=0.0, draw="uniform")
    tracked.begin([weight], 0)
    gradients = torch.randn(2, *SHAPE, generator=seeded(5))
    record(tracked, weight, gradients)
    assert tracked.known(weight) is None
    torch.testing.assert_close(tracked.moments(weight, 9).mean, gradients.mean(0))
    assert "places" not in tracked.state()
    tracked.begin([weight], 9)
    assert not tracked.has_any(weight)


def test_the_memory_follows_the_active_weights():
    module = nn.Linear(300, 200)
    weight = MaskedWeight(
        find_prunable(nn.Sequential(module))[0], torch.optim.SGD(module.parameters(), 0.1)
    )
    weight.set_mask(torch.rand(200, 300, generator=seeded(0)) < 0.02)
    tracked = tracking(module, ratio=4.0)
    tracked.begin([weight], 0)
    most = weight.active + math.ceil(4 * weight.active)
    state = tracked.state()
    kept = [state["total"]["0"], state["total_square"]["0"], state["places"]["0"]]
    assert [len(one) for one in kept] == [most] * 3
