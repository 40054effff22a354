import pytest

from suite.cli.info import task_facts
from suite.core.errors import InvalidInput
from suite.experiments import registry
from suite.training.optimization import learning_rate
from tasks.task import variant


def test_the_facts_of_a_task_hold_its_size_and_its_data():
    told = task_facts(registry.tasks()["fashion_mnist/lenet_300_100"])
    assert told["parameters"].startswith("266,610, of them 266,200")
    assert told["FLOPs"].startswith("532,400 ")
    assert told["input"] == "1×28×28"
    assert told["examples"].startswith("60,000 for training, 10,000 for test")


def test_a_recipe_steps_the_learning_rate_down_at_its_milestones():
    recipe = registry.tasks()["cifar10/wrn_22_2"].resolve_recipe({})
    rate = learning_rate(recipe, 97_656)
    found = [rate(step) for step in (1, 29_999, 30_002, 60_002, 90_002)]
    assert found == pytest.approx([0.1, 0.1, 0.02, 0.004, 0.0008])


def test_cosine_and_line_end_at_their_share_of_the_peak():
    task = registry.tasks()["digits/mlp"]
    for schedule in ("cosine", "linear"):
        recipe = task.resolve_recipe(
            {"schedule": schedule, "min_lr_ratio": 0.1, "learning_rate": 1.0}
        )
        rate = learning_rate(recipe, 1000)
        assert rate(1) == pytest.approx(1.0)
        assert rate(501) == pytest.approx(0.55, abs=0.001)
        assert rate(1000) == pytest.approx(0.1, abs=0.001)


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
