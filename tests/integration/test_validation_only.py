"""Trials of a tuner's search: validated, never tested."""

import pytest

from leaderboard.boards import build_boards
from suite.core.errors import InvalidInput
from suite.experiments.trial_config import Trial
from suite.training import final_metrics
from suite.training import trial as training
from suite.training.context import TrialContext
from suite.training.setup import prepare
from tests.support.helpers import trial


def test_the_test_split_is_not_evaluated_and_training_is_the_same(monkeypatch):
    tested = training.run_trial(trial("rigl", recipe={"epochs": 1}))
    seen = []
    evaluate = final_metrics.evaluate
    monkeypatch.setattr(
        final_metrics, "evaluate", lambda m, split: seen.append(len(split)) or evaluate(m, split)
    )
    searched = training.run_trial(trial("rigl", recipe={"epochs": 1}, evaluate="validation"))
    assert seen == [searched.record.data["validation"]]
    assert not [name for name in searched.record.metrics if name.startswith("test_")]
    assert searched.record.digests == tested.record.digests
    name = "validation_accuracy"
    assert searched.record.metrics[name] == tested.record.metrics[name]
    assert "model.safetensors" not in searched.files()
    assert build_boards([searched.record]) == ([], [])


def test_the_split_that_is_evaluated_is_in_the_key_and_in_the_command():
    tested, searched = trial("rigl"), trial("rigl", evaluate="validation")
    assert tested.key != searched.key
    assert "evaluate" not in tested.model_dump()
    assert searched.command().endswith("--evaluate validation")
    assert Trial.make(**searched.model_dump()) == searched


def test_without_a_validation_split_there_is_nothing_to_look_at():
    with pytest.raises(InvalidInput, match="validation=0 leaves no validation split"):
        prepare(TrialContext.of(trial("rigl", recipe={"validation": 0.0}, evaluate="validation")))
