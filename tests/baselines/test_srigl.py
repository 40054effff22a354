"""SRigL's rule: by hand on small layers, and against a slow version of it; what a record says."""

import math

import pytest
import torch
from torch import nn

from baselines.srigl import updated
from suite.core.errors import InvalidInput
from suite.export.compact import compact
from suite.sparsity.plan import Plan
from suite.sparsity.prunable import ALL_MATRICES
from suite.training.verify_record import recompute
from tests.support.helpers import OPTIMIZERS, attach, conv_net, digits, fit, make, trained, trial
from tests.support.updates import attached, by, indices, watch_update


def rows(*lines: list[float]) -> torch.Tensor:
    return torch.tensor(lines)


# 4 neurons of 5 inputs, 8 weights, 2 in each, of which K = 3 are dropped: 1, 2 and 3.
WEIGHT = rows([9, 8, 0, 0, 0], [0, 7, 6, 0, 0], [0, 0, 5, 1, 0], [0, 0, 0, 2, 3.0])
GRADIENT = rows([1, 2, 30, 4, 29], [3, 5, 6, 28, 7], [8, 27, 9, 10, 11], [12, 13, 14, 15, 16.0])
ROWS = [{0, 1}, {6, 7}, {12, 13}, {18, 19}]
"""Flat places of the active weights."""


def places(*wanted: set[int]) -> torch.Tensor:
    mask = torch.zeros(20, dtype=torch.bool)
    mask[sorted(set.union(*wanted))] = True
    return mask.view(4, 5)


@pytest.mark.parametrize(
    ("nominal", "needed", "expected"),
    [
        # All stay, k = 2. Row 2 lost its 1 and grows 27 at place 11; row 3 lost both weights and
        # grows its largest gradients, 16 and 15.
        (8, 0, [{0, 1}, {6, 7}, {11, 12}, {18, 19}]),
        # The 3 largest gradients of all, 30, 29, 28, lie in rows 0, 0, 1. Salient: 9, 8, 30, 29 in
        # row 0; 7, 6, 28 in row 1; 5 in row 2; none in row 3, which is ablated. k = ⌊8 / 3⌋ = 2.
        (8, 1, [{0, 1}, {6, 7}, {11, 12}]),
        # Two salient weights are needed, but 8 weights need 2 neurons of 5 inputs, and one more
        # stays (the code compares with the count after those): row 2, as above.
        (8, 2, [{0, 1}, {6, 7}, {11, 12}]),
        # 5 weights fit into one neuron: rows 0 and 1 stay with k = ⌊5 / 2⌋ = 2; the 5 of row 2 is
        # lost with it.
        (5, 2, [{0, 1}, {6, 7}]),
        # k = ⌊10 / 3⌋ = 3: rows 0 and 1 grow 30 and 28, row 2 grows 27 and 11 (place 14).
        (10, 1, [{0, 1, 2}, {6, 7, 8}, {11, 12, 14}]),
    ],
)
def test_an_update_worked_out_by_hand(nominal, needed, expected):
    active = places(*ROWS)
    found = updated(active, WEIGHT, GRADIENT, drop=3, nominal=nominal, needed=needed)
    assert torch.equal(found, places(*expected))
    assert torch.equal(active, places(*ROWS))  # the mask before is only read


def test_a_neuron_that_was_ablated_returns_and_the_others_give_it_their_smallest_weights():
    # Two neurons of 4 weights; 3 and 2 are dropped. The two largest gradients, 50 and 40, lie in
    # row 2, which returns: k = ⌊8 / 3⌋ = 2. Row 0 had kept 9, 8, 7, 6 and keeps 9 and 7's betters.
    weight = rows([6, 9, 7, 8, 0], [5, 4, 3, 2, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0.0])
    gradient = rows([1, 1, 1, 1, 9], [1, 1, 1, 1, 9], [2, 50, 2, 40, 2], [3, 3, 3, 3, 3.0])
    active = places({0, 1, 2, 3}, {5, 6, 7, 8})
    found = updated(active, weight, gradient, drop=2, nominal=8, needed=2)
    assert torch.equal(found, places({1, 3}, {5, 6}, {11, 13}))


def test_equal_scores_are_taken_by_index():
    weight, gradient = torch.ones(4, 5), torch.ones(4, 5)
    active = places(*ROWS)
    # 6 of the 8 equal weights are kept: those of rows 0 to 2. Row 3 grows its first two places.
    found = updated(active, weight, gradient, drop=2, nominal=8, needed=0)
    assert torch.equal(found, places({0, 1}, {6, 7}, {12, 13}, {15, 16}))


def slowly(mask, values, gradient, *, drop, nominal, needed):
    """Return the places after an update, one weight after the other."""
    neurons = mask.shape[0]
    inputs = mask.numel() // neurons
    active, every = indices(mask), set(range(mask.numel()))
    weight, slope = values.abs(), gradient.abs()

    def of(row, places):
        return {place for place in places if place // inputs == row}

    keep = len(active) - drop
    salient = by(weight, active, keep, largest=True) | by(slope, every, drop, largest=True)
    counts = [len(of(row, salient)) for row in range(neurons)]
    fewest = min(math.ceil(nominal / inputs), neurons - 1)
    bar = min(needed, sorted(counts, reverse=True)[fewest])
    left = [row for row in range(neurons) if counts[row] >= bar]
    fan_in = nominal // len(left)
    among = {place for place in active if place // inputs in left}
    kept = by(weight, among, min(keep, len(among)), largest=True)
    after = set()
    for row in left:
        own = by(weight, of(row, kept), min(fan_in, len(of(row, kept))), largest=True)
        after |= own | by(slope, of(row, every) - own, fan_in - len(own), largest=True)
    return after, neurons - len(left)


@pytest.mark.parametrize("min_salient", [0.0, 0.3, 0.9])
def test_an_update_of_a_network_follows_the_rule(min_salient):
    seen = watch_update("srigl", 30, min_salient=min_salient)
    targets = attached("srigl")[2].target_zeros()
    fraction = 0.3 / 2 * (1 + math.cos(math.pi * 30 / 90))
    changed, ablated = 0, []
    for name, (mask, values, gradient, after) in seen.items():
        if targets[name] == 0:
            assert after.all()
            continue
        nominal = mask.numel() - targets[name]
        needed = 0
        if min_salient and name != "8":
            needed = max(1, math.floor(min_salient * (nominal // len(mask)) + 1e-9))
        drop = math.floor(fraction * int(mask.sum()))
        expected, gone = slowly(mask, values, gradient, drop=drop, nominal=nominal, needed=needed)
        assert indices(after) == expected
        changed += len(expected - indices(mask))
        ablated.append(gone)
    assert changed > 20
    assert ablated[-1] == 0  # the last layer
    assert (sum(ablated) > 0) == (min_salient == 0.9)


def check_pattern(sparsifier) -> None:
    """Every neuron of a layer has k weights or none, k from the nominal count."""
    for layer in sparsifier.layers:
        nominal = layer.size - sparsifier.target_zeros()[layer.name]
        found = layer.mask.flatten(1).sum(1)
        left = found[found > 0]
        assert (left == nominal // len(left)).all()
        assert layer.name != "8" or len(left) == len(found)
        assert nominal - len(left) < layer.active <= nominal


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_the_fan_in_is_constant_after_every_step(optimizer):
    model = conv_net()
    made = OPTIMIZERS[optimizer](model)
    sparsifier = make("srigl", min_salient=0.9)
    attach(sparsifier, model, made)
    fans = []

    def check(step: int) -> None:
        check_pattern(sparsifier)
        assert all(not layer.values[~layer.mask].any() for layer in sparsifier.layers)
        fans.append(int(sparsifier.layers[2].mask.sum(1).max()))

    fit(model, made, sparsifier, after=check)
    assert sparsifier.sparsity_errors() == ""
    assert len(set(fans)) > 1  # neurons were ablated, so the others have more weights


def test_the_last_layer_keeps_every_neuron_and_a_share_of_0_ablates_none():
    for share in (0.0, 1.0):
        model, optimizer, sparsifier = attached("srigl", min_salient=share)
        fit(model, optimizer, sparsifier)
        counts = [layer.mask.flatten(1).sum(1) for layer in sparsifier.layers]
        assert counts[-1].min() > 0
        assert sparsifier.metrics()["ablated_neurons"] == sum(int((c == 0).sum()) for c in counts)
        assert (sparsifier.metrics()["ablated_neurons"] > 0) == (share == 1.0)


@pytest.mark.parametrize("spoil", ["one fewer", "moved to another neuron", "an empty output"])
def test_masks_without_the_pattern_miss_the_target(spoil):
    _, _, sparsifier = attached("srigl")
    assert sparsifier.sparsity_errors() == ""
    layer = sparsifier.layers[-1 if spoil == "an empty output" else 2]
    mask = layer.mask.clone()
    if spoil == "an empty output":
        mask[3] = False
    else:
        mask[0, mask[0].nonzero()[0]] = False
    if spoil == "moved to another neuron":
        mask[1, (~mask[1]).nonzero()[0]] = True
    layer.set_mask(mask)
    assert layer.name in sparsifier.sparsity_errors()


# ------------------------------------------------------------------ what does not fit


def depthwise() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.Conv2d(8, 8, 3, groups=8), nn.Flatten(), nn.Linear(128, 10)
    )


def test_a_depthwise_convolution_with_less_than_a_weight_per_filter_is_refused():
    model = depthwise()
    # Each filter has 9 weights, of which 0.45 would be left.
    made = make("srigl", Plan(100, 0.95, 0, 10), distribution="uniform")
    with pytest.raises(InvalidInput) as refusal:
        made.attach(model, OPTIMIZERS["sgd"](model))
    assert "layer '1' of shape (8, 1, 3, 3) keeps 4 weights" in str(refusal.value)
    assert "dense_layers=1" in str(refusal.value)
    assert "\n" not in str(refusal.value)
    made = make("srigl", Plan(100, 0.95, 0, 10), distribution="uniform", dense_layers=("1",))
    made.attach(model, OPTIMIZERS["sgd"](model))
    assert made.sparsity_errors() == ""


def test_a_layer_whose_inputs_are_not_along_dimension_1_is_refused():
    model = nn.Sequential(nn.ConvTranspose2d(8, 8, 3), nn.Flatten(), nn.Linear(8, 4))
    made = make("srigl", Plan(100, 0.5, 0, 10))
    with pytest.raises(InvalidInput, match=r"layer '0' of shape .* dense_layers=0"):
        made.attach(model, OPTIMIZERS["sgd"](model), coverage=ALL_MATRICES)


@pytest.mark.slow
def test_a_study_that_asks_for_too_few_weights_is_refused_before_anything_runs(resonance, place):
    (place / "mine.yaml").write_text(
        "name: mine\nquestion: Does it work?\ntasks: [digits/mlp]\nmethods: [static, srigl]\n"
        "sparsities: [0.995]\nseeds: 1\nrecipe: {epochs: 1}\n"
    )
    result = resonance("study mine.yaml")
    assert "layer '1' of shape (128, 64) keeps" in result.complaint
    assert [path.name for path in place.iterdir()] == ["mine.yaml"]


# ------------------------------------------------------------------ given masks, a higher sparsity


def test_masks_of_constant_fan_in_can_be_given_others_not():
    given = {layer.name: layer.mask.clone() for layer in attached("srigl")[2].layers}
    given["6"] = given["6"].roll(5, 1)
    model = conv_net()
    optimizer = OPTIMIZERS["sgd"](model)
    sparsifier = make("srigl", min_salient=0.9)
    attach(sparsifier, model, optimizer, masks=given)
    assert torch.equal(sparsifier.layers[2].mask, given["6"])
    fit(model, optimizer, sparsifier)
    assert sparsifier.sparsity_errors() == ""

    given["6"] = given["6"].flatten().roll(7).view(32, 256)
    model = conv_net()
    says = r"^masks: layer '6': \d+ neurons should have \d+ weights each, and have \d+ to \d+:"
    with pytest.raises(InvalidInput, match=says):
        attach(make("srigl"), model, OPTIMIZERS["sgd"](model), masks=given)


def test_a_higher_sparsity_leaves_the_largest_weights_of_every_neuron():
    model, optimizer, sparsifier = attached("srigl", min_salient=0.9)
    fit(model, optimizer, sparsifier, stop=95)
    layer = sparsifier.layers[2]
    before, values = layer.mask.clone(), layer.values.clone()
    options = vars(sparsifier.options)
    sparser = sparsifier.continue_as(Plan(120, 0.95, 0, 30), options, 95)
    nominal = layer.size - sparser.target_zeros()["6"]
    left = [row for row in range(32) if before[row].any()]
    assert 0 < len(left) < 32
    for row in range(32):
        own = indices(before[row])
        kept = by(values[row].abs(), own, nominal // len(left), largest=True) if own else set()
        assert indices(layer.mask[row]) == kept
    assert sparser.sparsity_errors() == ""
    with pytest.raises(
        InvalidInput, match=r"extend\(sparsity=0.995\): layer|constant fan-in: layer"
    ):
        sparser.continue_as(Plan(120, 0.995, 0, 30), options, 95)


# ------------------------------------------------------------------ records


@pytest.fixture(scope="module")
def record():
    return trained(trial("srigl", sparsity=0.8, hyperparameters={"min_salient": 0.9})).record


def test_a_record_states_both_sparsities_and_the_ablated_neurons(record):
    metrics = record.metrics
    assert metrics["pattern_sparsity"] == pytest.approx(record.sparsity, abs=1e-12)
    assert metrics["nominal_sparsity"] == pytest.approx(0.8, abs=1e-4)
    assert metrics["pattern_sparsity"] > metrics["nominal_sparsity"]
    ablated = sum(layer.unconnected_units for layer in record.layers)
    assert metrics["ablated_neurons"] == ablated > 0
    (note,) = [note for note in record.notes if note.startswith("constant fan-in")]
    assert f"a sparsity of {record.sparsity:.6f}, not 0.8" in note


@pytest.mark.parametrize("name", ["pattern_sparsity", "nominal_sparsity", "ablated_neurons"])
def test_a_record_whose_metrics_contradict_its_layers_is_noticed(record, name):
    assert recompute(record).problems == []
    # The same zeros can be 31 neurons of 46 weights or 62 of 23: only some numbers are impossible.
    wrong = record.metrics | {
        name: 0.0 if name == "ablated_neurons" else 1.01 * record.metrics[name]
    }
    (problem,) = recompute(record.model_copy(update={"metrics": wrong})).problems
    assert problem.startswith(f"{name} is")


def test_ablated_neurons_are_a_curve_of_every_layer():
    rows = trained(trial("srigl", sparsity=0.8, hyperparameters={"min_salient": 0.9})).curves.rows
    series = {(layer, value) for _, layer, name, value in curve_rows(rows) if name == ABLATED}
    assert {layer for layer, _ in series} == {"1", "3", "5"}
    assert max(value for _, value in series) > 0


ABLATED = "ablated_neurons"


def curve_rows(rows):
    """Return (step, layer, series, value) of a training's curves."""
    return [(row[1], row[3], row[2], row[-1]) for row in rows]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_an_honest_record_has_no_problem_and_its_cost_is_bounded(share):
    found = trained(trial("srigl", sparsity=0.8, hyperparameters={"min_salient": share})).record
    assert recompute(found).problems == []
    for factor in (0.9, 1.1):
        flops = found.flops | {"training": factor * found.flops["training"]}
        assert recompute(found.model_copy(update={"flops": flops})).problems


def zeros_of(record, change: int):
    """Return a record whose second layer, [64, 128], has other zeros."""
    layers = [layer.model_copy() for layer in record.layers]
    layers[1] = layers[1].model_copy(update={"zeros": layers[1].zeros + change})
    return record.model_copy(update={"layers": layers})


def zero_problems(record) -> list[str]:
    return [problem for problem in recompute(record).problems if "zeros, not" in problem]


def test_only_counts_that_a_constant_fan_in_has_are_accepted():
    record = trained(trial("srigl", sparsity=0.8)).record
    sparsifier = make("srigl", Plan(160, 0.8, 0, 40))
    shapes = {layer.name: layer.shape for layer in record.layers}
    layer = record.layers[1]
    neurons, inputs = layer.shape
    nominal = layer.size - sparsifier.target_zeros(shapes)[layer.name]
    # Any number n of neurons that can hold the weights, ⌊nominal / n⌋ in each.
    sound = {layer.size - nominal // n * n for n in range(math.ceil(nominal / inputs), neurons + 1)}
    assert layer.zeros in sound
    offsets = [z - layer.zeros for z in range(min(sound) - 2, max(sound) + 3)]
    for change in offsets:
        wrong = layer.zeros + change not in sound
        assert bool(zero_problems(zeros_of(record, change))) == wrong, change
    last = record.layers[-1].model_copy(update={"zeros": record.layers[-1].zeros + 1})
    assert zero_problems(record.model_copy(update={"layers": [*record.layers[:-1], last]}))


# ------------------------------------------------------------------ export


def test_a_compact_export_removes_ablated_neurons_and_keeps_the_outputs():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(64, 100), nn.ReLU(), nn.Linear(100, 50), nn.ReLU(),
        nn.Linear(50, 10),
    )  # fmt: skip
    optimizer = OPTIMIZERS["sgd"](model)
    sparsifier = make("srigl", min_salient=0.9)
    attach(sparsifier, model, optimizer)
    fit(model, optimizer, sparsifier)
    left = [int(layer.mask.any(1).sum()) for layer in sparsifier.layers]
    assert left[0] < 100
    assert left[1] < 50
    with torch.no_grad():  # their biases were trained on, so the constants they output matter
        assert model[1].bias[~sparsifier.layers[0].mask.any(1)].abs().max() > 0
        x = digits().x[:200]
        smaller = compact(model, x[:8])
        widths = [module.out_features for module in smaller if isinstance(module, nn.Linear)]
        assert widths[0] <= left[0]
        assert widths[1] <= left[1]
        assert widths[2] == 10
        torch.testing.assert_close(smaller(x), model(x), rtol=1e-4, atol=1e-5)
