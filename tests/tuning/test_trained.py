"""What trainings came to, and what they cost."""

import pytest

from suite.core.errors import InvalidInput
from suite.execution.runner import execute
from suite.training.epoch_bounds import EpochBounds
from suite.tuning.trained import Trained, agreed_bounds, cell_of, count_epochs, epoch_scores
from tests.support.sample_records import done, make_trial


def test_a_share_counts_epochs_of_all_seeds():
    rungs = [[make_trial(seed=seed, recipe={"epochs": 4})] for seed in (1000, 1001)]
    assert Trained(rungs).share(0) == 0.5
    stopped = Trained(rungs, curves={cell_of(rungs[0][0]): [0.1]})
    assert stopped.share(0) == 1 / 8
    later = {cell_of(rungs[0][0]): [0.1] * 4, cell_of(rungs[1][0]): [0.2, 0.4]}
    both = Trained(rungs, curves=later)
    assert both.share(1) == 6 / 8
    assert both.mean_curve() == pytest.approx([0.15, 0.25, 0.1, 0.1])


def test_a_single_round_has_the_epochs_of_the_recipe():
    assert count_epochs(make_trial(recipe={"epochs": 3})) == 3


@pytest.mark.parametrize("rewind_step", [0, 5, 25])
def test_the_epochs_of_a_lottery_ticket_are_those_it_validates(store, rewind_step):
    ticket = make_trial(
        "lottery_ticket", sparsity=0.5, recipe={"epochs": 2}, evaluate="validation",
        hyperparameters={"rate": 0.3, "rewind_step": rewind_step},
    )  # fmt: skip
    record = execute(ticket, store)
    assert record.status == "done", record.error
    scores = epoch_scores(store, record)
    assert len(scores) == count_epochs(ticket) > 3
    assert scores[-1] == record.metrics["validation_accuracy"]


def test_a_training_that_two_share_under_other_bounds_has_none():
    low, high = EpochBounds((0.1,), best=True), EpochBounds((0.2,), best=True)
    assert agreed_bounds([{"a": low, "b": low}, {"b": low}]) == {"a": low, "b": low}
    assert agreed_bounds([{"a": low, "b": low}, {"b": high}, {"b": low}]) == {"a": low}


def test_curves_that_are_missing_are_named(store):
    trial = make_trial()
    store.write(trial.key, {"record.json": done(trial).to_json()})
    with pytest.raises(InvalidInput, match=r"curves\.parquet cannot be read"):
        epoch_scores(store, store.read(trial.key))
