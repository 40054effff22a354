"""What is proposed within a search space."""

import pytest
from optuna.trial import TrialState

from suite.core.errors import InvalidInput
from suite.execution.engines import EngineOptions
from suite.results.store import Store
from suite.training.context import TrialContext
from suite.tuning.sampling import BATCH, Past, is_hopeless
from suite.tuning.search import Search
from suite.tuning.space import spaces_of
from tests.support.sample_records import make_trial
from tests.tuning.sample import pretend, settings


@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc", "nsgaii"])
def test_the_same_seed_proposes_the_same_and_the_default_first(sampler):
    asked = settings(sampler=sampler)
    first, again = pretend(asked, 20), pretend(asked, 20)
    assert first == again
    assert first[0].parameters["drop_fraction"] == 0.3
    assert first != pretend(settings(sampler=sampler, seed=1), 20)
    assert len({str(trial.parameters) for trial in first}) == len(first)


def test_tpe_learns_where_random_does_not():
    def late(sampler: str) -> float:
        trials = pretend(settings(sampler=sampler), 48)[32:]
        return sum(trial.values[0] for trial in trials) / len(trials)

    assert late("tpe") > late("random") + 0.02


def test_what_contradicts_itself_costs_no_trial():
    found = pretend(
        settings(), 8, lambda chosen: repr(chosen) if chosen["drop_fraction"] < 0.4 else None
    )
    assert all(trial.parameters["drop_fraction"] < 0.4 for trial in found)
    with pytest.raises(InvalidInput, match="none of 1000 configurations"):
        pretend(settings(), 8, lambda chosen: None)


def searching(asked, **given):
    (method,) = asked.methods
    space = spaces_of([method], asked.tasks)[method]
    return Search(asked, method, space, Store("memory://s"), EngineOptions())


@pytest.mark.parametrize("method", ["rigl", "resonance_coherent"])
def test_an_interval_that_is_longer_than_training_is_not_tried(method):
    effect = searching(settings(method)).effect
    given = {"update_end": 0.75, "drop_fraction": 0.3, "record_every": 1}
    assert effect(given | {"update_every": 10})
    assert effect(given | {"update_every": 900}) is None
    assert all(p.parameters["update_every"] < 40 for p in pretend(settings(method), 12, effect)[1:])


@pytest.mark.parametrize("method", ["static", "dense", "snip", "lottery_ticket"])
def test_a_method_that_never_updates_by_design_is_not_idle(method):
    trial = make_trial(method, recipe={"epochs": 1})
    assert not TrialContext.of(trial).make_sparsifier().is_idle()


def test_what_comes_to_the_same_is_proposed_anew():
    effect = searching(settings("magnitude")).effect
    assert effect({"update_every": 500}) == effect({"update_every": 900})
    assert effect({"update_every": 10}) != effect({"update_every": 11})
    found = [effect(dict(p.parameters)) for p in pretend(settings("magnitude"), 24, effect)]
    assert len(set(found)) == len(found)


def test_only_what_was_known_before_the_batch_stops_a_trial():
    past = [Past(TrialState.COMPLETE, {}, [v], [v, v]) for v in (0.5, 0.6, 0.7, 0.8)]
    assert len(past) == BATCH
    assert is_hopeless("median", past, [0.1], 3)
    assert any(is_hopeless("hyperband", past * times, [0.1], 9) for times in range(1, 6))
    for pruner in ("median", "hyperband"):
        assert not is_hopeless(pruner, past, [0.9], 3)
        assert not is_hopeless(pruner, [], [0.1], 3)
        assert not is_hopeless(pruner, past, [0.1, 0.1, 0.1], 3)
    assert not is_hopeless("none", past, [0.1], 3)
