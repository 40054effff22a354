"""Declarations of tasks and their variants."""

from dataclasses import replace

import pytest

from suite.core.errors import InvalidInput
from suite.experiments import registry
from suite.experiments.trial_config import task_digest
from tasks.task import variant


@pytest.mark.parametrize("bad", [["0"], ["1"], ["x"], [0.5, 2.0], "0.3,nope"])
def test_milestones_outside_of_training_are_refused(bad):
    with pytest.raises(InvalidInput, match="fractions of training"):
        registry.tasks()["digits/mlp"].check({"milestones": bad})


def test_every_task_of_the_literature_has_a_short_recipe_or_is_short():
    for task in registry.tasks():
        own = any(task.name in trainer.tasks for trainer in registry.trainers())
        if task.recipe.get("epochs", 10) > 90 and "@" not in task.name and not own:
            short = registry.tasks()[f"{task.name}@short"]
            assert short.recipe["epochs"] <= 3
            assert short.dataset.startswith(task.dataset)


def test_a_variant_keeps_what_it_does_not_change():
    task = registry.tasks()["digits/mlp"]
    other = variant(task, "quick", "quick", recipe={"epochs": 1})
    assert other.name == "digits/mlp@quick"
    assert other.recipe == {**task.recipe, "epochs": 1}
    assert (other.dataset, other.model, other.revision) == (task.dataset, task.model, task.revision)


def test_registered_tasks_prune_linear_and_conv_layers():
    assert {task.prunable for task in registry.tasks()} == {("linear", "conv")}


def test_other_prunable_kinds_are_another_trial_and_the_standard_ones_are_not():
    task = registry.tasks()["digits/mlp"]
    dataset = registry.datasets()["digits"]
    assert task_digest(task, dataset) == "e3b435622f89"
    same = replace(task, prunable=["conv", "linear"])
    assert task_digest(same, dataset) == "e3b435622f89"
    other = replace(task, prunable=("recurrent", "linear"))
    assert other.prunable == ("linear", "recurrent")  # in canonical order
    assert task_digest(other, dataset) != "e3b435622f89"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (("linear", "lstm"), "prunable: 'lstm' is no kind of layer: give linear, conv, "),
        ("linear", "prunable='linear' is not usable: give a list of linear, conv, "),
        ((), "give a list of"),
        ((3,), "prunable: 3 is no kind"),
    ],
)
def test_prunable_kinds_that_do_not_exist_are_refused(given, says):
    with pytest.raises(InvalidInput, match=says) as refusal:
        replace(registry.tasks()["digits/mlp"], prunable=given)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "name", ["../x", "a/../b", "a/b/c", "a/.b", "a\x00/b", "/a", "a/", "a b/c"]
)
def test_a_task_has_a_name_of_a_dataset_and_a_model(name):
    with pytest.raises(InvalidInput, match=r"^task name '.*: give ") as refused:
        replace(registry.tasks()["digits/mlp"], name=name)
    assert str(refused.value).isprintable()
    assert variant(registry.tasks()["digits/mlp"], "a-b.2", "").name == "digits/mlp@a-b.2"


@pytest.mark.parametrize("name", ["../x", "a/b", ".a", "a\nb", "a b"])
def test_a_dataset_has_a_name_that_can_begin_that_of_a_task(name):
    with pytest.raises(InvalidInput, match="^dataset name '"):
        replace(registry.datasets()["digits"], name=name)
