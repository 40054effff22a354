"""Learning rates as functions of the step."""

import pytest

from suite.experiments import registry
from suite.training.optimization import LearningRate, learning_rate


def test_the_learning_rate_is_a_function_of_the_step():
    rate = LearningRate(0.1, "cosine", 10, 110)
    assert rate(1) == pytest.approx(0.01)
    assert rate(10) == rate(11) == pytest.approx(0.1)
    assert rate(61) == pytest.approx(0.05)
    assert rate(110) > 0
    assert LearningRate(0.1, "constant", 0, 110)(110) == 0.1


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
