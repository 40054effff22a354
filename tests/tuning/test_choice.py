"""Which trial wins, and what mattered."""

import pytest

from suite.tuning.choice import front, importance, winner
from suite.tuning.space import spaces_of
from tests.tuning.sample import pretend, settings, tuning

TASK = "digits/mlp"


def test_the_first_of_equals_wins_and_failures_never():
    trials = tuning().methods["rigl"].trials
    assert winner(trials, ("accuracy", "train_flops")) == 1
    assert winner(trials, ("train_flops", "accuracy")) != 1
    equal = [trial.model_copy(update={"values": [0.5, 1.0]}) for trial in trials[:3]]
    assert winner(equal, ("accuracy", "train_flops")) == 0
    assert winner(trials[3:], ("accuracy",)) is None


def test_the_front_holds_what_no_other_trial_dominates():
    trials = tuning().methods["rigl"].trials
    assert front(trials, ("accuracy", "train_flops")) == [1, 0]


def test_importance_finds_the_dimension_that_decides():
    asked = settings()
    space = spaces_of(["rigl"], [TASK])["rigl"]
    example = tuning().methods["rigl"].trials[0]
    trials = [
        example.model_copy(
            update={"number": n, "parameters": dict(p.parameters), "values": list(p.values)}
        )
        for n, p in enumerate(pretend(asked, 24))
    ]
    found = importance(space, trials)
    assert next(iter(found)) == "drop_fraction"
    assert sum(found.values()) == pytest.approx(1)
    assert importance(space, trials[:3]) == {}
