"""What a record says of zeros and FLOPs is computed again from its configuration."""

import re

import pytest

from baselines.rigl import RigL
from suite.results.record_check import TRAINING
from suite.training.verify_record import recompute
from tests.support.helpers import SPARSE_METHODS, make, trained, trial


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


SETTINGS = [
    ("magnitude", {"distribution": "global"}, 0.8),
    ("magnitude", {"initial_sparsity": 0.3, "prune_start": 0.2}, 0.5),
    ("granet", {"distribution": "erk", "initial_sparsity": 0.0}, 0.8),
    ("lottery_ticket", {"rate": 0.5, "rewind_step": 7}, 0.8),
    ("lottery_ticket", {"rate": 0.6, "distribution": "original"}, 0.9),
    ("snfs", {"update_every": 7, "distribution": "uniform"}, 0.5),
    ("snip", {"batch_size": 5000}, 0.8),
    ("grasp", {"examples_per_class": 500}, 0.8),
    ("synflow", {"iterations": 1}, 0.8),
    ("resonance", {"scope": "global", "modulation": 0.0}, 0.8),
    ("rigl", {"replace_step": True}, 0.0),
]


@pytest.mark.slow
@pytest.mark.parametrize("execution", ["masked", "csr"])
@pytest.mark.parametrize(("method", "options", "sparsity"), SETTINGS)
def test_what_training_costs_is_within_what_the_method_declares(
    method, options, sparsity, execution
):
    of = trial(method, hyperparameters=options, sparsity=sparsity, execution=execution)
    found = recompute(trained(of).record)
    assert found.problems == []
    (training,) = [check for check in found.checks if check.name == TRAINING]
    exact = method not in ("grasp", "resonance")
    assert training.how == ("exact" if exact else "within bounds")


class Undeclared(RigL):
    """A variant that does not say again what zeros its masks may have."""


def test_a_method_that_declares_nothing_has_the_bounds_of_any(monkeypatch):
    record = record_of("rigl")
    method = make("rigl")
    assert method.declares_cost
    assert not Undeclared(method.plan, vars(method.options)).declares_cost
    monkeypatch.setattr(RigL, "declares_cost", False)

    def checked(factor: float) -> tuple[list[str], str]:
        flops = record.flops | {"training": factor * record.flops["training"]}
        found = recompute(record.model_copy(update={"flops": flops}))
        return found.problems, found.checks[-1].how

    assert checked(1)[0] == checked(3)[0] == []
    assert "declares no zeros_in_training" in checked(1)[1]
    assert checked(1e99 / record.flops["training"])[0]
