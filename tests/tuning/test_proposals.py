"""Search spaces and what is proposed in them."""

import pytest
from optuna.trial import TrialState

from suite.core.errors import InvalidInput
from suite.execution.engines import EngineOptions
from suite.experiments import registry
from suite.results.store import Store
from suite.sparsity.distribution import count_zeros
from suite.training.context import TrialContext
from suite.training.setup import prepare
from suite.tuning.choice import front, importance, winner
from suite.tuning.sampling import BATCH, Past, is_hopeless
from suite.tuning.search import Search
from suite.tuning.space import configuration, default_point, spaces_of
from tests.sample_records import make_trial
from tests.tuning.sample import pretend, settings, tuning

TASK = "digits/mlp"
TUNED = ("learning_rate", "weight_decay")


def names(method: str) -> set[str]:
    return {d.parameter for d in spaces_of([method], [TASK])[method]}


def test_the_space_of_resonance_is_what_its_method_is_about():
    assert names("resonance") == {
        "distribution", "window", "bits", "modulation", "argument", "update_every", "cooldown",
        "ramp", "solve", "proportional_gain", "integral_gain", "accuracy_gain", "freeze_at",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("variant", "makes_it"),
    [
        ("resonance_shuffled", "shuffle"), ("resonance_pseudocode", "cooling"),
        ("resonance_weighted", "score"), ("rigl_mean_gradient", "drop_power"),
    ],
)  # fmt: skip
def test_a_variant_is_not_tuned_into_another_method(variant, makes_it):
    assert makes_it not in names(variant)


@pytest.mark.parametrize("method", [m.name for m in registry.methods()])
def test_the_default_lies_in_every_space_that_is_searched(method):
    declared, tasks = registry.methods()[method], [registry.tasks()[TASK]]
    space = spaces_of([method], [TASK], TUNED)[method]
    chosen = configuration(space, default_point(space, declared, tasks))
    assert declared.changed(chosen["hyperparameters"]) == {}
    assert tasks[0].changed(chosen["recipe"]) == {}


@pytest.mark.parametrize("method", [m.name for m in registry.methods()])
def test_no_choice_of_a_distribution_changes_the_overall_sparsity(method):
    space = spaces_of([method], [TASK], TUNED)[method]
    choices = [c for d in space if d.name == "distribution" for c in d.choices]
    trials = [make_trial(method, hyperparameters={"distribution": choice}) for choice in choices]
    for sparsifier in [prepare(TrialContext.of(trial)).sparsifier for trial in trials]:
        size = sum(layer.size for layer in sparsifier.layers)
        assert sparsifier.target_total() == count_zeros(0.9, size)


def test_a_default_that_differs_between_tasks_has_no_place_in_the_space():
    tasks = [registry.tasks()[name] for name in (TASK, "fashion_mnist/lenet_300_100")]
    assert len({task.resolve({})["weight_decay"] for task in tasks}) == 2
    space = spaces_of(["static"], [task.name for task in tasks], TUNED)["static"]
    assert "weight_decay" not in default_point(space, registry.methods()["static"], tasks)


def test_a_word_beside_numbers_is_a_choice_of_its_own():
    space = spaces_of(["resonance"], [TASK])["resonance"]
    auto = configuration(space, {"update_every.kind": "auto"})
    number = configuration(space, {"update_every.kind": "number", "update_every": 20})
    assert auto["hyperparameters"] == {"update_every": "auto"}
    assert number["hyperparameters"] == {"update_every": 20}


def test_gains_of_the_feedback_are_tried_only_where_it_acts():
    for trial in pretend(settings("resonance"), 12)[1:]:
        acts = trial.parameters["solve"] == "feedback"
        assert ("proportional_gain" in trial.parameters) == acts


def test_a_method_without_a_space_needs_fields_of_the_recipe():
    assert [d.name for d in spaces_of(["dense"], [TASK], TUNED)["dense"]] == list(TUNED)
    with pytest.raises(InvalidInput, match="dense has nothing to tune"):
        spaces_of(["dense"], [TASK])
    with pytest.raises(InvalidInput, match="did you mean learning_rate"):
        spaces_of(["dense"], [TASK], ["learnin_rate"])
    with pytest.raises(InvalidInput, match="declares no search space"):
        spaces_of(["dense"], [TASK], ["momentum"])


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


def test_a_space_with_nothing_new_is_tried_again():
    found = pretend(settings("static"), 8)
    assert {p.parameters["distribution"] for p in found} == {"erk", "er"}


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


def test_the_first_of_equals_wins_and_failures_never():
    trials = tuning().methods["rigl"].trials
    assert winner(trials, ("accuracy", "train_flops")) == 1
    assert winner(trials, ("train_flops", "accuracy")) != 1
    equal = [trial.model_copy(update={"values": [0.5, 1.0]}) for trial in trials[:3]]
    assert winner(equal, ("accuracy", "train_flops")) == 0
    assert winner(trials[3:], ("accuracy",)) is None


def test_the_front_holds_what_no_other_trial_dominates():
    trials = tuning().methods["rigl"].trials
    assert front(trials, ("accuracy", "train_flops")) == [1, 0]


def test_importance_finds_the_dimension_that_decides():
    asked = settings()
    space = spaces_of(["rigl"], [TASK])["rigl"]
    example = tuning().methods["rigl"].trials[0]
    trials = [
        example.model_copy(
            update={"number": n, "parameters": dict(p.parameters), "values": list(p.values)}
        )
        for n, p in enumerate(pretend(asked, 24))
    ]
    found = importance(space, trials)
    assert next(iter(found)) == "drop_fraction"
    assert sum(found.values()) == pytest.approx(1)
    assert importance(space, trials[:3]) == {}
