import itertools
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import nn

from suite.core.errors import InvalidInput, TrialFailed
from suite.experiments import registry
from suite.resonance.method import Resonance
from suite.resonance.schedule import DecisionSchedule
from suite.resonance.signal import Reading
from suite.sparsity.plan import Plan
from tests.support.helpers import OPTIMIZERS, PLAN, Charged, conv_net, fit, make


def attached(plan: Plan = PLAN, **options):
    model = conv_net()
    optimizer = OPTIMIZERS["sgd"](model)
    sparsifier = make("resonance", plan, **options)
    assert isinstance(sparsifier, Resonance)
    sparsifier.attach(model, optimizer)
    return model, optimizer, sparsifier


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"window": 9}, "window=9 must be even: give 10"),
        ({"window": 90}, "give a window of at most 88"),
        ({"window": 32, "record_every": 3}, "give a window of at most 28"),
        ({"window": 32, "record_every": 12}, "freeze_at=0.75: train longer$"),
        ({"cooldown": 121}, "give 0 to 120"),
        ({"update_every": 85, "window": 88}, "decide more often"),
        ({"update_every": 90, "modulation": 0.0}, "decide more often"),  # the freeze is step 90
        ({"bits": 4}, "give bits of at most 2"),
        ({"argument": "frequency", "bits": 2}, "give bits of at most 1"),
        ({"argument": "frequency", "bits": 1, "interpolate": False}, "needs interpolate"),
        ({"reading": "rate"}, "leaves 5: give update_every of at least 8"),
        ({"reading": "rate", "update_every": 20, "record_every": 3}, "leaves 6: .* at least 24"),
        ({"reading": "rate", "update_every": 40, "window": 80}, "decide more often"),
        ({"reading": "rate", "update_every": 8, "detrend": "none"}, "give detrend=mean"),
        ({"reading": "centroid", "argument": "frequency", "bits": 2}, "0.62 ± 0.14, cannot"),
        ({"average": 0.9, "argument": "frequency", "bits": 3}, "give bits of at most 2"),
    ],
)
def test_options_that_do_not_fit_the_training_are_refused(options, says):
    with pytest.raises(InvalidInput, match=says) as refusal:
        make("resonance", **options)
    assert "\n" not in str(refusal.value)


def test_one_decision_before_the_freeze_is_enough():
    sparsifier = make("resonance", update_every=89, modulation=0.0, cooldown=0)
    assert [step for step in range(1, 121) if sparsifier.schedule.is_decision(step)] == [89]


def test_a_constant_threshold_may_use_any_bits():
    make("resonance", bits=8, modulation=0.0)


@pytest.mark.parametrize("record_every", [1, 3])
@pytest.mark.parametrize("every", [4, 25])
def test_every_decision_reads_the_last_window_and_nothing_else_is_recorded(every, record_every):
    table = DecisionSchedule(every=every, first=-(-24 // every) * every, freeze=103, window=8,
                      record_every=record_every)  # fmt: skip
    decisions = [s for s in range(1, 120) if table.is_decision(s)] + [103]
    needed = set()
    for decision in decisions:
        multiples = [s for s in range(1, decision + 1) if s % record_every == 0]
        needed.update(multiples[-8:])
    assert {s for s in range(1, 120) if table.is_recorded(s)} == needed


def test_progress_runs_from_the_first_decision_to_the_freeze():
    table = DecisionSchedule(every=5, first=10, freeze=90, window=8, record_every=1)
    assert (table.progress(10), table.progress(50), table.progress(90)) == (0, 0.5, 1)


def test_sums_are_read_between_decisions_that_all_leave_enough_gradients():
    for freeze in range(90, 106):
        plan = replace(PLAN, steps=-(-freeze * 4 // 3))
        table = make("resonance", plan, reading="rate", update_every=8, bits=1).schedule
        reads = [s for s in range(plan.steps + 1) if table.is_decision(s)] + [table.freeze]
        for last, step in pairwise([0, *reads]):
            recorded = [s for s in range(last + 1, step + 1) if table.is_recorded(s)]
            assert recorded == list(range(step - len(recorded) + 1, step + 1))
            assert len(recorded) == 8
        assert 8 <= table.freeze - reads[-2] < 16


def test_an_automatic_interval_leaves_a_rate_enough_gradients():
    options = {"reading": "rate", "update_every": "auto", "bits": 1}
    assert make("resonance", **options).schedule.every == 8
    longer = replace(PLAN, steps=2000)
    assert make("resonance", longer, record_every=9, **options).schedule.every == 72
    assert make("resonance", longer, **options).schedule.every == 1500 // 24


def test_teeth_over_an_averaged_frequency_may_be_finer_where_noise_reads_closer_together():
    given = {"argument": "frequency", "bits": 3, "window": 32, "update_every": 40}
    plan = replace(PLAN, steps=4000)
    for reading in ("centroid", "rate"):
        with pytest.raises(InvalidInput, match="give bits of at most"):
            make("resonance", plan, reading=reading, **given)
        make("resonance", plan, reading=reading, average=0.9, **given)


@pytest.mark.parametrize("keep", ["high", "low"])
@pytest.mark.parametrize("reading", ["dominant", "centroid", "rate"])
def test_a_bounded_amplitude_must_reach_the_target_on_noise_read_in_the_same_way(reading, keep):
    given = {"reading": reading, "keep": keep, "solve": "feedback", "argument": "magnitude",
             "update_every": 8, "window": 16, "bits": 1}  # fmt: skip
    with pytest.raises(InvalidInput, match="modulation of at most") as refused:
        make("resonance", modulation=1.0, **given)
    usable = float(str(refused.value).split("modulation of at most ")[1].split(",")[0])
    make("resonance", modulation=usable, **given)
    with pytest.raises(InvalidInput):
        make("resonance", modulation=usable + 0.02, **given)


def test_what_is_recorded_is_the_dense_gradient():
    model, optimizer, sparsifier = attached(history_dtype="float32")
    seen = []
    observe = sparsifier.observe

    def watch(step: int) -> None:
        seen.append(sparsifier.layers[2].dense_gradient.flatten().clone())
        observe(step)

    sparsifier.observe = watch
    fit(model, optimizer, sparsifier, stop=60)
    history = sparsifier.signal.histories["6"].ordered(slice(None))
    assert torch.equal(history, torch.stack(seen[-8:]))


def test_training_starts_dense_and_no_layer_ever_falls_below_its_target():
    model, optimizer, sparsifier = attached(modulation=0.5)
    zeros = sparsifier.target_zeros()
    active = []

    def check(step: int) -> None:
        active.append(sparsifier.layers[2].active)
        for layer in sparsifier.layers:
            assert layer.active >= layer.size - zeros[layer.name]

    fit(model, optimizer, sparsifier, after=check)
    assert active[8] == sparsifier.layers[2].size
    assert active[-1] == sparsifier.layers[2].size - zeros["6"]


def test_without_modulation_the_sparsity_follows_its_path_exactly():
    model, optimizer, sparsifier = attached(modulation=0.0, cooldown=0)

    def check(step: int) -> None:
        if sparsifier.schedule.is_decision(step):
            for group in sparsifier.groups:
                off = int((~group.state.active).sum())
                assert off == int(sparsifier.path(step) * group.final_off)

    fit(model, optimizer, sparsifier, after=check)


def test_connections_rest_for_the_cooldown_in_training():
    model, optimizer, sparsifier = attached(cooldown=15, modulation=0.3)
    layer = sparsifier.layers[2]
    before, went_off = layer.mask.clone(), torch.zeros(layer.shape)
    returned = []

    def check(step: int) -> None:
        nonlocal before
        back = layer.mask & ~before
        if step < sparsifier.schedule.freeze and bool(back.any()):
            returned.append(float((step - went_off[back]).min()))
        went_off[before & ~layer.mask] = step
        before = layer.mask.clone()

    fit(model, optimizer, sparsifier, after=check)
    assert returned
    assert min(returned) == 15


def test_a_falling_validation_score_brings_connections_back():
    active = []
    for score in (None, 40.0):
        _, _, sparsifier = attached(PLAN.__class__(120, 0.9, 0, 30, validates=True), cooldown=0)
        model = conv_net()
        optimizer = OPTIMIZERS["sgd"](model)
        sparsifier.attach(model, optimizer)
        fit(model, optimizer, sparsifier, stop=62)
        sparsifier.after_validation(62, 80.0)
        if score is not None:
            sparsifier.after_validation(62, score)
        fit(model, optimizer, sparsifier, start=62, stop=65)
        active.append(sparsifier.layers[2].active)
    assert active[1] > active[0]


def test_without_a_validation_split_the_accuracy_feedback_is_off():
    _, _, sparsifier = attached()
    sparsifier.after_validation(1, 90.0)
    sparsifier.after_validation(2, 10.0)
    assert sparsifier.feedback.factor == 1


@pytest.mark.parametrize(
    "options",
    [
        {"argument": "magnitude"},
        {"argument": "frequency", "window": 16, "bits": 1},
        {"solve": "feedback"},
        {"scope": "global"},
        {"detrend": "none", "taper": "none"},
        {"record_every": 2, "window": 8},
        {"shuffle": "each"},
        {"projection": "score"},
        {"initial_sparsity": 0.5},
        {"cooldown": 0},
        {"update_every": 1},
        {"history_dtype": "float32"},
        {"modulation": 1.0},
        {"interpolate": False},
        {"cooling": "freeze"},
        {"cooling": "freeze", "scope": "global"},
        {"cooling": "freeze", "score": "weighted", "solve": "feedback"},
        {"score": "weighted", "scope": "global"},
        *(
            {"reading": reading, "keep": keep, "update_every": 8, "bits": 1} | others
            for reading, keep in itertools.product(
                ("dominant", "centroid", "rate"), ("high", "low")
            )
            for others in (
                {},
                {"average": 0.9, "solve": "feedback", "cooling": "freeze"},
                {"argument": "frequency", "window": 16, "projection": "score", "modulation": 0.3},
                {"score": "weighted", "scope": "global", "average": 0.5, "record_every": 1},
            )
        ),
        {"reading": "rate", "update_every": 16, "record_every": 2, "bits": 1, "shuffle": "fixed"},
    ],
)
def test_every_option_ends_exactly_on_target(options):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    optimizer = OPTIMIZERS["sgd"](model)
    sparsifier = make("resonance", **options)
    sparsifier.attach(model, optimizer)
    fit(model, optimizer, sparsifier)
    assert sparsifier.sparsity_errors() == ""


def quiet_decisions(**options):
    """Return method and readings of each decision, by layer, of a training to the end."""
    model, optimizer, sparsifier = attached(modulation=0.0, cooldown=0, **options)
    seen, decide = [], sparsifier._decide

    def watch(group, reading, step):
        decide(group, reading, step)
        seen.append((reading, group.state.active.clone()))

    sparsifier._decide = watch
    fit(model, optimizer, sparsifier)
    return seen


@pytest.mark.parametrize("reading", ["dominant", "centroid", "rate"])
@pytest.mark.parametrize("keep", ["high", "low"])
def test_what_stays_has_the_frequencies_that_are_kept_and_silent_ones_go_first(reading, keep):
    seen = quiet_decisions(reading=reading, keep=keep, update_every=8)
    assert len(seen) > 10
    silent_kept = 0
    for found, active in seen:
        live = found.frequency > 0
        kept, gone = found.frequency[active & live], found.frequency[~active & live]
        silent_kept += int((active & ~live).sum()) * (len(gone) > 0)
        if len(gone) and len(kept):
            assert kept.min() >= gone.max() if keep == "high" else kept.max() <= gone.min()
    assert silent_kept == 0


@pytest.mark.parametrize("argument", ["progress", "frequency"])
def test_low_frequencies_are_kept_by_the_same_rule_as_high_ones(argument):
    _, _, sparsifier = attached(argument=argument, window=16, bits=1, modulation=0.3, keep="low")
    group = sparsifier.groups[-1]
    frequency = torch.rand(len(group.state.active)).clamp_min(0.01)
    reading = Reading(frequency, torch.ones_like(frequency))
    score = sparsifier._score(group, reading)
    factors = sparsifier.threshold.factors(frequency) if argument == "frequency" else 1
    assert torch.allclose(score, (1 - frequency) / factors)


def test_frozen_weights_stay_in_the_network_and_do_not_move_under_momentum():
    model = conv_net()
    optimizer = OPTIMIZERS["sgd"](model)
    sparsifier = make("resonance_pseudocode", cooldown=12)
    sparsifier.attach(model, optimizer)
    layer, group = sparsifier.layers[2], sparsifier.groups[-2]
    before, held = layer.values.clone(), torch.zeros(layer.shape, dtype=torch.bool)
    counts = []

    def check(step: int) -> None:
        nonlocal before, held
        now = group.state.frozen.view(layer.shape)
        assert torch.equal(layer.values[held & now], before[held & now])
        held = now
        counts.append(int((held & (layer.values != 0)).sum()))
        before = layer.values.clone()

    fit(model, optimizer, sparsifier, after=check)
    assert max(counts) > 100
    assert counts[-1] == 0
    assert sparsifier.sparsity_errors() == ""


def test_the_null_is_resonance_with_someone_elses_signal():
    null, plain = registry.methods()["resonance_shuffled"], registry.methods()["resonance"]
    different = {p.name for p, q in zip(null.hyperparameters, plain.hyperparameters, strict=True)
                 if p.default != q.default}  # fmt: skip
    assert different == {"shuffle"}
    masks = []
    for options in ({}, {"shuffle": "fixed"}):
        model, optimizer, sparsifier = attached(**options)
        fit(model, optimizer, sparsifier)
        masks.append(sparsifier.layers[2].mask)
    assert not torch.equal(*masks)


def test_a_nan_gradient_stops_the_trial_by_layer_and_step():
    model, optimizer, sparsifier = attached()
    fit(model, optimizer, sparsifier, stop=9)
    sparsifier.signal.histories["8"].rows[2, 5] = float("nan")
    with pytest.raises(TrialFailed, match=r"layer '8', step 10"):
        fit(model, optimizer, sparsifier, start=9, stop=10)


def test_the_record_is_told_of_the_accuracy_at_the_methods_bits():
    assert make("resonance", bits=1).rounding_bits == (1,)


@pytest.mark.parametrize("window", [8, 10])
def test_the_default_dtype_has_no_part_in_it(window):
    masks = []
    for dtype in (torch.float32, torch.float64):
        model = conv_net()  # in float32
        optimizer = OPTIMIZERS["sgd"](model)
        torch.set_default_dtype(dtype)
        try:
            sparsifier = make("resonance", window=window, update_every=5)
            sparsifier.attach(model, optimizer)
            fit(model, optimizer, sparsifier, stop=30)
        finally:
            torch.set_default_dtype(torch.float32)
        masks.append([layer.mask for layer in sparsifier.layers])
    assert all(torch.equal(a, b) for a, b in zip(*masks, strict=True))
    assert any(bool((~mask).any()) for mask in masks[0])


@pytest.mark.parametrize("options", [{}, {"scope": "global"}, {"dense_layers": ["8"]}])
@pytest.mark.parametrize("every", [5, 7, 9])
def test_every_reading_of_a_connection_is_charged(options, every):
    model, account = conv_net(), Charged()
    optimizer = OPTIMIZERS["sgd"](model)
    sparsifier = make("resonance", window=8, update_every=every, modulation=0.0, **options)
    sparsifier.attach(model, optimizer, flops=account)
    read = [
        layer for layer in sparsifier.layers if layer.name not in options.get("dense_layers", [])
    ]
    fit(model, optimizer, sparsifier)
    decisions = sum(map(sparsifier.schedule.is_decision, range(1, PLAN.steps + 1)))
    readings = (decisions + 1) * sum(layer.size for layer in read)  # and one at the freeze
    assert account.method == readings * (4 * 4**2 + 4)
    assert sparsifier.schedule.readings == decisions + 1
