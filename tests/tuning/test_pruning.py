"""Trials end where Optuna's own pruners would end them."""

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import TrialState

from suite.tuning.pruning import PastCurve, epoch_bounds, should_stop
from suite.tuning.sampling import BATCH, FinishedTrial


def test_only_what_was_known_before_the_batch_stops_a_trial():
    past = [FinishedTrial(TrialState.COMPLETE, {}, [v], [v, v]) for v in (0.5, 0.6, 0.7, 0.8)]
    assert len(past) == BATCH
    assert should_stop("median", past, [0.1], 3)
    assert any(should_stop("hyperband", past * times, [0.1], 9) for times in range(1, 6))
    for pruner in ("median", "hyperband"):
        assert not should_stop(pruner, past, [0.9], 3)
        assert not should_stop(pruner, [], [0.1], 3)
        assert not should_stop(pruner, past, [0.1, 0.1, 0.1], 3)
    assert not should_stop("none", past, [0.1], 3)


def optuna_ends(pruner, past, number, scores):
    """Return after how many epochs Optuna's pruner itself ends a trial that reports `scores`."""
    decides = optuna.pruners.HyperbandPruner(min_resource=1, max_resource=len(scores))
    if pruner == "median":
        decides = optuna.pruners.MedianPruner(n_startup_trials=BATCH)
    study = optuna.create_study(direction="maximize", study_name=pruner, pruner=decides)
    for curve in past:
        trial = study.ask()
        for epoch, score in enumerate(curve.scores, 1):
            trial.report(score, epoch)
            trial.should_prune()
        if curve.complete:
            study.tell(trial, curve.scores[-1])
        else:
            study.tell(trial, state=TrialState.PRUNED)
    while (trial := study.ask()).number < number:
        pass
    for epoch, score in enumerate(scores[:-1], 1):
        trial.report(score, epoch)
        if trial.should_prune():
            return epoch
    return None


def _searches(epochs: int):
    score = st.integers(0, 20).map(lambda whole: whole / 20)  # ties are common
    whole = st.lists(score, min_size=epochs, max_size=epochs)
    stopped = st.lists(score, min_size=1, max_size=epochs - 1)
    past = st.lists(st.one_of(whole, stopped), max_size=24)
    return st.tuples(past, whole, st.integers(0, BATCH - 1))


@pytest.mark.parametrize("pruner", ["median", "hyperband"])
@given(st.sampled_from([2, 3, 5, 9, 10]).flatmap(_searches))
def test_the_bounds_decide_as_optunas_pruner_does(pruner, search):
    curves, scores, place = search
    past = [PastCurve(n, len(c) == len(scores), c) for n, c in enumerate(curves)]
    number = len(past) + place
    bounds = epoch_bounds(pruner, number, past, len(scores))
    assert bounds.ends_after(scores[:-1]) == optuna_ends(pruner, past, number, scores)


@pytest.mark.parametrize("pruner", ["median", "hyperband"])
def test_without_earlier_trainings_there_are_no_bounds(pruner):
    bounds = epoch_bounds(pruner, 5, [], 9)
    assert bounds.ends_after([0.0] * 8) is None
