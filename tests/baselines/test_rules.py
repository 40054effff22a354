"""Each baseline's rule, against a slow and obvious version of it."""

import math

import pytest
import torch

from suite.core.errors import InvalidInput
from suite.sparsity.plan import Plan
from tests.support.helpers import OPTIMIZERS, PLAN, attach, conv_net, fit, make


def attached(method: str, plan: Plan = PLAN, **options):
    model = conv_net()
    optimizer = OPTIMIZERS["sgd"](model)
    sparsifier = make(method, plan, **options)
    attach(sparsifier, model, optimizer)
    return model, optimizer, sparsifier


def watch_update(method: str, step: int, **options):
    """Return per layer (mask, values, gradient before; mask after) of the update at `step`."""
    model, optimizer, sparsifier = attached(method, **options)
    fit(model, optimizer, sparsifier, stop=step - 1)
    update, seen = sparsifier.update, {}

    def watched(at: int) -> None:
        before = {
            layer.name: (layer.mask.clone(), layer.values.clone(), layer.dense_gradient.clone())
            for layer in sparsifier.layers
        }
        update(at)
        for layer in sparsifier.layers:
            seen[layer.name] = (*before[layer.name], layer.mask)

    sparsifier.update = watched  # type: ignore[method-assign]
    fit(model, optimizer, sparsifier, start=step - 1, stop=step)
    return seen


def indices(mask: torch.Tensor) -> set[int]:
    return set(mask.flatten().nonzero().flatten().tolist())


def by(scores: torch.Tensor, among: set[int], count: int, *, largest: bool) -> set[int]:
    flat = scores.flatten().tolist()
    sign = -1 if largest else 1
    return set(sorted(among, key=lambda i: (sign * flat[i], i))[:count])


def test_rigl_drops_the_smallest_weights_and_grows_the_largest_gradients():
    step = 40
    fraction = 0.3 / 2 * (1 + math.cos(math.pi * step / 90))
    for mask, values, gradient, after in watch_update("rigl", step).values():
        active = indices(mask)
        if len(active) == mask.numel():
            assert indices(after) == active
            continue
        drop = math.floor(fraction * len(active))
        assert drop > 0
        kept = by(values.abs(), active, len(active) - drop, largest=True)
        grown = by(gradient.abs(), set(range(mask.numel())) - kept, drop, largest=True)
        assert indices(after) == kept | grown


def test_a_weight_dropped_and_regrown_at_once_keeps_its_value():
    model, optimizer, sparsifier = attached("rigl", drop_fraction=1.0)
    kept = []

    def check(step: int) -> None:
        if step == 9:
            kept.append([layer.values.clone() for layer in sparsifier.layers])
        if step == 10:
            for layer, before in zip(sparsifier.layers, kept[0], strict=True):
                both = layer.mask & (before != 0)
                kept.append(int(both.sum()))
                moved = (layer.values - before)[both].abs()
                assert float(moved.max()) < 0.5 * float(before[both].abs().max())

    fit(model, optimizer, sparsifier, after=check, stop=10)
    assert sum(kept[1:]) > 0


def test_rigl_stops_at_its_end():
    model, optimizer, sparsifier = attached("rigl")
    masks = {}

    def note(step: int) -> None:
        masks[step] = [layer.mask.clone() for layer in sparsifier.layers]

    fit(model, optimizer, sparsifier, after=note)
    same = [all(map(torch.equal, masks[s - 1], masks[s])) for s in range(2, 121)]
    assert [s for s in range(2, 121) if not same[s - 2]] == [10, 20, 30, 40, 50, 60, 70, 80]


def test_replace_step_leaves_the_optimizer_step_out():
    model, optimizer, sparsifier = attached("rigl", replace_step=True)
    fit(model, optimizer, sparsifier, stop=9)
    before = [p.detach().clone() for p in model.parameters() if p.ndim == 1]
    fit(model, optimizer, sparsifier, start=9, stop=10)
    assert all(map(torch.equal, before, [p for p in model.parameters() if p.ndim == 1]))
    fit(model, optimizer, sparsifier, start=10, stop=11)
    assert not all(map(torch.equal, before, [p for p in model.parameters() if p.ndim == 1]))


def test_set_drops_each_sign_by_itself():
    for mask, values, _, after in watch_update("set", 30).values():
        active = indices(mask)
        if len(active) == mask.numel():
            continue
        flat = values.flatten().tolist()
        sides = [{i for i in active if flat[i] >= 0}, {i for i in active if flat[i] < 0}]
        kept = set()
        for side in sides:
            kept |= by(values.abs(), side, len(side) - math.floor(0.3 * len(side)), largest=True)
        assert kept <= indices(after)
        assert len(indices(after)) == len(active)


def test_set_by_magnitude_drops_the_smallest_together():
    for mask, values, _, after in watch_update("set", 30, drop_rule="magnitude").values():
        active = indices(mask)
        if len(active) == mask.numel():
            continue
        drop = math.floor(0.3 * len(active))
        kept = by(values.abs(), active, len(active) - drop, largest=True)
        assert kept <= indices(after)


def test_set_grows_uniformly_among_empty_places():
    counts = torch.zeros(32 * 256)
    for seed in range(30):
        _, _, sparsifier = attached("set", plan=Plan(120, 0.9, seed, 30))
        layer = sparsifier.layers[2]
        before = layer.mask.clone()
        sparsifier.update(30)
        counts += (layer.mask & ~before).flatten()
    halves = counts.view(32, 256)
    # About 190 of 8,192 places grow in each of 30 updates: either half gets half of them.
    total = float(counts.sum())
    for half in (halves[:16], halves[:, :128]):
        assert abs(float(half.sum()) - total / 2) < 4 * math.sqrt(total) / 2


def test_set_updates_after_every_epoch_but_the_last():
    sparsifier = make("set")
    assert [s for s in range(1, 121) if sparsifier.is_update(s)] == [30, 60, 90]


def test_gradual_pruning_is_monotone_and_reaches_its_target_off_the_interval():
    model, optimizer, sparsifier = attached("magnitude")  # ΔT = 20 does not divide t1 = 90
    masks = []

    def check(step: int) -> None:
        masks.append([layer.mask.clone() for layer in sparsifier.layers])
        if len(masks) > 1:
            assert not any(bool((b & ~a).any()) for a, b in zip(*masks[-2:], strict=True))

    fit(model, optimizer, sparsifier, after=check)
    assert sparsifier.sparsity_errors() == ""
    changed = [s for s in range(2, 121) if not all(map(torch.equal, masks[s - 2], masks[s - 1]))]
    assert changed == [20, 40, 60, 80, 90]


def test_gradual_pruning_keeps_the_largest_weights():
    for mask, values, _, after in watch_update("magnitude", 90).values():
        keep = int(after.sum())
        assert indices(after) == by(values.abs(), indices(mask), keep, largest=True)


def test_gradual_pruning_refuses_an_empty_ramp():
    with pytest.raises(InvalidInput, match="prune_end=0.2"):
        make("magnitude", prune_start=0.5, prune_end=0.2)


@pytest.mark.parametrize(
    ("sparsity", "rounds"), [(0.2, 2), (0.36, 3), (0.8, 9), (0.9, 12), (0.95, 15)]
)
def test_lottery_ticket_takes_as_many_rounds_as_twenty_per_cent_steps_need(sparsity, rounds):
    assert make("lottery_ticket", Plan(120, sparsity, 0, 30)).rounds == rounds


@pytest.mark.parametrize("distribution", ["global", "erk"])
def test_lottery_ticket_prunes_the_smallest_and_ends_exactly(distribution):
    model, optimizer, sparsifier = attached("lottery_ticket", distribution=distribution)
    total = sum(layer.size for layer in sparsifier.layers)
    for number in range(sparsifier.rounds - 1):
        fit(model, optimizer, sparsifier, stop=2)
        before = [(layer.mask.clone(), layer.values.clone()) for layer in sparsifier.layers]
        sparsifier.end_round(number)
        active = sum(layer.active for layer in sparsifier.layers)
        expected = max(0.8 ** (number + 1), 0.1) * total
        assert abs(active - expected) <= len(sparsifier.layers)
        if distribution == "erk":
            for layer, (mask, values) in zip(sparsifier.layers, before, strict=True):
                assert indices(layer.mask) == by(
                    values.abs(), indices(mask), layer.active, largest=True
                )
        else:
            kept = torch.cat([v[m].abs() for layer, (_, v) in zip(sparsifier.layers, before,
                              strict=True) for m in [layer.mask]])  # fmt: skip
            gone = torch.cat([v[m & ~layer.mask].abs() for layer, (m, v) in
                              zip(sparsifier.layers, before, strict=True)])  # fmt: skip
            assert float(kept.min()) >= float(gone.max())
    assert sparsifier.sparsity_errors() == ""


def test_lottery_ticket_refuses_to_rewind_beyond_training():
    with pytest.raises(InvalidInput, match="give 0 to 119"):
        make("lottery_ticket", rewind_step=120)


def test_static_never_changes():
    model, optimizer, sparsifier = attached("static")
    before = [layer.mask.clone() for layer in sparsifier.layers]
    fit(model, optimizer, sparsifier)
    assert all(map(torch.equal, before, [layer.mask for layer in sparsifier.layers]))


def test_dense_prunes_nothing():
    model, optimizer, sparsifier = attached("dense", plan=Plan(120, 0.0, 0, 30))
    fit(model, optimizer, sparsifier)
    assert all(layer.active == layer.size for layer in sparsifier.layers)


def test_the_original_lottery_prunes_the_output_layer_at_half_the_rate():
    _, _, sparsifier = attached("lottery_ticket", distribution="original")
    for number in range(sparsifier.rounds - 2):
        sparsifier.end_round(number)
        *inner, output = (layer.active / layer.size for layer in sparsifier.layers)
        common = sum(inner) / len(inner)
        assert all(abs(density - common) < 0.02 for density in inner)
        assert output == pytest.approx(common ** (math.log(0.9) / math.log(0.8)), abs=0.01)
    sparsifier.end_round(sparsifier.rounds - 2)
    assert sparsifier.sparsity_errors() == ""


def test_a_random_mask_control_has_the_tickets_counts_and_another_mask():
    masks = {}
    for control in ("none", "random_mask"):
        _, _, sparsifier = attached("lottery_ticket", control=control)
        for number in range(sparsifier.rounds - 1):
            sparsifier.end_round(number)
        masks[control] = [layer.mask for layer in sparsifier.layers]
        assert sparsifier.sparsity_errors() == ""
    counts = {name: [int(m.sum()) for m in found] for name, found in masks.items()}
    assert counts["none"] == counts["random_mask"]
    assert not all(map(torch.equal, masks["none"], masks["random_mask"]))


def test_layers_can_be_given_a_sparsity_each():
    layers = ["6=0.95", "[03]=0.5"]
    zeros = 0.95 * 8192 + 0.5 * (72 + 576)
    sparsity = round(zeros / (8192 + 72 + 576 + 320), 4)
    options = {"distribution": "custom", "layer_sparsity": layers}
    model, optimizer, sparsifier = attached("rigl", Plan(120, sparsity, 0, 30), **options)
    fit(model, optimizer, sparsifier)
    found = {layer.name: layer.size - layer.active for layer in sparsifier.layers}
    assert found == {"0": 36, "3": 288, "6": math.floor(0.95 * 8192), "8": 0}


@pytest.mark.parametrize(
    ("layers", "says"),
    [
        (["6=0.5"], "adds up to a sparsity of 0.4472, not 0.9"),
        (["7=0.5"], "names no layer"),
        (["6=1.5"], "must be a number in"),
        (["6"], "names no layer"),
    ],
)
def test_sparsities_by_layer_that_do_not_fit_are_refused(layers, says):
    with pytest.raises(InvalidInput, match=says):
        attached("rigl", distribution="custom", layer_sparsity=layers)


def test_a_small_dense_network_is_the_widest_that_fits():
    counts = []

    def parameters(width: float) -> tuple[int, int]:
        hidden = max(1, round(100 * width))
        counts.append(64 * hidden + hidden + hidden * 10 + 10)
        return counts[-1], counts[-1] - hidden - 10

    sparsifier = make("small_dense")
    width = sparsifier.width(parameters)
    whole, prunable = parameters(1.0)
    budget = whole - int(0.9 * prunable)
    assert parameters(width)[0] <= budget < parameters(width + 0.01)[0]


def test_a_network_that_cannot_get_narrower_is_refused():
    with pytest.raises(InvalidInput, match="the narrowest network has 500: lower the sparsity"):
        make("small_dense").width(lambda width: (500, 500))
