"""What is proposed within a search space."""

import pytest
from optuna.trial import TrialState

from suite.core.errors import InvalidInput
from suite.execution.engines import EngineOptions
from suite.results.store import Store
from suite.training.context import TrialContext
from suite.tuning.sampling import FinishedTrial, propose
from suite.tuning.schema import Dimension
from suite.tuning.search import Search
from suite.tuning.space import spaces_of
from tests.support.sample_records import make_trial
from tests.tuning.sample import pretend, settings


@pytest.mark.parametrize("sampler", ["tpe", "cmaes", "random", "qmc", "nsgaii"])
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


NUMBERS = [Dimension(name=name, parameter=name, low=-1, high=1) for name in "abc"]
MIXED = [
    *NUMBERS,
    Dimension(name="kind", parameter="kind", choices=("x", "y")),
    Dimension(name="d", parameter="d", low=0, high=1, when=("kind", "x")),
]


def cmaes_search(value, count: int, default) -> list[FinishedTrial]:
    past: list[FinishedTrial] = []
    while len(past) < count:
        batch = propose(MIXED, settings(sampler="cmaes"), "rigl", past, default, repr)
        past += [
            FinishedTrial(
                TrialState.COMPLETE, one.parameters, [value(one.parameters)], (), one.attributes
            )
            for one in batch
        ]
    return past


BEST = {"a": 0.5, "b": -0.5, "c": 0.7}


def bowl(chosen) -> float:
    return -sum((chosen.get(name, 1.0) - best) ** 2 for name, best in BEST.items())


@pytest.mark.parametrize("default", [{"a": 0.0}, {"a": 0.0, "b": 0.0, "c": 0.0, "kind": "y"}])
def test_cmaes_learns_from_generation_to_generation_also_beside_other_dimensions(default):
    trials = cmaes_search(bowl, 64, default)
    means = [sum(t.values[0] for t in trials[n : n + 16]) / 16 for n in (0, 16, 48)]
    assert means[0] < means[1] < means[2]
    assert means[2] > 0.5 * means[0]
    generations = [t.attributes.get("cma:generation") for t in trials]
    assert generations == sorted(generations, key=lambda one: -1 if one is None else one)
    assert generations[-1] >= 5
    assert all(set(t.attributes) <= {"cma:generation"} for t in trials), "no pickle is stored"
    later = trials[4:]
    assert {t.parameters["kind"] for t in later} == {"x", "y"}
    assert all(("d" in t.parameters) == (t.parameters["kind"] == "x") for t in later)


def test_cmaes_that_has_fewer_than_two_numbers_to_model_is_refused():
    with pytest.raises(InvalidInput, match="needs 2 numbers.*and method static has none"):
        searching(settings("static", sampler="cmaes")).check()
    searching(settings("rigl", sampler="cmaes")).check()
