import pytest

from suite.execution.timings import Timings, finish_time, in_words
from suite.training import forecast_cache
from suite.training.planned_steps import planned_steps
from tests.support.sample_records import make_trial


def test_trials_that_differ_in_the_seed_are_the_best_guide():
    timings = Timings()
    for seed, seconds in enumerate((10.0, 11.0, 90.0)):
        timings.add(make_trial(method="rigl", seed=seed), seconds)
    timings.add(make_trial(method="rigl", hyperparameters={"update_every": 9}), 500.0)
    assert timings.seconds(make_trial(method="rigl", seed=7)) == 11.0


def test_else_the_same_method_on_the_task_in_proportion_to_the_steps():
    timings = Timings()
    timings.add(make_trial(method="rigl", recipe={"epochs": 2}), 10.0)
    timings.add(make_trial(method="static", recipe={"epochs": 2}), 4.0)
    longer = {"recipe": {"epochs": 6}}
    assert timings.seconds(make_trial(method="rigl", **longer)) == pytest.approx(30.0)
    assert timings.seconds(make_trial(method="static", **longer)) == pytest.approx(12.0)
    assert timings.seconds(make_trial(method="set", **longer)) == pytest.approx(21.0)


def test_under_a_budget_steps_are_compared_where_a_forecast_is_remembered(tmp_path, monkeypatch):
    monkeypatch.setenv("RESONANCE_CACHE", str(tmp_path))
    monkeypatch.setattr(forecast_cache, "_known", {})
    timings = Timings()
    short, long, unknown = (
        make_trial(method="rigl", recipe={"flops_budget": budget}) for budget in (0.1, 0.2, 0.3)
    )
    steps = [planned_steps(of) for of in (short, long)]
    timings.add(short, 10.0)
    assert timings.seconds(long) == pytest.approx(10.0 * steps[1] / steps[0])
    assert timings.seconds(unknown) is None
    timings.add(unknown, 4.0)
    assert timings.seconds(unknown) == 4.0


@pytest.mark.parametrize(
    "other", [{"task": "mnist/lenet_300_100"}, {"threads": 2}, {"execution": "csr"}]
)
def test_what_runs_otherwise_is_no_guide(other):
    timings = Timings()
    timings.add(make_trial(method="rigl"), 10.0)
    assert timings.seconds(make_trial(**{"method": "rigl"} | other)) is None


@pytest.mark.parametrize(
    ("running", "waiting", "workers", "seconds"),
    [
        ([], [], 2, 0.0),
        ([5.0], [], 2, 5.0),
        ([-3.0, 2.0], [], 2, 2.0),
        ([], [4.0, 4.0, 4.0], 2, 8.0),
        ([10.0], [1.0, 1.0, 1.0], 2, 10.0),  # the others end beside the long one
        ([1.0, 1.0], [10.0], 2, 11.0),
        ([], [1.0, 1.0, 6.0], 2, 7.0),  # a long one at the end has a worker for itself
    ],
)
def test_each_worker_takes_the_next_that_waits(running, waiting, workers, seconds):
    assert finish_time(running, waiting, workers) == seconds


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "1 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (3569, "59 min"),
        (3571, "1.0 h"),
        (12_240, "3.4 h"),
        (19_080_000, "5,300 h"),
    ],
)
def test_a_duration_is_said_in_its_unit(seconds, words):
    assert in_words(seconds) == words
