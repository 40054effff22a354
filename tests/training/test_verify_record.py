"""What a record says of zeros and FLOPs is computed again from its configuration."""

import re

import pytest

from suite.training.verify_record import recompute
from tests.support.helpers import SPARSE_METHODS, trained, trial


def record_of(method: str):
    return trained(trial(method)).record


@pytest.mark.parametrize("method", ["dense", *SPARSE_METHODS])
def test_an_honest_record_of_every_method_has_no_problem(method):
    outcome = trained(trial(method))
    found = recompute(outcome.record)
    assert found.problems == []
    epochs = sum(series == "train_loss" for _, _, series, *_ in outcome.curves.rows)
    assert found.steps == 40 * epochs  # of all rounds


@pytest.mark.parametrize(
    ("method", "factor", "says"),
    [
        ("static", 0.9, "training: .* FLOPs, not"),
        ("static", 1.1, "training: .* FLOPs, not"),
        ("rigl", 0.999, "training: .* FLOPs, not"),
        ("lottery_ticket", 0.999, "training: .* FLOPs, not"),
        ("snip", 0.999, "training: .* FLOPs, not"),
        ("resonance", 0.5, "training: .* FLOPs, fewer than its masks can have taken"),
        ("resonance", 5, "training: .* FLOPs, more than its masks can have taken"),
        ("grasp", 1e90, "training: .* FLOPs, more than its masks can have taken"),
        ("dense", 1.001, "training: .* FLOPs, not"),
        ("dense", 0.999, "training: .* FLOPs, not"),
    ],
)
def test_training_that_costs_what_it_cannot_is_named(method, factor, says):
    record = record_of(method)
    flops = record.flops | {"training": factor * record.flops["training"]}
    (problem,) = recompute(record.model_copy(update={"flops": flops})).problems
    assert re.match(says, problem)
