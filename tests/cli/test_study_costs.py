import pytest

from suite.cli.study_costs import (
    GPU_FLOPS,
    GPU_STEP,
    StudyCost,
    TrialWork,
    costs_rows,
    shipped_costs,
    study_cost,
    trial_work,
)
from suite.experiments.study import Study, shipped_studies
from suite.experiments.trial_config import Trial

STEPS, BATCH, FORWARD = 40, 32, 34_048
"""Of an epoch of the 1,293 digits that are left for training, and of their network: 2 · (64·128 +
128·64 + 640) FLOPs."""


def digits(**given: object) -> Trial:
    return Trial.make(task="digits/mlp", recipe={"epochs": 1}, seed=0, **given)


def test_a_trial_takes_the_steps_of_its_epochs_and_their_dense_flops():
    work = trial_work(digits(method="rigl", sparsity=0.9))
    assert work == TrialWork(STEPS, STEPS * BATCH * 3 * FORWARD)
    assert trial_work(digits(method="dense", sparsity=0.0)) == work


def test_every_round_of_a_lottery_ticket_counts():
    # 0.8² > 0.5 > 0.8⁴: four prunings, so five trainings.
    assert trial_work(digits(method="lottery_ticket", sparsity=0.5)).steps == 5 * STEPS


def test_a_gpu_takes_as_long_as_the_arithmetic_or_as_the_launches():
    assert TrialWork(10, 100 * GPU_FLOPS).gpu_seconds == 100
    assert TrialWork(10, 0.0).gpu_seconds == 10 * GPU_STEP


def test_the_cost_of_a_study_is_that_of_its_trials():
    study = Study.make(
        name="a", question="?", tasks=["digits/mlp"], methods=["dense", "rigl"], seeds=3,
        sparsities=[0.9, 0.95], recipe={"epochs": 1},
    )  # fmt: skip
    keys = list(study.trials_by_key())
    cost = study_cost(study, {keys[0]: 2.0, keys[1]: 3.0, "0" * 16: 50.0})
    assert (cost.trials, cost.recorded, cost.core_seconds) == (9, 2, 5.0)
    assert cost.flops == pytest.approx(9 * STEPS * BATCH * 3 * FORWARD)
    assert cost.gpu_seconds == pytest.approx(9 * STEPS * GPU_STEP)


def test_hours_on_two_cores_are_given_only_for_a_study_that_is_recorded_whole():
    whole = StudyCost("a", 2, 1.0, 36.0, 2, 7200.0)
    part = StudyCost("b", 1000, 1.0, 72_000.0, 1, 7200.0)
    none = StudyCost("c", 3, 1.0, 0.0, 0, 0.0)
    assert costs_rows([whole, part, none]) == [
        ["`a`", "2", "1.0e+00", "2", "1", "0.01"],
        ["`b`", "1,000", "1.0e+00", "2 (1 of 1,000 trials)", "", "20"],
        ["`c`", "3", "1.0e+00", "", "", "0"],
    ]


def test_every_shipped_study_has_a_cost():
    costs = shipped_costs()
    assert sorted(cost.name for cost in costs) == sorted(shipped_studies())
    assert all(cost.flops > 0 and cost.gpu_seconds > 0 for cost in costs)
    assert any(cost.recorded == cost.trials for cost in costs)
