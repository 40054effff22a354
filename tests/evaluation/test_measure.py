"""Which measures a trial takes by itself, which it leaves out, and that it says why."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from suite.evaluation.measure import CORRUPTED, FGSM, GREY_FGSM, GREY_PGD, PGD, measure
from suite.evaluation.model_size import disk_size
from suite.evaluation.robustness import corruption_accuracy, pixel_space
from suite.experiments import registry
from suite.results.metrics import METRICS, Metric, rows
from suite.training.outcome import digests
from tasks.data import Split
from tests.support.helpers import conv_net, digits, trained, trial

DIGITS = registry.datasets()["digits"]


def masks(model: nn.Module) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return {name: torch.rand_like(model.get_submodule(name).weight) < 0.2 for name in "0368"}


@pytest.fixture(scope="module")
def data() -> Split:
    whole = digits()
    return Split(whole.x[:200], whole.y[:200])


def test_a_trial_records_what_is_cheap():
    outcome = trained(trial("rigl", recipe={"epochs": 20}))
    metrics = outcome.record.metrics
    kinds = {"noise", "blur", "brightness", "contrast", "translation", "jpeg"}
    means = [metrics[f"{CORRUPTED}_{kind}"] for kind in kinds]
    assert metrics[CORRUPTED] == pytest.approx(sum(means) / 6)
    assert metrics[FGSM] < metrics["test_accuracy"]
    assert PGD not in metrics
    assert outcome.record.absent == {}
    assert metrics["sparse_bytes"] < metrics["dense_bytes"] / 4
    curves = [row for row in outcome.curves.rows if row[2] == "corruption_blur"]
    assert [row[4] for row in curves] == list(range(5))
    assert sum(row[5] for row in curves) / 5 == pytest.approx(metrics[f"{CORRUPTED}_blur"])


def test_a_trial_records_the_units_of_its_layers():
    outcome = trained(trial("rigl"))
    for layer in outcome.record.layers:
        mask = outcome.tensors[f"mask/{layer.name}"]
        assert layer.units == len(mask)
        assert layer.unconnected_units == sum(not row.any() for row in mask)
        assert layer.storage in ("bitmap", "csr")
    first, second, last = outcome.record.layers
    metrics = outcome.record.metrics
    silent = (first.silent_units + second.silent_units) / (first.units + second.units)
    assert metrics["silent_units"] == pytest.approx(silent)
    assert last.silent_units is None
    every = sum(layer.unconnected_units for layer in outcome.record.layers)
    assert metrics["unconnected_units"] == every / sum(x.units for x in outcome.record.layers)
    assert metrics["collapsed_layers"] == 0


def test_corruptions_are_left_out_of_a_short_training_and_the_record_says_so():
    record = trained(trial("dense", recipe={"epochs": 2})).record
    assert CORRUPTED not in record.metrics
    assert FGSM in record.metrics
    assert "resonance evaluate" in record.absent[CORRUPTED]


def test_what_is_left_out_does_not_depend_on_the_method():
    """A table's trials have a metric or they all lack it: a ticket's rounds do not buy it more."""
    short = {"epochs": 5}
    dense = trained(trial("dense", recipe=short)).record
    ticket = trained(trial("lottery_ticket", sparsity=0.36, recipe=short)).record
    assert dense.absent == ticket.absent != {}


def test_the_corruptions_are_measured_up_to_15_percent_of_training(data):
    model = conv_net()
    passes = 30 * len(data) / 0.15
    assert CORRUPTED in measure(model, masks(model), DIGITS, data, passes + 1).metrics
    assert CORRUPTED in measure(model, masks(model), DIGITS, data, passes - 1).absent


def test_data_that_is_no_image_has_no_robustness_and_a_reason(data):
    table = replace(DIGITS, shape=(64,))
    model = nn.Sequential(nn.Linear(64, 8), nn.Tanh(), nn.Linear(8, 10))
    flat = Split(data.x.flatten(1), data.y)
    full = {n: torch.ones_like(model.get_submodule(n).weight, dtype=torch.bool) for n in "02"}
    found = measure(model, full, table, flat, everything=True)
    for name in (CORRUPTED, FGSM, PGD, GREY_FGSM, GREY_PGD):
        assert "not images" in found.absent[name]
    assert "no layer is followed by a ReLU" in found.absent["silent_units"]
    assert not any(name.startswith("test_accuracy") for name in found.metrics)
    assert found.metrics["dense_bytes"] == disk_size(model, full).dense


def test_everything_adds_slow_attacks_and_changes_nothing_else(data):
    model = conv_net()
    some = measure(model, masks(model), DIGITS, data)
    every = measure(model, masks(model), DIGITS, data, everything=True)
    assert every.metrics.keys() - some.metrics.keys() == {PGD, GREY_FGSM, GREY_PGD}
    assert {n: every.metrics[n] for n in some.metrics} == some.metrics
    assert every.metrics[GREY_FGSM] <= every.metrics[FGSM]
    pixels = pixel_space(DIGITS, data)
    assert some.corruption == corruption_accuracy(model, data, pixels)


def test_the_epsilon_of_mnist_is_for_grey_images(data):
    colour = replace(DIGITS, shape=(3, 8, 8), mean=DIGITS.mean * 3, std=DIGITS.std * 3)
    split = Split(data.x.expand(-1, 3, -1, -1), data.y)
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 10))
    full = {"1": torch.ones(10, 192, dtype=torch.bool)}
    found = measure(model, full, colour, split, everything=True)
    assert PGD in found.metrics
    for name in (GREY_FGSM, GREY_PGD):
        assert name not in found.metrics
        assert "grey images only" in found.absent[name]


def test_measuring_does_not_touch_the_network_or_random_states(data):
    model = conv_net().train()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    active, before = masks(model), torch.get_rng_state()
    measure(model, active, DIGITS, data, everything=True)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    assert torch.equal(torch.get_rng_state(), before)


def test_weights_of_any_shape_have_a_digest():
    """A norm's count of batches has no dimension at all."""
    norm = nn.BatchNorm2d(3).state_dict()
    first = digests({f"model/{name}": value for name, value in norm.items()})["model"]
    norm["num_batches_tracked"] += 1
    assert digests({f"model/{n}": v for n, v in norm.items()})["model"] != first


def test_metrics_are_written_for_people():
    assert Metric("a", "a").text(0.12345) == "12.35 %"
    assert Metric("a", "a", "bytes").text(12345.0) == "12,345 bytes"
    assert Metric("a", "a", "seconds").text(0.0012345) == "1.234 ms"
    assert Metric("a", "a", "number").text(2.0) == "2"
    shown = rows({"zz_top": 1.5, "test_accuracy": 0.5}, {FGSM: "not applicable"})
    assert shown == [
        ("test accuracy", "50.00 %"),
        ("test accuracy under FGSM, ε = 8/255", "not applicable"),
        ("zz top", "1.5"),
    ]


def test_every_metric_is_documented():
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
    parts = set(re.findall(r"`([a-z0-9_]+)`", page))
    for name in (metric.name for metric in METRICS):
        shortened = any(name.endswith(p) and p.startswith("_") for p in parts)
        reason_only = name in ("csr", "two_four", "condensed", "condensed_numba")
        assert name in parts or shortened or reason_only, name


def test_every_metric_of_a_trial_has_a_title():
    record = trained(trial("resonance", recipe={"epochs": 20})).record
    assert set(record.metrics) <= {metric.name for metric in METRICS}
