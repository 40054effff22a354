"""Whoever plans, trains, checks or times a trial means the same number of steps."""

import pytest

from suite.execution.timings import Timings
from suite.training import planned_steps as module
from suite.training.context import TrialContext
from suite.training.planned_steps import planned_steps
from suite.training.trial import count_steps
from suite.training.verify_record import recompute
from tests.support.helpers import trained, trial
from tests.support.sample_records import make_trial


@pytest.mark.parametrize(
    ("task", "recipe", "steps"),
    [
        ("digits/mlp", {"epochs": 2, "batch_size": 32, "validation": 0.1}, 2 * (1294 // 32)),
        ("digits/mlp", {"epochs": 2, "batch_size": 32, "max_steps": 50}, 50),
        ("mnist/lenet_300_100", {"epochs": 3, "batch_size": 100, "validation": 0.0}, 3 * 600),
        ("digits/mlp", {"batch_size": 5000}, 0),
    ],
)
def test_they_are_the_whole_batches_of_the_epochs(task, recipe, steps):
    assert planned_steps(make_trial(task=task, method="static", recipe=recipe)) == steps


def test_training_checking_and_timing_ask_the_same_function(monkeypatch):
    of = trial("static")
    record = trained(of).record
    usual, timings = planned_steps(of), Timings()
    timings.add(of, 10.0)
    monkeypatch.setattr(module, "steps_of_epochs", lambda recipe, dataset: 3 * usual)
    assert TrialContext.of(of).plan.steps == count_steps(of) == 3 * usual
    found = recompute(record)
    assert found.steps == 3 * usual
    assert any("training" in problem for problem in found.problems)
    assert timings.seconds(trial("rigl")) == pytest.approx(30.0)
