import itertools
import math

import pytest
import torch

from suite.core.errors import InvalidInput
from suite.resonance.regrow import Regrow
from suite.resonance.sampling import auto_record_every
from suite.sparsity.plan import Plan
from tests.support.helpers import fit, make
from tests.support.updates import attached, by, check_spare_stays, indices

METHODS = ("resonance_regrow", "resonance_regrow_shuffled")


@pytest.mark.parametrize("initial", [0.0, 0.5])
@pytest.mark.parametrize("distribution", ["global", "erk"])
def test_an_update_prunes_the_smallest_and_grows_the_largest_mean_gradients_tracked(
    initial, distribution
):
    plan = Plan(120, 0.9, 0, 30)
    model, optimizer, sparsifier = attached(
        "resonance_regrow", plan, record_every=4, candidate_ratio=1.0, distribution=distribution,
        initial_sparsity=initial,
    )  # fmt: skip
    layer = sparsifier.layers[2]
    gradients: list[torch.Tensor] = []
    observe, update, seen = sparsifier.observe, sparsifier.update, []

    def watch(step: int) -> None:
        if step % 4 == 0:
            gradients.append(layer.dense_gradient.double().clone())
        observe(step)

    def check(step: int) -> None:
        before, values = indices(layer.mask), layer.values.double().clone()
        is_tracked = layer.name in sparsifier.tracked.places
        tracked = indices(sparsifier.tracked.known(layer)) if is_tracked else before
        update(step)
        after = indices(layer.mask)
        if not is_tracked or not gradients:  # dense until now, or right after the last update
            assert after <= before
            gradients.clear()
            return
        g = torch.stack(gradients)
        mean, square = g.mean(0), g.square().mean(0)
        scores = mean.abs() * (mean.square() / square.clamp_min(1e-300)).sqrt()
        drop = math.floor(0.25 * (1 + math.cos(math.pi * step / 120)) * len(after))
        kept = by(values.abs(), before, len(after) - drop, largest=True)
        grown = by(scores, tracked - kept, drop, largest=True)
        assert len(after ^ (kept | grown)) <= 2
        seen.append(step)
        gradients.clear()

    sparsifier.observe, sparsifier.update = watch, check  # type: ignore[method-assign]
    fit(model, optimizer, sparsifier)
    assert seen[-1] == 100
    assert sparsifier.sparsity_errors() == ""


def test_gradients_are_recorded_more_often_as_the_network_becomes_sparser():
    sparsifier = make("resonance_regrow", Plan(1000, 0.98, 0, 100), update_every=100)
    assert isinstance(sparsifier, Regrow)
    every = [sparsifier.record_every(step) for step in (1, 100, 101, 400, 700, 900)]
    assert every[0] == 100  # at 50 % the candidates are all empty places: once a period
    assert every[-1] == 10
    assert every == sorted(every, reverse=True)
    assert sparsifier.record_every(150) == auto_record_every(4.0, 100, sparsifier.ramp(100))
    recorded = [step for step in range(1, 1001) if sparsifier.wants_dense_gradient(step)]
    assert recorded[0] == 100
    assert recorded[-1] == 900  # of the last update; nothing reads later ones
    assert sparsifier.effective_options()["record_every"] == "100 at first, 10 at last"


def test_the_update_that_closes_the_ramp_begins_a_period():
    sparsifier = make("resonance_regrow", Plan(1000, 0.9, 0, 100), prune_end=0.55, update_every=400)
    assert sparsifier.is_update(550)
    assert sparsifier.record_every(550) > sparsifier.record_every(551) == 179


@pytest.mark.parametrize("method", METHODS)
def test_a_layer_without_gradients_stays_as_it_is(method):
    check_spare_stays(method, distribution="erk", initial_sparsity=0.9)


def test_a_number_given_for_record_every_holds_throughout():
    sparsifier = make("resonance_regrow", Plan(200, 0.9, 0, 50), record_every=7, update_every=50)
    wanted = [step for step in range(1, 201) if sparsifier.wants_dense_gradient(step)]
    assert wanted == list(itertools.takewhile(lambda s: s <= 150, range(7, 201, 7)))
    assert "record_every" not in sparsifier.effective_options()


def test_no_step_to_prune_in_is_refused():
    with pytest.raises(InvalidInput, match="prune_end=0 leaves no step"):
        make("resonance_regrow", prune_end=0.0)
