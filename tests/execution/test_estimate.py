import pytest

from suite.core.errors import InvalidInput
from suite.execution import estimate as module
from suite.execution.engines import EngineName, EngineOptions
from suite.execution.estimate import (
    Estimate,
    StepClock,
    check_size,
    estimate,
    estimate_trials,
    kinds_of,
    probe,
    probe_trial,
)
from suite.execution.timings import Timings
from suite.experiments.study import Study
from suite.results.store import Store
from tests.support.sample_records import done, make_trial

TWO = EngineOptions(workers=2)


@pytest.fixture
def timings() -> Timings:
    """Return the times of one fast and one slow method."""
    timings = Timings()
    timings.add(make_trial("static"), 10.0)
    timings.add(make_trial("rigl"), 100.0)
    return timings


def test_the_estimate_is_what_the_trials_take_on_all_workers(timings):
    kinds = [(make_trial("static"), 4), (make_trial("rigl"), 2)]
    assert estimate(kinds, timings, 2) == 120.0
    assert estimate(kinds, timings, 1) == 240.0
    assert estimate(kinds, timings, 50) == 100.0
    assert estimate([], timings, 2) == 0.0


def test_there_is_none_where_nothing_is_known_of_a_task(timings):
    kinds = [(make_trial("static"), 4), (make_trial("rigl", task="mnist/lenet_5"), 1)]
    assert estimate(kinds, timings, 2) is None


def test_endlessly_many_trials_are_counted_not_made(timings):
    assert estimate([(make_trial("rigl"), 10**12)], timings, 2) == 50.0 * 10**12


def test_trials_that_differ_in_the_seed_are_one_kind():
    trials = [make_trial(m, seed=seed) for m in ("static", "rigl") for seed in range(3)]
    assert [(t.method, n) for t, n in kinds_of(trials)] == [("static", 3), ("rigl", 3)]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "how long they take is not known (x)"),
        (1500.0, "about 25 min with 2 workers (without their start), x"),
        (12_240.0, "about 3.4 h with 2 workers (without their start), x"),
    ],
)
def test_an_estimate_is_said_in_words(seconds, words):
    assert str(Estimate(seconds, 2, "x")) == words


def test_the_start_of_the_workers_is_said(monkeypatch, store):
    def probed(missing, timings, options):
        timings.add(missing[0], 1.0)
        return missing[:1], 6.0

    monkeypatch.setattr(module, "probe", probed)
    kinds = [(make_trial("dense", sparsity=0.0), 4), (make_trial("rigl"), 4)]
    found = estimate_trials(kinds, [], store, TWO)
    assert str(found) == (
        "about 10 s with 2 workers (6 s to start), by a probe of dense on digits/mlp (other "
        "methods may take longer)"
    )
    assert str(estimate_trials(kinds[:1], [], store, TWO)).endswith("of dense on digits/mlp")


def test_times_of_other_studies_in_the_store_are_used_without_a_probe(store, monkeypatch):
    monkeypatch.setattr(module, "probe", None)
    other = make_trial("snip", recipe={"epochs": 10})
    store.write(other.key, {"record.json": done(other).to_json()})  # 1.5 s
    kinds = [(make_trial("rigl", recipe={"epochs": 40}), 8)]
    found = estimate_trials(kinds, [], store, TWO)
    assert found.seconds == pytest.approx(4 * 4 * 1.5)
    assert found.source == "by trials in the store"


def test_with_neither_times_nor_a_probe_it_is_said_that_nothing_is_known(store, monkeypatch):
    monkeypatch.setattr(module, "PROBE_SECONDS", 0.0)
    found = estimate_trials([(make_trial("rigl"), 8)], [], store, TWO)
    assert str(found) == "how long they take is not known (a probe timed none)"


# ---------------------------------------------------------------- too many trials


def test_trials_of_which_nothing_is_known_may_be_left_out_and_are_counted(store, monkeypatch):
    monkeypatch.setattr(module, "PROBE_SECONDS", 0.0)
    trial = make_trial("rigl", seed=7)
    store.write(trial.key, {"record.json": done(trial).to_json()})  # in 1.5 s
    other = make_trial("rigl", task="mnist/lenet_5")
    kinds = [(make_trial("rigl"), 4), (other, 2), (make_trial("set", task=other.task), 1)]
    assert estimate_trials(kinds, [], store, TWO).seconds is None
    found = estimate_trials(kinds, [], store, TWO, partly=True)
    assert (found.seconds, found.left_out) == (3.0, 3)
    assert "about 3 s with 2 workers (without their start), but for 3 of which" in str(found)
    assert estimate_trials(kinds[1:], [], store, TWO, partly=True).seconds is None
    assert estimate_trials(kinds[:1], [], store, TWO, partly=True).left_out == 0


def test_too_many_trials_are_refused_with_their_number_and_hours(store):
    trial = make_trial("rigl")
    store.write(trial.key, {"record.json": done(trial).to_json()})
    study = Study.make(
        name="huge", question="?", tasks=["digits/mlp"], methods=["rigl", "static"],
        sparsities=[0.5, 0.9], seeds=1000,
    )  # fmt: skip
    check_size(study, store, TWO, 4000)
    with pytest.raises(InvalidInput) as refused:
        check_size(study, store, TWO, 3999)
    assert str(refused.value) == (
        "study huge has 4,000 trials, more than --max-trials 3,999 (about 50 min with 2 "
        "workers (without their start), by trials in the store): list fewer tasks, methods, "
        "sparsities or seeds, or raise --max-trials"
    )


# ---------------------------------------------------------------- the probe


def test_a_probe_times_steps_and_writes_nothing(trial, monkeypatch, tmp_path):
    monkeypatch.setattr(module, "PROBE_STEPS", 20)
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    long = trial("good", recipe={"epochs": 10_000})
    record = probe_trial(long, Store("memory://probe"), stopping=lambda: False, every="off")
    assert record.timing["seconds"] > 0
    assert Store("memory://probe").keys() == []
    assert sorted(tmp_path.rglob("*")) == before


def test_what_fails_is_not_timed(trial):
    record = probe_trial(trial("raises"), Store("memory://p"), stopping=lambda: False)
    assert record.timing == {}


def test_a_step_counts_as_often_as_there_are_steps(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(module.time, "perf_counter", lambda: now[0])
    clock = StepClock(lambda: False)
    for seconds in (5.0, 1.0, 1.0, 0.5, 0.5, 0.5):  # the first three are a warm-up
        now[0] += seconds
        assert not clock()
    assert clock.in_all(98.0, 103) == pytest.approx(2 + 7 + 100 * 0.5)
    assert StepClock(lambda: True)()
    assert StepClock(lambda: True).in_all(0.0, 100) is None


def test_a_worker_probes_one_trial_of_each_task(trial):
    trials = [trial("good", recipe={"epochs": 500}), trial("raises", recipe={"epochs": 500})]
    timings = Timings()
    timed, start = probe(trials, timings, EngineOptions(EngineName.LOCAL))
    assert timed == trials[:1]
    assert start is not None
    assert start > 0
    assert timings.seconds(trials[1]) == timings.seconds(trials[0])
