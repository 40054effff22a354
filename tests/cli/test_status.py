import json
from pathlib import Path

import pytest

from suite.cli import status as command
from suite.cli.status import MAX_SHOWN, StudyStatus, study_status
from suite.core.errors import TrialFailed
from suite.experiments.study import load_study
from suite.results.record import failed
from suite.results.store import Store
from tests.support import forked
from tests.support.sample_records import done, make_trial

STUDY = """
name: three
question: How far?
tasks: [digits/mlp]
methods: [static]
sparsities: [0.8]
seeds: 3
"""


@pytest.fixture
def trials(place):
    (place / "three.yaml").write_text(STUDY)
    return load_study("three.yaml").trials()


def finish(store: Store, trial) -> None:
    store.write(trial.key, {"record.json": done(trial).to_json()})


def fail(store: Store, trial) -> None:
    record = failed(trial, TrialFailed("loss is nan"))
    store.write(trial.key, {"record.json": record.to_json()})


def test_a_study_in_progress_is_counted(resonance, store, trials):
    finish(store, trials[0])
    fail(store, trials[1])
    lines = resonance("status three.yaml").out.splitlines()
    assert lines[0] == "study three.yaml: 1 done, 1 failed, 1 to run"
    assert lines[1].endswith("seed=1: loss is nan")
    assert resonance("status").out.splitlines()[0] == "store results: 1 done, 1 failed"
    data = json.loads(resonance("status three.yaml --json").out)
    assert (data["done"], data["failed"], data["missing"]) == (1, 1, 1)


def test_trials_that_are_no_results_are_counted_apart(resonance, store, trials):
    finish(store, trials[0])
    reason = "no update falls into these 9 steps"
    idle = done(trials[1]).model_copy(update={"no_update": reason})
    over = done(make_trial("rigl", seed=2, recipe={"flops_budget": 1.0}), training=200.0)
    over.flops["dense_training"] = 100.0
    for record in (idle, over):
        store.write(record.key, {"record.json": record.to_json()})
    assert resonance("status").out == (
        "store results: 3 done (1 no update, 1 off budget), 0 failed\n"
    )
    line = resonance("status three.yaml").out.splitlines()[0]
    assert line == "study three.yaml: 2 done (1 no update), 0 failed, 1 to run"
    data = json.loads(resonance("status --json").out)
    assert (data["done"], data["no_update"], data["off_budget"]) == (3, 1, 1)


def test_watching_a_study_shows_what_changes_and_ends_with_it(
    resonance, store, trials, monkeypatch
):
    """Between two looks a trial ends, then nothing happens, and so on."""
    slept: list[float] = []

    def work(seconds: float) -> None:
        if len(slept) % 2 == 0:
            number = len(slept) // 2
            (fail if number == 1 else finish)(store, trials[number])
        slept.append(seconds)

    monkeypatch.setattr(command, "sleep", work)
    result = resonance("status three.yaml --watch --every 0.3")
    assert result.code == 0
    heads = [line for line in result.out.splitlines() if line.startswith("study")]
    assert [head.partition(": ")[2] for head in heads] == [
        "0 done, 0 failed, 3 to run",
        "1 done, 0 failed, 2 to run",
        "1 done, 1 failed, 1 to run",
        "2 done, 1 failed, 0 to run",
    ]  # only what changed
    assert slept == [0.3] * 5


def test_watching_as_json_is_one_line_of_data_for_each_change(resonance, store, trials):
    for trial in trials:
        finish(store, trial)
    (line,) = resonance("status three.yaml --watch --json").out.splitlines()
    assert json.loads(line)["done"] == 3


def test_watching_a_store_goes_on_until_it_is_stopped(store, trials):
    finish(store, trials[0])
    process = forked.start(["status", "--watch", "--every", "0.1"], cwd=Path.cwd(), text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == b"store results: 1 done, 0 failed\n"
    finish(store, trials[1])
    assert process.stdout.readline() == b"store results: 2 done, 0 failed\n"
    process.send_signal(2)  # Ctrl-C
    out, err = process.communicate(timeout=300)
    assert (process.returncode, out, err) == (0, "", "")


def test_a_terminal_is_shown_so_many_failures_and_how_many_more(store, trials):
    record = failed(trials[0], TrialFailed("loss is nan"))
    many = StudyStatus("study x", 0, [record] * (MAX_SHOWN + 5), 0)
    lines = list(many.lines(MAX_SHOWN))
    assert len(lines) == 1 + MAX_SHOWN + 1
    assert lines[-1].strip().startswith("and 5 more")
    assert len(list(many.lines())) == 1 + MAX_SHOWN + 5


def test_a_store_alone_is_never_over(store):
    assert not study_status(store, None, None).over


def test_a_damaged_record_is_listed_and_hides_no_other(resonance, store, trials):
    finish(store, trials[0])
    finish(store, trials[1])
    path = store.folder(trials[0].key) / "record.json"
    path.write_bytes(path.read_bytes()[:300])
    lines = resonance("status").out.splitlines()
    assert lines[0] == "store results: 1 done, 0 failed, 1 damaged"
    assert trials[0].key in lines[1]
    (damaged,) = json.loads(resonance("status --json").out)["damaged"]
    assert damaged["key"] == trials[0].key


def test_a_group_has_a_line_for_each_study(resonance, store, trials, place):
    (place / "one.yaml").write_text(STUDY.replace("three", "one").replace("seeds: 3", "seeds: 1"))
    (place / "group.yaml").write_text(
        "name: both\nquestion: Both?\nstudies: [three.yaml, one.yaml]\n"
    )
    finish(store, trials[0])
    fail(store, trials[1])
    lines = resonance("status group.yaml").out.splitlines()
    assert [line for line in lines if line.startswith("study")] == [
        "study three: 1 done, 1 failed, 1 to run",
        "study one: 1 done, 0 failed, 0 to run",
    ]
    assert lines[1].endswith("seed=1: loss is nan")
    data = json.loads(resonance("status group.yaml --json").out)
    assert (data["group"], data["store"]) == ("both", "results")
    each = [(s["study"], s["done"], s["failed"], s["missing"]) for s in data["studies"]]
    assert each == [("three", 1, 1, 1), ("one", 1, 0, 0)]
    finish(store, trials[2])
    watched = resonance("status group.yaml --watch")  # it ends, as nothing is left to run
    assert "study three: 2 done, 1 failed, 0 to run" in watched.out
