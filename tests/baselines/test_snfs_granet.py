"""SNFS and GraNet, whose updates move weights between layers or prune while they regrow."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from suite.core.errors import InvalidInput, TrialFailed
from suite.sparsity.distribution import momentum_counts, proportional
from suite.sparsity.plan import Plan
from tests.support.helpers import PLAN, fit, make
from tests.support.updates import attached, by, check_spare_stays, indices, watch_update


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
    fraction = 0.005 + (0.5 - 0.005) / 2 * (1 + math.cos(math.pi * 30 / 120))
    kept, momentum, claims, room = {}, {}, {}, {}
    for name, (mask, values, _) in seen.items():
        if mask.all():
            continue
        smooth = torch.zeros_like(values)
        for gradient in gradients[name]:
            smooth = 0.9 * smooth + 0.1 * gradient
        active = indices(mask)
        drop = math.ceil(fraction * len(active))
        kept[name] = by(values.abs(), active, len(active) - drop, largest=True)
        momentum[name] = smooth.abs()
        claims[name] = float(smooth.abs()[mask].mean())
        room[name] = mask.numel() - len(kept[name])
        assert len(active) <= 0.8 * mask.numel()  # none is nearly dense
    total = sum(len(indices(seen[name][0])) - len(kept[name]) for name in kept)
    grown = {name: indices(seen[name][2]) - kept[name] for name in kept}
    assert sum(map(len, grown.values())) == total
    published = overflow_divided_equally(claims, total, room)
    for name, places in grown.items():
        assert abs(len(places) - published[name]) <= 1
        empty = set(range(seen[name][0].numel())) - kept[name]
        expected = by(momentum[name], empty, len(places), largest=True)
        assert len(places ^ expected) <= 2  # sums in another order may swap near-ties


def overflow_divided_equally(
    momentum: dict[str, float], total: int, room: dict[str, int]
) -> dict[str, int]:
    """Redistribute as the authors describe it, round by round."""
    whole = sum(momentum.values())
    counts = {name: float(math.ceil(total * m / whole)) for name, m in momentum.items()}
    for _ in range(10_000):
        most = {name: 0.99 * room[name] for name in counts}
        cut = sum(max(0.0, counts[name] - most[name]) for name in counts)
        if cut <= 1e-9:
            break
        counts = {n: min(count, most[n]) + cut / len(counts) for n, count in counts.items()}
    return {name: math.floor(min(count, 0.99 * room[name])) for name, count in counts.items()}


def test_snfs_redistributes_as_the_authors_code_does():
    # Their code on three layers, a tenth of each active, momentum in the ratio 1 : 3 : 10; in
    # proportion to momentum alone 3,011 / 9,031 / 949 would grow.
    sizes = {"a": 235_200, "b": 30_000, "c": 1_000}
    dropped = {"a": 11_478, "b": 1_464, "c": 49}
    assert dropped == {name: math.ceil(0.488 * size / 10) for name, size in sizes.items()}
    room = {name: size - size // 10 + dropped[name] for name, size in sizes.items()}
    grown = momentum_counts({"a": 1.0, "b": 3.0, "c": 10.0}, sum(dropped.values()), room)
    assert grown == {"a": 5_098, "b": 6_954, "c": 939}


@pytest.mark.parametrize(
    ("momentum", "total", "room", "grown"),
    [
        # ⌈7/3⌉ = 3 each are 9, 2 too many: one less in each of the first two.
        ([1, 1, 1], 7, [100, 100, 100], [2, 2, 3]),
        # 10, 10 and 0.1 rounded up; 0.99 · 4 = 3.96 fit into the first, and 6.04 / 2 more go to
        # each of the others: 13.02 and 4.02, in whole numbers 3 + 13 + 4 of 20.
        ([100, 100, 1], 20, [4, 100, 100], [3, 13, 4]),
        # Without momentum, equally.
        ([0, 0], 6, [10, 10], [3, 3]),
        # More than 0.99 of all places: the rest of the places, too.
        ([1, 1], 20, [10, 10], [10, 10]),
        ([1, 3], 0, [5, 5], [0, 0]),
        ([], 0, [], []),
    ],
)
def test_snfs_grows_as_many_as_were_dropped(momentum, total, room, grown):
    names = "abc"[: len(room)]
    found = momentum_counts(
        dict(zip(names, momentum, strict=True)), total, dict(zip(names, room, strict=True))
    )
    assert list(found.values()) == grown


@given(
    parts=st.lists(st.tuples(st.floats(0.001, 5), st.integers(1, 2000)), min_size=1, max_size=6),
    filled=st.floats(0, 0.9),
)
def test_snfs_redistributes_round_by_round(parts, filled):
    momentum = {str(i): one for i, (one, _) in enumerate(parts)}
    room = {str(i): space for i, (_, space) in enumerate(parts)}
    total = int(filled * sum(room.values()))
    grown = momentum_counts(momentum, total, room)
    assert sum(grown.values()) == total
    assert all(0 <= grown[name] <= room[name] for name in room)
    published = overflow_divided_equally(momentum, total, room)
    # At most one weight for having the exact sum, and one for the rounding of floats.
    assert all(abs(grown[name] - published[name]) <= 2 for name in room)


def test_snfs_drops_less_of_a_layer_that_is_nearly_dense_and_grows():
    options = {"distribution": "uniform", "plan": Plan(120, 0.05, 0, 30)}
    _, _, sparsifier = attached("snfs", **options)
    for name, value in (("3", 0.1), ("6", 1.0), ("8", 0.1)):
        sparsifier.momentum[name].fill_(value)
    sparsifier.update(30)
    # f(30) = 0.4275. Of 548, 7,783 and 304 active weights ⌈f·n⌉ = 235 and 130 are dropped in the
    # first and last layer. The other has 10/12 of the momentum and is 409/8192 sparse: 389.
    # 754/12 = 62.8, 628.3 and 62.8 rounded up are 755 to grow, one too many: 62, 629 and 63.
    active = {layer.name: layer.active for layer in sparsifier.layers}
    assert active == {"0": 72, "3": 548 - 235 + 62, "6": 7_783 - 389 + 629, "8": 304 - 130 + 63}
    assert (sparsifier.momentum["6"] == 1).all()  # that of grown and of dropped weights stays


@pytest.mark.parametrize(
    ("initial", "step", "fraction"),
    [(0.5, 60, 0.2525), (0.5, 120, 0.005), (0.002, 60, 0.002), (0.0, 60, 0.0)],
)
def test_the_drop_fraction_of_snfs_ends_at_half_a_percent(initial, step, fraction):
    sparsifier = make("snfs", drop_fraction=initial)
    assert sparsifier.fraction(step) == pytest.approx(fraction)


def test_momentum_that_is_not_finite_is_a_failed_trial():
    model, optimizer, sparsifier = attached("snfs")
    fit(model, optimizer, sparsifier, stop=29)
    sparsifier.momentum["6"].fill_(math.inf)
    with pytest.raises(TrialFailed, match="at step 30"):
        fit(model, optimizer, sparsifier, start=29, stop=30)


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


@pytest.mark.parametrize("redistribution", ["none", "momentum"])
@pytest.mark.parametrize("sparsity", [0.9, 0.3])
def test_a_layer_that_never_had_a_gradient_keeps_its_mask_under_snfs(redistribution, sparsity):
    plan = Plan(steps=120, sparsity=sparsity, seed=0, steps_per_epoch=30)
    sparsifier = check_spare_stays("snfs", plan, distribution="er", redistribution=redistribution)
    assert sparsifier.sparsity_errors() == ""
