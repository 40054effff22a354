"""A training that its recipe ends within an epoch."""

import pytest

from suite.core.errors import TrialPruned
from suite.execution.runner import execute
from suite.training.epoch_bounds import EpochBounds
from suite.training.planned_steps import planned_steps
from suite.training.verify_record import recompute
from suite.tuning.trained import count_epochs, epoch_scores
from tests.support.helpers import first_quick, trained, trial
from tests.training.test_checkpoint import assert_same, interrupted

CUT = {"epochs": 3, "max_steps": 100, "schedule": "constant"}
"""Two and a half epochs of 40 steps."""


def scored(outcome, series: str) -> dict[int, float]:
    return {row[1]: row[-1] for row in outcome.curves.rows if row[2] == series and not row[3]}


def test_the_last_epoch_is_cut_short_and_what_was_before_it_is_the_same():
    cut = trained(trial("dense", recipe=CUT))
    whole = trained(trial("dense", recipe={"epochs": 3, "schedule": "constant"}))
    losses, all_losses = scored(cut, "train_loss"), scored(whole, "train_loss")
    assert list(losses) == [40, 80, 100]
    assert list(all_losses) == [40, 80, 120]
    assert [losses[step] for step in (40, 80)] == [all_losses[step] for step in (40, 80)]
    assert list(scored(cut, "validation_accuracy")) == [40, 80, 100]
    flops = cut.record.flops["training"]
    assert flops == pytest.approx(whole.record.flops["training"] * 100 / 120)
    assert recompute(cut.record).problems == []
    assert recompute(cut.record).steps == planned_steps(cut.trial) == 100


@pytest.mark.parametrize("method", first_quick(["rigl", "lottery_ticket", "set", "magnitude"]))
def test_a_training_that_is_cut_short_goes_on_bit_identical(method):
    sparsity = 0.36 if method == "lottery_ticket" else 0.9
    given = {"rewind_step": 17} if method == "lottery_ticket" else {}
    of = trial(method, sparsity=sparsity, recipe=CUT, hyperparameters=given)
    assert_same(trained(of), interrupted(of, (17, 64, 10)))
    assert recompute(trained(of).record).problems == []


def test_a_bound_on_the_score_counts_the_cut_epoch_as_one(store):
    searched = trial("dense", recipe=CUT, evaluate="validation")
    assert count_epochs(searched) == 3
    bounded = execute(searched, store, bounds=EpochBounds((0.0, 0.0, 2.0), best=True))
    assert len(epoch_scores(store, bounded)) == 3
    ticket = trial("lottery_ticket", sparsity=0.36, recipe=CUT, evaluate="validation")
    assert count_epochs(ticket) % 3 == 0
    with pytest.raises(TrialPruned) as end:
        execute(ticket, store, bounds=EpochBounds((0.0, 0.0, 2.0), best=False))
    assert len(end.value.scores) == 3
