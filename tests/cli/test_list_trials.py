import json
import re
import subprocess
import sys

import pytest

from leaderboard.boards import build_boards
from leaderboard.terms import uncounted
from suite import load_results
from suite.cli import list_trials as module
from suite.cli.list_trials import COLUMNS, STATES, metric_text
from suite.core.errors import TrialFailed
from suite.experiments import registry
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


OLDER = {
    "task_revision": 0,
    "dataset_revision": 0,
    "method_revision": None,
    "task_digest": "0" * 12,
}


@pytest.mark.parametrize("name", OLDER)
def test_a_trial_of_an_older_version_is_marked_with_the_words_of_the_boards(resonance, store, name):
    older, current = done(make_trial(seed=0)), done(make_trial(seed=1))
    older.configuration[name] = OLDER[name]
    for record in (older, current):
        store.write(record.key, {"record.json": record.to_json()})
    _, (excluded,) = build_boards([older, current])
    found = {one["key"]: one["out_of_date"] for one in listed(resonance)}
    assert found == {older.key: excluded.reason, current.key: ""}
    rows = dict(line.split("\t")[::5][:2] for line in resonance("list trials").out.splitlines())
    assert (rows[older.key], rows[current.key]) == ("done, out of date", "done")
    shown = resonance("show", older.key).out
    assert re.search(f"^  out of date +{re.escape(excluded.reason)}$", shown, re.MULTILINE)
    assert "out of date" not in resonance("show", current.key).out


METHOD = """
from suite.core.declarations import Method
METHOD = Method("mine", "here", title="Mine", summary="s", implementation="Mine", family="f")
VERSION = {}
"""


@pytest.fixture
def edited(place, store, resonance):
    """Return the file of a method, and the keys of trials of its versions 1 and 2."""
    file, keys = place / "mine.py", []
    for version in (1, 2):
        file.write_text(METHOD.format(version))
        registry.use_plugins([str(file)])
        record = failed(make_trial("mine"), TrialFailed("loss is nan"))
        record.timing |= {"started": f"2025-01-0{version}T00:00:00+00:00", "seconds": 1.0}
        store.write(record.key, {"record.json": record.to_json()})
        keys.append(record.key)
    return file, *keys


@pytest.mark.parametrize("installed", [True, False])
def test_a_trial_of_code_that_was_edited_since_is_marked(resonance, edited, monkeypatch, installed):
    file, older, newest = edited
    if not installed:  # then the newest is that of the trial that ended last
        monkeypatch.setattr(registry, "_plugins", [])
        registry.refresh()
    found = {one["key"]: one["out_of_date"] for one in listed(resonance)}
    frame = load_results(everything=True)
    left_out = {key: why or "" for key, why in frame.select("key", "left_out").iter_rows()}
    assert left_out[newest] == ""
    # Boards leave it out for more than its age: it failed, and newer code has run there.
    assert re.match(r"it failed with older code \(.*\), and newer code has run", left_out[older])
    assert found[older].startswith("its code is older (")
    assert found[newest] == ""
    assert "failed, out of date" in resonance("list trials").out
    file.unlink()


def test_a_plug_in_that_cannot_be_read_hides_no_trial(resonance, filled, place):
    (place / "bad.py").write_text("METHOD = (\n")
    result = resonance("--plugin bad.py list trials")
    assert result.code == 0
    assert len(result.out.splitlines()) == 5
    (line,) = result.err.splitlines()
    assert line.startswith("which trials are out of date is not known: ")
    assert "bad.py cannot be read as Python" in line


def test_listing_imports_neither_torch_nor_polars(filled):
    code = (
        "import sys; from suite.cli.list_trials import TrialFilter, listed_trials; "
        "from suite.results.store import Store; "
        "print(len(listed_trials(Store(sys.argv[1]), TrialFilter(), 'key', None))); "
        "print([name for name in ('torch', 'polars', 'numpy', 'scipy') if name in sys.modules])"
    )
    words = [sys.executable, "-c", code, str(filled.root)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["4", "[]"]


def test_a_metric_that_is_not_test_accuracy_is_named():
    assert metric_text(TrialSummary("k", "done", metric="test_accuracy", value=0.5)) == "50.00 %"
    shown = metric_text(TrialSummary("k", "done", metric="validation_accuracy", value=0.5))
    assert shown == "50.00 % validation accuracy"
    assert metric_text(TrialSummary("k", "done", metric="own_score", value=2.0)) == "2 own score"
    assert metric_text(TrialSummary("k", "failed")) == ""


def test_the_help_names_every_status(resonance):
    text = resonance("list --help").out
    assert all(state in text for state in STATES)


def test_a_trial_that_is_no_result_has_the_mark_of_the_boards(resonance, store):
    idle, good = done(make_trial("rigl", seed=0)), done(make_trial("rigl", seed=1))
    reason = "no update falls into these 9 steps"
    idle = idle.model_copy(update={"no_update": reason})
    over = done(make_trial("rigl", seed=2, recipe={"flops_budget": 1.0}), training=200.0)
    over.flops["dense_training"] = 100.0
    within = done(make_trial("rigl", seed=3, recipe={"flops_budget": 1.0}))
    within.flops["dense_training"] = 100.0
    records = (idle, good, over, within)
    for record in records:
        store.write(record.key, {"record.json": record.to_json()})
    rows = dict(line.split("\t")[::5][:2] for line in resonance("list trials").out.splitlines())
    assert [rows[record.key] for record in records] == [
        "done, no update", "done", "done, off budget", "done",
    ]  # fmt: skip
    found = {one["key"]: one for one in listed(resonance)}
    assert found[idle.key]["no_update"] == uncounted(idle) == reason
    assert found[over.key]["off_budget"] == uncounted(over) != ""
    shown = [line.split() for line in resonance("show", idle.key).out.splitlines()]
    assert ["not", "counted", *reason.split()] in shown
