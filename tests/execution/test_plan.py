import pytest

from suite.core.errors import InvalidInput
from suite.execution.plan import Overwrite, preflight, schedule, schedule_by_key
from suite.experiments.trial_config import Trial
from suite.results.record import failed
from suite.results.store import Store
from tests.support.sample_records import done, make_trial

DONE, FAILED, NEW = (make_trial(seed=seed) for seed in range(3))


@pytest.fixture
def used(store) -> Store:
    """Return a store that has one finished trial and one that failed."""
    store.write(DONE.key, {"record.json": done(DONE).to_json()})
    store.write(FAILED.key, {"record.json": failed(FAILED, ValueError("bad")).to_json()})
    return store


@pytest.mark.parametrize(
    ("overwrite", "skipped", "to_run"),
    [
        (Overwrite.NEVER, [DONE], [NEW]),
        (Overwrite.FAILED, [DONE], [FAILED, NEW]),
        (Overwrite.ALWAYS, [], [DONE, FAILED, NEW]),
    ],
)
def test_each_overwrite_policy_runs_what_it_says(used, overwrite, skipped, to_run):
    plan = schedule([DONE, FAILED, NEW], used, overwrite)
    assert plan.done == skipped
    assert plan.failed == [FAILED]
    assert plan.to_run == to_run


@pytest.mark.parametrize("overwrite", list(Overwrite))
def test_a_failed_trial_is_never_served_as_done(used, overwrite):
    assert FAILED not in schedule([DONE, FAILED, NEW], used, overwrite).done


def test_trials_are_run_in_the_order_of_the_study(used):
    assert schedule([NEW, DONE, FAILED], used, Overwrite.ALWAYS).to_run == [NEW, DONE, FAILED]


def test_another_setting_is_another_trial(used):
    changed = make_trial(seed=DONE.seed, recipe={"epochs": 3})
    assert schedule([changed], used, Overwrite.FAILED).to_run == [changed]


@pytest.mark.parametrize("part", ["hyperparameters", "recipe"])
def test_a_result_made_under_another_default_is_not_served_as_done(store, part):
    record = done(DONE)
    name = next(iter(record.configuration[part]))
    record.configuration[part][name] = "as it was"
    store.write(DONE.key, {"record.json": record.to_json()})
    assert schedule([DONE], store, Overwrite.FAILED).to_run == [DONE]


def test_a_result_stays_when_an_option_is_added(store):
    record = done(DONE)
    del record.configuration["recipe"]["warmup"]
    store.write(DONE.key, {"record.json": record.to_json()})
    assert schedule([DONE], store, Overwrite.FAILED).done == [DONE]


@pytest.mark.parametrize(
    ("overwrite", "words"),
    [
        (Overwrite.NEVER, "1 done · 1 to run · 1 failed before"),
        (Overwrite.FAILED, "1 done · 2 to run · 1 failed before, 1 again"),
        (Overwrite.ALWAYS, "0 done · 3 to run · 1 failed before, 1 again"),
    ],
)
def test_a_plan_is_said_in_words(used, overwrite, words):
    assert str(schedule([DONE, FAILED, NEW], used, overwrite)) == words


def test_a_plan_without_failures_does_not_speak_of_them(store):
    assert str(schedule([NEW], store, Overwrite.FAILED)) == "0 done · 1 to run"


def test_a_damaged_record_is_not_taken_for_a_missing_one(used):
    used.folder(NEW.key).mkdir()
    (used.folder(NEW.key) / "record.json").write_bytes(b"{")
    plan = schedule([NEW], used, Overwrite.FAILED)
    ((trial, reason),) = plan.damaged
    assert (trial, plan.to_run, plan.trials) == (NEW, [], [NEW])
    assert "delete its folder" in reason
    assert str(plan) == "0 done · 0 to run · 1 damaged"
    assert schedule([NEW], used, Overwrite.ALWAYS).to_run == [NEW]


# ---------------------------------------------------------------- preflight


def test_trials_that_can_run_pass(trial):
    preflight([trial("good"), trial("good", seed=1), trial("raises")])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"method": "resonance"}, "window=32 gradients"),
        ({"method": "resonance", "hyperparameters": {"window": 9}}, "window=9 must be even"),
        ({"method": "lottery_ticket", "hyperparameters": {"rewind_step": 8}}, "rewind_step=8"),
        ({"method": "magnitude", "hyperparameters": {"prune_start": 0.9}}, "prune_end=0.75"),
        ({"recipe": {"batch_size": 33}}, "batch_size=33 leaves no whole batch of 32"),
        ({"task": "promised/mlp"}, "dataset promised: inputs of shape"),
        ({"method": "static", "hyperparameters": {"dense_layers": "x"}}, "'x' matches no layer"),
    ],
)
def test_what_would_fail_is_refused_before_anything_runs(trial, change, words):
    good = trial("good")
    bad: Trial = trial(**{"method": "good"} | change)
    with pytest.raises(InvalidInput) as refused:
        preflight([good, bad])
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_same_trial_under_many_seeds_is_checked_once(trial, monkeypatch):
    import suite.training.trial as training

    checked: list[Trial] = []
    monkeypatch.setattr(training, "prepare", lambda context: checked.append(context.trial))
    preflight([trial("good", seed=seed) for seed in range(5)] + [trial("good", sparsity=0.8)])
    assert [t.sparsity for t in checked] == [0.5, 0.8]


# ------------------------------------------------------------------ several studies


@pytest.mark.parametrize("overwrite", list(Overwrite))
def test_what_has_just_run_is_not_run_again(used, overwrite):
    trials = {trial.key: trial for trial in (DONE, FAILED, NEW)}
    plan = schedule_by_key(trials, used, overwrite, {DONE.key, FAILED.key, NEW.key})
    assert (plan.done, plan.failed) == ([DONE], [FAILED])
    assert plan.to_run == [NEW], "it has no record"


def test_a_part_of_a_schedule_has_what_the_whole_has_of_its_trials(used):
    damaged = make_trial(seed=3)
    used.write(damaged.key, {"record.json": done(damaged).to_json()})
    (used.folder(damaged.key) / "record.json").write_bytes(b"{")
    trials = {trial.key: trial for trial in (DONE, FAILED, NEW, damaged)}
    whole = schedule_by_key(trials, used, Overwrite.FAILED)
    assert whole.part(trials) == whole
    for some in ((DONE, NEW), (FAILED,), (damaged, DONE)):
        by_key = {trial.key: trial for trial in some}
        assert whole.part(by_key) == schedule_by_key(by_key, used, Overwrite.FAILED)
