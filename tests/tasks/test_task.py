"""Declarations of tasks and their variants."""

import pytest

from suite.core.errors import InvalidInput
from suite.experiments import registry
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
