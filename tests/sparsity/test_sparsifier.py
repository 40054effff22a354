from dataclasses import replace

import pytest
import torch
from torch import nn

from suite.core.errors import InvalidInput
from suite.experiments import registry
from suite.sparsity.calibration import CalibratedPruning
from suite.sparsity.prunable import find_prunable
from tests.support.helpers import (
    ONE_ROUND,
    OPTIMIZERS,
    SHORT,
    SPARSE_METHODS,
    attach,
    conv_net,
    first_quick,
    fit,
    make,
)

WAYS_OF_TRAINING = ["static", "rigl", "resonance", "str", "top_kast"]
"""Fixed masks, masks that change, masks that rest, and dense weights of two kinds."""


def attached(method: str, optimizer: str = "sgd", **options):
    model = conv_net()
    made = OPTIMIZERS[optimizer](model)
    sparsifier = make(method, SHORT, **options)
    attach(sparsifier, model, made)
    return model, made, sparsifier


def shape_state(optimizer, parameter) -> list[torch.Tensor]:
    state = optimizer.state[parameter].values()
    return [v for v in state if isinstance(v, torch.Tensor) and v.shape == parameter.shape]


@pytest.mark.parametrize(
    ("method", "optimizer"),
    [
        *((method, "sgd") for method in ONE_ROUND),
        # What an optimizer keeps is masked in one place, for each way in which weights are trained.
        *(
            pytest.param(method, optimizer, marks=pytest.mark.slow)
            for method in WAYS_OF_TRAINING
            for optimizer in OPTIMIZERS
            if optimizer != "sgd"
        ),
    ],
)
def test_pruned_weights_and_their_state_stay_zero(method, optimizer):
    model, made, sparsifier = attached(method, optimizer)

    def check(step: int) -> None:
        for layer in sparsifier.layers:
            assert not layer.values[~layer.mask].any()
            for state in shape_state(made, layer.parameter):
                # A method may train more weights than it uses: those have state.
                assert not state[layer.kept_state == 0].any()

    fit(model, made, sparsifier, after=check)
    assert any(layer.active < layer.size for layer in sparsifier.layers)


@pytest.mark.parametrize("method", WAYS_OF_TRAINING)
def test_an_optimizer_that_revives_zeros_is_masked_after_every_step(method):
    model = conv_net()

    class Restless(torch.optim.SGD):
        def step(self, closure=None):
            super().step()
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.add_(1e-3)

    optimizer = Restless(model.parameters(), 0.05, momentum=0.9)
    sparsifier = make(method, SHORT)
    attach(sparsifier, model, optimizer)

    def check(step: int) -> None:
        assert all(not layer.values[~layer.mask].any() for layer in sparsifier.layers)

    fit(model, optimizer, sparsifier, after=check)


def test_grown_weights_start_at_zero_with_cleared_state():
    model, optimizer, sparsifier = attached("rigl", "adamw")
    fit(model, optimizer, sparsifier, stop=9)
    layer = sparsifier.layers[2]
    before = layer.mask.clone()
    seen = []
    layer_set = layer.set_mask

    def watch(mask):
        layer_set(mask)
        grown = mask & ~before
        seen.append(int(grown.sum()))
        assert not layer.values[grown].any()
        assert all(not s[grown].any() for s in shape_state(optimizer, layer.parameter))

    layer.set_mask = watch
    fit(model, optimizer, sparsifier, start=9, stop=10)
    assert seen
    assert seen[0] > 0


@pytest.mark.parametrize("method", ["set", "rigl"])
def test_counts_are_exact_after_every_update(method):
    model, optimizer, sparsifier = attached(method)
    target = sparsifier.target_zeros()

    def check(step: int) -> None:
        zeros = {layer.name: int((~layer.mask).sum()) for layer in sparsifier.layers}
        assert zeros == target

    fit(model, optimizer, sparsifier, after=check)


@pytest.mark.parametrize("distribution", first_quick(["erk", "uniform"]))
@pytest.mark.parametrize(
    "method", [n for n in ONE_ROUND if "distribution" in registry.methods()[n].resolve({})]
)
def test_every_method_lands_on_each_layers_count(method, distribution):
    own = {"redistribution": "none"} if method == "snfs" else {}
    model, optimizer, sparsifier = attached(method, distribution=distribution, **own)
    fit(model, optimizer, sparsifier)
    assert sparsifier.sparsity_errors() == ""
    for layer in sparsifier.layers:
        assert int((layer.values == 0).sum()) >= sparsifier.target_zeros()[layer.name]


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("magnitude", {"distribution": "global"}),
        ("magnitude_one_shot", {}),
        ("granet", {}),
        ("snip", {}),
        ("grasp", {}),
        ("synflow", {}),
        ("snfs", {}),
        ("resonance", {"scope": "global"}),
    ],
)
def test_global_methods_land_on_the_total_and_empty_no_layer(method, options):
    model, optimizer, sparsifier = attached(method, **options)
    fit(model, optimizer, sparsifier)
    assert sparsifier.sparsity_errors() == ""
    total = sum(layer.size for layer in sparsifier.layers)
    assert sum(layer.active for layer in sparsifier.layers) == total - int(0.9 * total)
    if method == "resonance":
        assert all(layer.active >= 1 for layer in sparsifier.layers)


@pytest.mark.parametrize("options", [{}, {"distribution": "global"}])
@pytest.mark.parametrize(("value", "says"), [(1e-3, "not 0"), (float("nan"), "NaN")])
def test_a_weight_that_is_not_zero_under_its_mask_misses_the_target(options, value, says):
    _, _, sparsifier = attached("magnitude_one_shot", **options)
    sparsifier.prune_smallest(1.0, 1)
    assert sparsifier.sparsity_errors() == ""
    layer = sparsifier.layers[2]
    off = (~layer.mask).nonzero()[:2].T
    layer.values[tuple(off)] = value
    assert sparsifier.sparsity_errors() == f"6: 2 weights outside its mask are {says}"


@pytest.mark.parametrize("method", SPARSE_METHODS)
def test_layers_named_dense_stay_dense(method):
    model, optimizer, sparsifier = attached(method, dense_layers=("8", "0"))
    fit(model, optimizer, sparsifier)
    if sparsifier.rounds > 1:
        sparsifier.end_round(sparsifier.rounds - 2)
    assert [layer.active for layer in sparsifier.layers if layer.name in "08"] == [72, 320]
    assert sparsifier.sparsity_errors() == ""


@pytest.mark.parametrize("method", SPARSE_METHODS)
def test_other_layers_do_not_make_up_for_dense_ones_where_that_is_asked_for(method):
    options = {"dense_layers": ("8", "0"), "dense_layers_compensate": False}
    model, optimizer, sparsifier = attached(method, **options)
    fit(model, optimizer, sparsifier)
    if sparsifier.rounds > 1:
        sparsifier.end_round(sparsifier.rounds - 2)
    assert sparsifier.sparsity_errors() == ""
    # 90 % of 576 + 8,192 weights are 7,891 zeros; ERK rounds down twice in each of both layers, and
    # a constant fan-in leaves out less than one weight of each of their 40 neurons.
    zeros = sum(layer.size - layer.active for layer in sparsifier.layers)
    if getattr(sparsifier.options, "distribution", "global") == "global":
        assert zeros == 7_891
    else:
        more = 40 if registry.methods()[method].constant_fan_in else 0
        assert 7_888 <= zeros < 7_891 + more


@pytest.mark.parametrize("method", ONE_ROUND)
def test_dense_gradients_are_read_only_on_the_steps_a_method_asks_for(method):
    """Spoil the gradients of untrained weights on all other steps: nothing may change."""
    masks = []
    for spoil in (False, True):
        model, optimizer, sparsifier = attached(method)
        observe = sparsifier.observe

        def spoiled(step, sparsifier=sparsifier, observe=observe):
            if not sparsifier.wants_dense_gradient(step):
                for layer in sparsifier.layers:
                    layer.parameter.grad[layer.multiplier == 0] = 1e6
            observe(step)

        if spoil:
            sparsifier.observe = spoiled
        fit(model, optimizer, sparsifier)
        masks.append([layer.mask for layer in sparsifier.layers])
    assert all(torch.equal(a, b) for a, b in zip(*masks, strict=True))


@pytest.mark.parametrize("through", [False, True])
def test_a_mask_of_a_wrong_shape_is_refused_by_the_layers_name(through):
    _, _, sparsifier = attached("static")
    layer = sparsifier.layers[2]
    right, wrong = layer.mask, layer.mask.flatten()
    given = {"mask": right, "through": wrong} if through else {"mask": wrong}
    with pytest.raises(
        ValueError, match=r"'6': the mask has shape \(8192,\): give the weight's, \(32, 256\)"
    ):
        sparsifier.set_mask(layer, **given)


def test_what_is_no_tensor_is_refused_as_a_mask():
    _, _, sparsifier = attached("static")
    with pytest.raises(
        ValueError, match=r"'6': the mask is NoneType: give a boolean tensor of shape"
    ):
        sparsifier.set_mask(sparsifier.layers[2], None)


def test_an_undeclared_option_is_named():
    _, _, sparsifier = attached("static")
    with pytest.raises(AttributeError, match="declares no hyperparameter 'window'"):
        _ = sparsifier.options.window


def test_a_state_of_other_settings_is_refused():
    _, _, sparsifier = attached("rigl")
    state = sparsifier.state_dict()
    for method, options, says in (
        ("set", {}, "method='RigL'"),
        ("rigl", {"drop_fraction": 0.5}, "drop_fraction=0.3"),
    ):
        _, _, other = attached(method, **options)
        with pytest.raises(InvalidInput, match=says):
            other.load_state_dict(state)


def test_the_seed_and_nothing_else_draws_the_first_mask():
    def mask(**plan):
        model = conv_net()
        sparsifier = make("static", plan=replace(SHORT, **plan))
        torch.rand(plan.get("steps", 1))  # the global random state has no part in it
        attach(sparsifier, model, OPTIMIZERS["sgd"](model))
        return sparsifier.layers[2].mask

    assert torch.equal(mask(), mask(steps=500))
    assert not torch.equal(mask(), mask(seed=1))


def test_methods_of_one_seed_start_from_one_random_mask():
    masks = [attached(method)[2].layers[2].mask for method in ("static", "set", "rigl")]
    assert torch.equal(masks[0], masks[1])
    assert torch.equal(masks[0], masks[2])


def test_a_shared_weight_is_one_weight():
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8))
    model[2].weight = model[0].weight
    found = find_prunable(model)
    assert [weight.name for weight in found] == ["0"]


def test_a_frozen_weight_is_left_alone():
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
    model[0].weight.requires_grad_(False)
    found = find_prunable(model)
    assert [weight.name for weight in found] == ["1"]


@pytest.mark.parametrize("distribution", ["erk", "er", "uniform", "global"])
def test_a_weight_without_elements_is_left_alone(distribution):
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
    model.unused = nn.Linear(1, 3)
    model.unused.weight = nn.Parameter(torch.empty(3, 0))
    sparsifier = make("magnitude", SHORT, distribution=distribution)
    attach(sparsifier, model, torch.optim.SGD(model.parameters(), 0.1))
    assert [layer.name for layer in sparsifier.layers] == ["0", "1"]


def test_a_weight_without_a_shape_is_refused_by_name():
    model = nn.Sequential(nn.LazyLinear(8), nn.Linear(8, 8))
    with pytest.raises(InvalidInput, match="layer '0' has no weights yet: run one batch"):
        make("static").attach(model, torch.optim.SGD(model[1].parameters(), 0.1))


def test_a_model_without_prunable_layers_is_refused():
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(4))
    with pytest.raises(InvalidInput, match="no prunable layer"):
        make("static").attach(model, torch.optim.SGD(model.parameters(), 0.1))


def test_a_parametrized_weight_is_refused_by_name():
    model = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(4, 4)))
    with pytest.raises(InvalidInput, match="layer '0'"):
        make("static").attach(model, torch.optim.SGD(model.parameters(), 0.1))


def test_optimizer_state_that_mixes_weights_is_refused():
    model = conv_net()
    optimizer = torch.optim.Adafactor(model.parameters())
    sparsifier = make("rigl", SHORT)
    attach(sparsifier, model, optimizer)
    with pytest.raises(InvalidInput, match="use SGD, Adam or AdamW"):
        fit(model, optimizer, sparsifier)


def test_a_glob_that_matches_nothing_is_refused():
    with pytest.raises(InvalidInput, match="'fc' matches no layer"):
        attached("static", dense_layers=("fc",))


def test_a_layer_without_a_gradient_does_not_stop_training():
    class Partial(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used = nn.Linear(64, 10)
            self.unused = nn.Linear(64, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.used(x.flatten(1))

    for method in ONE_ROUND:
        model = Partial()
        optimizer = OPTIMIZERS["sgd"](model)
        sparsifier = make(method, SHORT)
        if isinstance(sparsifier, CalibratedPruning):
            with pytest.raises(InvalidInput, match="layer 'unused' is not called"):
                attach(sparsifier, model, optimizer)
            continue
        attach(sparsifier, model, optimizer)
        fit(model, optimizer, sparsifier)
        assert sparsifier.sparsity_errors() == ""


@pytest.mark.parametrize("method", ["rigl", "resonance"])
def test_another_plan_changes_neither_what_was_explored_nor_what_is_reported(method):
    model, made, sparsifier = attached(method)
    fit(model, made, sparsifier, stop=SHORT.steps // 2)
    rows: list[tuple] = []
    sparsifier._recorder = lambda *row: rows.append(row)
    rate, masks = sparsifier.metrics(), [layer.mask.clone() for layer in sparsifier.layers]
    plan = replace(SHORT, steps=SHORT.steps + 8)
    longer = sparsifier.continue_as(plan, sparsifier.options_in_steps(), SHORT.steps // 2)
    assert longer.metrics() == rate
    assert rows == []
    assert all(map(torch.equal, masks, [layer.mask for layer in longer.layers]))
    fit(model, made, longer, start=SHORT.steps // 2)
    assert rows
    assert longer.sparsity_errors() == ""


def test_when_masks_are_updated_next_and_last():
    sparsifier = make("magnitude", SHORT, update_every=5, prune_end=0.5)
    updates = [step for step in range(1, SHORT.steps + 1) if sparsifier.is_update(step)]
    assert sparsifier.last_update() == updates[-1]
    assert sparsifier.next_update(0) == updates[0]
    assert sparsifier.next_update(updates[0]) == updates[1]
    assert sparsifier.next_update(updates[-1]) is None
    assert not sparsifier.keeps_masks(updates[-1] - 1)
    assert sparsifier.keeps_masks(updates[-1])
    static = make("static", SHORT)
    assert (static.next_update(0), static.last_update(), static.is_fixed) == (None, 0, True)
    assert not make("str", SHORT).keeps_masks(SHORT.steps)
