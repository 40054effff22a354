import json

import pytest

from suite.cli import list_trials as module
from suite.cli.list_trials import COLUMNS, STATES, metric_text
from suite.core.errors import TrialFailed
from suite.results.record import failed
from suite.results.running_trials import RunningTrial
from suite.results.trial_summaries import TrialSummary
from tests.support.sample_records import done, make_trial


@pytest.fixture
def filled(store):
    for seed, accuracy in enumerate((0.5, 0.9, 0.7)):
        record = done(make_trial("rigl", seed=seed), accuracy)
        store.write(record.key, {"record.json": record.to_json()})
    record = failed(make_trial("static"), TrialFailed("loss is nan"))
    store.write(record.key, {"record.json": record.to_json()})
    return store


def listed(resonance, *words: str) -> list[dict]:
    result = resonance("list trials --json", *words)
    assert result.code == 0, result.err
    return json.loads(result.out)


@pytest.mark.parametrize("column", COLUMNS)
def test_every_column_sorts_and_the_reverse_is_the_other_way_round(resonance, filled, column):
    value, largest_first = COLUMNS[column]
    there = [TrialSummary(**one) for one in listed(resonance, "--sort", column)]
    back = [TrialSummary(**one) for one in listed(resonance, "--sort", column, "--reverse")]
    for found, descending in ((there, largest_first), (back, not largest_first)):
        values = [value(one) for one in found]
        having = [one for one in values if one is not None]
        assert having == sorted(having, reverse=descending)
        assert values == having + [None] * (len(values) - len(having))
    assert {one.key for one in there} == {one.key for one in back}


def test_a_trial_that_is_running_is_listed_as_such(resonance, filled, monkeypatch):
    again, new = make_trial("static"), make_trial("set", seed=8)
    running = [
        RunningTrial(t.key, t.task, t.method, t.sparsity, t.seed, 3, 10, 0.5, 1.0)
        for t in (again, new)
    ]
    monkeypatch.setattr(module, "running_trials", lambda store: running)
    found = {one["key"]: one for one in listed(resonance, "--status", "running")}
    assert found.keys() == {again.key, new.key}
    assert (found[new.key]["method"], found[new.key]["seed"]) == ("set", 8)


def test_a_metric_that_is_not_test_accuracy_is_named():
    assert metric_text(TrialSummary("k", "done", metric="test_accuracy", value=0.5)) == "50.00 %"
    shown = metric_text(TrialSummary("k", "done", metric="validation_accuracy", value=0.5))
    assert shown == "50.00 % validation accuracy"
    assert metric_text(TrialSummary("k", "done", metric="own_score", value=2.0)) == "2 own score"
    assert metric_text(TrialSummary("k", "failed")) == ""


def test_the_help_names_every_status(resonance):
    text = resonance("list --help").out
    assert all(state in text for state in STATES)
