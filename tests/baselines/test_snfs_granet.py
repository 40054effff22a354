"""SNFS and GraNet, whose updates move weights between layers or prune while they regrow."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from suite.core.errors import InvalidInput
from suite.sparsity.distribution import proportional
from suite.sparsity.plan import Plan
from tests.support.helpers import PLAN, fit, make
from tests.support.updates import attached, by, indices, watch_update


def test_snfs_grows_the_largest_momentum_where_the_layers_momentum_is():
    model, optimizer, sparsifier = attached("snfs")
    gradients: dict[str, list[torch.Tensor]] = {layer.name: [] for layer in sparsifier.layers}
    observe, update, seen = sparsifier.observe, sparsifier.update, {}

    def watch(step: int) -> None:
        for layer in sparsifier.layers:
            gradients[layer.name].append(layer.dense_gradient.clone())
        observe(step)

    def watched(step: int) -> None:
        for layer in sparsifier.layers:
            seen[layer.name] = [layer.mask.clone(), layer.values.clone()]
        update(step)
        for layer in sparsifier.layers:
            seen[layer.name].append(layer.mask)

    sparsifier.observe, sparsifier.update = watch, watched  # type: ignore[method-assign]
    fit(model, optimizer, sparsifier, stop=30)
    fraction = 0.5 / 2 * (1 + math.cos(math.pi * 30 / 120))
    kept, momentum, claims = {}, {}, {}
    for name, (mask, values, _) in seen.items():
        if mask.all():
            continue
        smooth = torch.zeros_like(values)
        for gradient in gradients[name]:
            smooth = 0.9 * smooth + 0.1 * gradient
        active = indices(mask)
        drop = math.floor(fraction * len(active))
        kept[name] = by(values.abs(), active, len(active) - drop, largest=True)
        momentum[name] = smooth.abs()
        claims[name] = float(smooth.abs()[mask].mean())
    total = sum(len(indices(seen[name][0])) - len(kept[name]) for name in kept)
    grown = {name: indices(seen[name][2]) - kept[name] for name in kept}
    assert sum(map(len, grown.values())) == total
    for name, places in grown.items():
        share = total * claims[name] / sum(claims.values())
        room = seen[name][0].numel() - len(kept[name])
        if all(
            total * claims[n] / sum(claims.values()) <= seen[n][0].numel() - len(kept[n])
            for n in kept
        ):
            assert abs(len(places) - share) <= 1
        assert len(places) <= room
        empty = set(range(seen[name][0].numel())) - kept[name]
        expected = by(momentum[name], empty, len(places), largest=True)
        assert len(places ^ expected) <= 2  # sums in another order may swap near-ties


@given(
    parts=st.lists(st.tuples(st.floats(0, 5), st.integers(0, 20)), min_size=1, max_size=6),
    data=st.data(),
)
def test_a_division_is_whole_fits_and_follows_its_claims(parts, data):
    claims = {str(i): claim for i, (claim, _) in enumerate(parts)}
    room = {str(i): space for i, (_, space) in enumerate(parts)}
    total = data.draw(st.integers(0, sum(room.values())))
    counts = proportional(claims, total, room)
    assert sum(counts.values()) == total
    assert all(0 <= counts[name] <= room[name] for name in counts)
    whole = sum(claims.values())
    if whole > 0 and all(total * c / whole <= room[n] for n, c in claims.items() if c > 0):
        assert all(abs(counts[n] - total * c / whole) < 1 for n, c in claims.items())


def test_granet_prunes_the_smallest_of_the_network_and_regrows_by_gradient():
    step = 40
    seen = watch_update("granet", step)
    end = int(0.6875 * PLAN.steps)
    sparsity = 0.9 + (0.5 - 0.9) * (1 - step / end) ** 3
    total = sum(mask.numel() for mask, *_ in seen.values())
    keep = total - int(sparsity / 0.9 * int(0.9 * total))
    values = torch.cat([v.abs().flatten() for _, v, *_ in seen.values()])
    active = torch.cat([m.flatten() for m, *_ in seen.values()])
    left = by(values, indices(active), keep, largest=True)
    fraction = 0.5 / 2 * (1 + math.cos(math.pi * step / PLAN.steps))
    start = 0
    for mask, value, gradient, after in seen.values():
        here = {i - start for i in left if start <= i < start + mask.numel()}
        start += mask.numel()
        drop = math.floor(fraction * len(here))
        kept = by(value.abs(), here, len(here) - drop, largest=True)
        empty = set(range(mask.numel())) - kept
        if len(here) < mask.numel():
            assert indices(after) == kept | by(gradient.abs(), empty, drop, largest=True)


def test_granet_starts_from_a_random_mask_or_dense():
    for initial, active in ((0.5, 0.5), (0.0, 1.0)):
        _, _, sparsifier = attached("granet", initial_sparsity=initial)
        size = sum(layer.size for layer in sparsifier.layers)
        assert sum(layer.active for layer in sparsifier.layers) == size - int((1 - active) * size)


def test_granet_below_its_initial_sparsity_stays_at_the_target():
    model, optimizer, sparsifier = attached("granet", plan=Plan(120, 0.3, 0, 30))
    assert sparsifier.sparsity_errors() == ""
    fit(model, optimizer, sparsifier)
    assert sparsifier.sparsity_errors() == ""


def test_granet_goes_on_regrowing_after_its_ramp():
    sparsifier = make("granet")
    updates = [s for s in range(1, 121) if sparsifier.is_update(s)]
    assert updates == [10, 20, 30, 40, 50, 60, 70, 80, 82, 90, 100, 110]


def test_granet_refuses_a_ramp_of_no_step():
    with pytest.raises(InvalidInput, match="prune_end=0"):
        make("granet", prune_end=0.0)
