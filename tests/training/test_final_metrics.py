"""What a method may add to a record's metrics."""

import numpy as np
import pytest

from baselines.rigl import RigL
from suite.core.errors import TrialFailed
from suite.training.final_metrics import own_metrics_problem
from suite.training.trial import run_trial
from tests.support.helpers import trial


@pytest.mark.parametrize(
    ("metrics", "said"),
    [
        ({"Bad-Name": 1.0}, "the name 'Bad-Name' is not usable: give lower-case letters"),
        ({3: 1.0}, "the name 3 is not usable"),
        ({"": 1.0}, "the name '' is not usable"),
        ({"my\nname": 1.0}, r"the name 'my\\nname' is not usable"),
        ({"test_accuracy": 1.0}, "'test_accuracy' is that of a metric that the suite measures"),
        ({"mine": "1"}, "mine is of type str: give a number"),
        ({"mine": True}, "mine is of type bool: give a number"),
        ({"mine": float("nan")}, "mine is nan: give a finite number, or leave it out"),
        ({"exploration_rate": 1.5}, r"exploration_rate is 1.5, not in \[0, 1\]"),
        ([1.0], "returns list: return a dictionary"),
    ],
    ids=str,
)
def test_metrics_that_a_record_cannot_hold_are_named_in_one_line(monkeypatch, metrics, said):
    monkeypatch.setattr(RigL, "metrics", lambda self: metrics)
    with pytest.raises(TrialFailed, match=rf"method rigl: metrics\(\): .*{said}") as failed:
        run_trial(trial("rigl", recipe={"epochs": 1}))
    assert "\n" not in str(failed.value)


def test_numbers_of_any_kind_are_taken():
    assert own_metrics_problem({"mine": 3, "mine_2": -0.5, "mine_3": np.float64(2)}, ()) == ""
