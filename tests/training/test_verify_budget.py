"""The steps and the reference of a record with a `flops_budget` are recomputed."""

import re

import pytest

from suite.training import forecast_cache
from suite.training.verify_record import recompute
from tests.support.helpers import trained, trial


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RESONANCE_CACHE", str(tmp_path))
    monkeypatch.setattr(forecast_cache, "_known", {})


def record_of(method):
    budget = 0.8 if method == "resonance" else 0.3
    return trained(trial(method, recipe={"flops_budget": budget})).record


def changed(record, steps=None, **flops):
    values = {"flops": record.flops | flops}
    if steps is not None:
        values["steps"] = steps
    return record.model_copy(update=values)


@pytest.mark.parametrize(
    ("method", "more", "says"),
    [
        ("rigl", 1, r"steps: \d+, its flops_budget pays for \d+"),
        ("rigl", -1, r"steps: \d+, its flops_budget pays for \d+"),
        ("snip", 1, r"steps: \d+, its flops_budget pays for \d+"),
        ("str", 10**6, r"steps: 1,000,\d+, its flops_budget pays for at most"),
        ("resonance", -100_000, r"steps: 1, too few: window=8 gradients"),
        ("resonance", 1500, r"fewer than its masks can have taken|at most"),
    ],
)
def test_steps_that_the_budget_does_not_pay_for_are_named(method, more, says):
    record = record_of(method)
    assert recompute(record).problems == []
    (problem,) = recompute(changed(record, max(1, record.steps + more))).problems
    assert re.search(says, problem)


def test_steps_belong_to_a_budget_and_a_budget_to_steps():
    (problem,) = recompute(changed(record_of("rigl"), 0)).problems
    assert problem == "steps: none, of a trial with a flops_budget"
    plain = trained(trial("rigl")).record
    (problem,) = recompute(changed(plain, 160)).problems
    assert problem == "steps: 160, of a trial without a flops_budget"
    (problem,) = recompute(changed(plain, dense_training=1e9)).problems
    assert problem == "dense_training, of a trial without a flops_budget"


@pytest.mark.parametrize("factor", [0.5, 0.999, 1.001])
@pytest.mark.parametrize("method", ["rigl", "small_dense"])
def test_another_reference_is_named(method, factor):
    record = record_of(method)
    dense = record.flops["dense_training"]
    assert dense == 3 * record.flops["inference_dense"] * 32 * 160
    (problem,) = recompute(changed(record, dense_training=factor * dense)).problems
    assert problem.startswith("dense_training: ")
    flops = {name: value for name, value in record.flops.items() if name != "dense_training"}
    (problem,) = recompute(record.model_copy(update={"flops": flops})).problems
    assert problem.startswith("dense_training: 0 FLOPs, not ")


@pytest.mark.parametrize(
    ("method", "factor"),
    [("rigl", 0.999), ("rigl", 1.001), ("resonance", 0.1), ("resonance", 10), ("str", 10)],
)
def test_other_training_flops_are_named(method, factor):
    record = record_of(method)
    flops = {"training": factor * record.flops["training"]}
    assert recompute(changed(record, **flops)).problems
