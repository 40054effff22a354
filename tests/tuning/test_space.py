"""Search spaces."""

import re
from dataclasses import replace

import pytest

from suite.core.declarations import Hyperparameter, Search
from suite.core.errors import InvalidInput
from suite.experiments import registry
from suite.sparsity.distribution import count_zeros
from suite.training.context import TrialContext
from suite.training.setup import prepare
from suite.tuning.space import configuration, default_point, search_space, spaces_of
from tests.support.sample_records import make_trial
from tests.tuning.sample import pretend, settings

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


def test_a_space_with_nothing_new_is_tried_again():
    found = pretend(settings("static"), 8)
    assert {p.parameters["distribution"] for p in found} == {"erk", "er"}


@pytest.mark.parametrize(
    ("kind", "search", "why"),
    [
        (float, Search(low=0.5, high=0.1), "is 0.5 to 0.1: give low ≤ high"),
        (float, Search(low=0.0, high=0.5, log=True), "logarithmic: give a low above 0"),
        (float, Search(low=0.1, high=0.5, step=0.0), "in steps of 0: give a step above 0"),
        (float, Search(low=0.1, high=0.5, step=0.1, log=True), "and not log as well"),
        (float, Search(low=0.1), "has None: give a number"),
        (float, Search(low=0.1, high=2.0), "has 2.0: give a number from 0 to 1"),
        (int, Search(low=0.5, high=1), "has 0.5: give an integer"),
        (float, Search(choices=(0.1, 7.0)), "has 7.0: give a number"),
        (float, Search(low=0.1, high=0.5, when=("rul", "x")), "is searched where rul is x"),
    ],
)
def test_a_declared_space_that_is_impossible_is_named(kind, search, why):
    share = Hyperparameter("share", kind, 1, "a share", low=0, high=1, search=search)
    method = replace(registry.methods()["static"], hyperparameters=(share,))
    with pytest.raises(InvalidInput, match=re.escape(why)) as refused:
        search_space(method, [registry.tasks()[TASK]])
    assert str(refused.value).startswith("method static: ")


def test_a_range_may_end_where_the_values_do():
    share = Hyperparameter("share", float, 0.5, "", low=0, below=1, search=Search(low=0, high=1))
    method = replace(registry.methods()["static"], hyperparameters=(share,))
    (dimension,) = search_space(method, [registry.tasks()[TASK]])
    assert (dimension.low, dimension.high) == (0, 1)
