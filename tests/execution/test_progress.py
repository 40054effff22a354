from typing import Any

import pytest

from suite.execution.plan import Overwrite, Schedule, schedule
from suite.execution.progress import Display, Progress, outcome, shown
from suite.experiments.trial_config import Trial
from suite.results.record import Record, failed
from suite.results.running_file import RunningFile
from suite.results.store import Store
from tests.support.sample_records import done, make_trial

RIGL = [make_trial("rigl", seed=seed) for seed in range(4)]
STATIC = [make_trial("static", seed=seed) for seed in range(4)]


class Clock:
    """Gives the time that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def plan(trials: list[Trial]) -> Schedule:
    return Schedule([], [], trials)


def took(trial: Trial, seconds: float) -> Record:
    record = done(trial, accuracy=0.9583)
    return record.model_copy(update={"timing": record.timing | {"seconds": seconds}})


def report(store: Store, trial: Trial, **progress: Any) -> None:
    """Let a trial report that it has done some of its 200 steps."""
    file = RunningFile(store.root, trial.key)
    about = {name: getattr(trial, name) for name in ("task", "method", "sparsity", "seed")}
    file.begin(
        key=trial.key, title=trial.describe(), steps=200, started=0.0, configuration={}, **about
    )
    file.add(**{"loss": None} | progress)


# ---------------------------------------------------------------- the time that is left


def left(progress: Progress) -> float | None:
    return progress.seconds_left(progress.running())


def test_nothing_is_said_of_the_time_left_before_anything_is_known(store, clock):
    progress = Progress(store, clock=clock)
    progress.planned(plan(RIGL))
    assert left(progress) is None
    progress.started(RIGL[0])
    clock.now += 5
    assert left(progress) is None


def test_the_time_left_is_weighted_by_kind_and_workers(store, clock):
    """Of four slow trials and four fast ones, two slow ones are done: a mean would be far off."""
    progress = Progress(store, clock=clock)
    progress.planned(plan([*RIGL, *STATIC]))
    for trial in RIGL[:2]:
        progress.started(trial)
    clock.now += 100
    for trial in RIGL[:2]:
        progress.finished(trial, took(trial, 100))
    for trial in RIGL[2:]:
        progress.started(trial)
    report(store, STATIC[0], step=0, seconds=0.0)  # not one of ours yet
    # The static ones are taken for as long as the rigl ones, until one has ended.
    assert left(progress) == pytest.approx(100 + 200)
    clock.now += 100
    progress.finished(RIGL[2], took(RIGL[2], 100))
    progress.started(STATIC[0])
    clock.now += 10
    progress.finished(STATIC[0], took(STATIC[0], 10))
    progress.started(STATIC[1])
    # RIGL[3] should end now; two more of 10 s wait behind STATIC[1] on two workers.
    assert left(progress) == pytest.approx(20)


def test_what_a_trial_costs_beyond_its_own_seconds_counts(store, clock):
    progress = Progress(store, clock=clock)
    progress.planned(plan(RIGL))
    progress.started(RIGL[0])
    clock.now += 12
    progress.finished(RIGL[0], took(RIGL[0], 10))
    assert left(progress) == pytest.approx(3 * 12)


def test_running_trials_are_a_guide_while_none_has_finished(store, clock):
    progress = Progress(store, clock=clock)
    progress.planned(plan(RIGL[:3]))
    progress.started(RIGL[0])
    report(store, RIGL[0], step=50, seconds=25.0)
    clock.now += 30
    assert left(progress) == pytest.approx(75 + 100 + 100)


def test_a_trial_that_is_well_on_its_way_is_judged_by_its_own_speed(store, clock):
    progress = Progress(store, clock=clock)
    progress.planned(plan(RIGL[:1]))
    progress._timings.add(RIGL[1], 10)
    progress.started(RIGL[0])
    report(store, RIGL[0], step=100, seconds=50.0)
    assert left(progress) == pytest.approx(50)


def test_times_of_trials_that_are_done_in_the_store_are_used(store, clock):
    for trial in RIGL[:3]:
        store.write(trial.key, {"record.json": took(trial, 7.0).to_json()})
    progress = Progress(store, clock=clock)
    progress.planned(schedule(RIGL, store, Overwrite.FAILED))
    assert progress.total == 1
    assert left(progress) == pytest.approx(7)


def test_configurations_of_a_tuning_are_counted_one_by_one(store, clock):
    progress = Progress(store, 10, "configurations", clock)
    progress.planned(plan(RIGL))
    progress.started(RIGL[0])
    progress.finished(RIGL[0], took(RIGL[0], 1))
    assert (progress.done, progress.total) == (0, 10)
    progress.advance(2)  # of an earlier run
    clock.now += 20
    progress.advance(4.5)
    assert left(progress) == pytest.approx(5.5 * 20 / 2.5)
    assert progress.count == "4.5/10"


def test_a_trial_that_is_retried_or_pruned_no_longer_runs(store, clock):
    progress = Progress(store, clock=clock)
    progress.planned(plan(RIGL))
    progress.started(RIGL[0])
    progress.dropped(RIGL[0])
    assert progress.running() == []
    assert progress.count == "0/4"


def test_a_failed_trial_teaches_nothing_about_time(store, clock):
    progress = Progress(store, clock=clock)
    progress.planned(plan(RIGL))
    progress.started(RIGL[0])
    progress.finished(RIGL[0], failed(RIGL[0], ValueError("x")))
    assert (progress.done, progress.failed) == (1, 1)
    assert left(progress) is None


# ---------------------------------------------------------------- lines of a log


@pytest.fixture
def display(store, clock) -> Display:
    """Return the display of four trials in a log."""
    display = Display("s", Progress(store, clock=clock), None, log=True, clock=clock)
    display.planned(plan(RIGL))
    return display


def test_a_log_has_a_line_for_each_finished_trial(display, capsys):
    for trial, record in zip(
        RIGL, (took(RIGL[0], 12.34), failed(RIGL[1], ValueError("x"))), strict=False
    ):
        display.started(trial)
        display.finished(trial, record)
    assert capsys.readouterr().out.splitlines() == [
        "[1/4] digits/mlp rigl s=0.9 seed=0: test accuracy 95.83 %, 12.3 s",
        "[2/4] digits/mlp rigl s=0.9 seed=1: failed",
    ]


def test_a_log_has_a_line_every_30_seconds(display, store, clock, capsys):
    display.refresh()
    assert capsys.readouterr().out == ""
    clock.now += 30
    display.refresh()
    display.refresh()
    assert capsys.readouterr().out == "[0/4] preparing, time left unknown\n"
    display.started(RIGL[0])
    report(store, RIGL[0], step=50, seconds=25.0, loss=0.12345)
    clock.now += 29
    display.refresh()
    assert capsys.readouterr().out == ""
    clock.now += 1
    display.refresh()
    assert capsys.readouterr().out == (
        "[0/4] 1 running, about 6 min left: digits/mlp rigl s=0.9 seed=0, step 50/200, "
        "loss 0.1235\n"
    )
    display.started(RIGL[1])
    display.finished(RIGL[0], took(RIGL[0], 100))
    capsys.readouterr()
    clock.now += 30
    display.refresh()
    assert capsys.readouterr().out == "[1/4] 1 running, about 3 min left: " + (
        "digits/mlp rigl s=0.9 seed=1, starting (30 s)\n"
    )


# ---------------------------------------------------------------- in a terminal


def test_a_terminal_shows_a_bar_and_what_runs(store, clock):
    frames: list[Any] = []
    show = lambda *frame: frames.append(frame)  # noqa: E731
    display = Display("mine", Progress(store, clock=clock), show, log=False, clock=clock)
    display.planned(plan(RIGL))
    for trial in RIGL[:2]:
        display.started(trial)
    report(store, RIGL[0], step=100, seconds=25.0, loss=0.5)
    clock.now += 30
    display.refresh()
    assert frames[-1] == (
        "mine",
        0.125,
        "0/4 trials, about 1 min left",
        [
            "digits/mlp rigl s=0.9 seed=0  step 100/200, loss 0.5",
            "digits/mlp rigl s=0.9 seed=1  starting (30 s)",
        ],
    )
    display.finished(RIGL[1], failed(RIGL[1], ValueError("x")))
    assert frames[-1][2] == "1/4 trials, 1 failed, about 1 min left"
    assert len(frames[-1][3]) == 1


def test_what_is_not_to_be_seen_is_not_shown(store, capsys):
    with shown("s", store, visible=False) as display:
        display.planned(plan(RIGL))
        display.started(RIGL[0])
        display.finished(RIGL[0], took(RIGL[0], 1))
    assert capsys.readouterr() == ("", "")


# ---------------------------------------------------------------- results


def test_a_result_is_what_its_task_ranks_by():
    record = took(make_trial(), 1)
    ranked = record.model_copy(
        update={"metric": "rmse", "metrics": record.metrics | {"test_rmse": 1.25}}
    )
    assert outcome(ranked).startswith("test RMSE (in the target's unit) 1.25")


def test_a_result_is_the_accuracy_of_the_split_that_it_is_evaluated_on():
    validation = make_trial("rigl", evaluate="validation")
    assert outcome(took(validation, 1)) == "validation accuracy 95.83 %, 1.0 s"
    other = done(RIGL[0]).model_copy(update={"metrics": {"test_r2": 0.81234}})
    assert outcome(other) == "test r2 0.8123, 1.5 s"
