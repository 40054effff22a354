"""Recipes of published protocols: their steps, and where the learning rate drops."""

import math

import pytest

from suite.core.errors import InvalidInput
from suite.experiments import registry
from suite.experiments.trial_config import Trial
from suite.training.context import TrialContext
from suite.training.optimization import learning_rate
from tasks.recipe import Recipe

IMAGENET = 1_281_167 / 4096
"""Steps of an epoch in RigL's code, which counts epochs in images."""


def plan_of(task: str, **recipe):
    return TrialContext.of(Trial.make(task=task, method="dense", recipe=recipe)).plan


def test_training_ends_after_its_epochs_or_its_steps_whichever_comes_first():
    assert Recipe(epochs=3, batch_size=10).steps(105) == 30
    assert Recipe(epochs=3, batch_size=10, max_steps=25).steps(105) == 25
    assert Recipe(epochs=3, batch_size=10, max_steps=31).steps(105) == 30
    with pytest.raises(InvalidInput, match="max_steps"):
        registry.tasks()["digits/mlp"].resolve_recipe({"max_steps": -1})


@pytest.mark.parametrize(
    ("task", "steps"),
    [
        ("cifar10/conv_2", 20_000),  # Frankle & Carbin 2019, figure 2
        ("cifar10/conv_4", 25_000),
        ("cifar10/conv_6", 30_000),
        ("cifar10/resnet_20", 64_000),  # He et al. 2016, §4.2
        ("cifar10/resnet_32", 64_000),
        ("cifar10/resnet_56", 64_000),
        ("cifar10/wrn_22_2", 97_656),  # resnet_train_eval.py of RigL's code
        ("imagenet/resnet_50", 32_000),  # Evci et al. 2020, §4.1
        ("imagenet/mobilenet_v1", 32_000),
        ("mnist/lenet_300_100@rigl", 200 * 600),  # mnist_train_eval.py of RigL's code
    ],
)
@pytest.mark.parametrize("validation", [None, 0.0])
def test_a_recipe_takes_the_published_steps_whether_or_not_images_are_held_out(
    task, steps, validation
):
    given = {} if validation is None else {"validation": validation}
    assert plan_of(task, **given).steps == steps


def test_a_bound_on_steps_leaves_a_short_training_short():
    assert plan_of("cifar10/wrn_22_2", epochs=1).steps == 351  # of 45,000 images
    assert plan_of("cifar10/conv_6@short").steps == 2 * 750


def test_more_epochs_than_the_bound_leaves_are_not_cut_short_without_a_word():
    message = r"epochs=500 are 156,000 steps.*max_steps=32000: give max_steps=0"
    with pytest.raises(InvalidInput, match=message):
        plan_of("imagenet/resnet_50", epochs=500)
    assert plan_of("imagenet/resnet_50", epochs=500, max_steps=0).steps == 156_000
    assert plan_of("imagenet/resnet_50", epochs=513, max_steps=160_000).steps == 160_000


@pytest.mark.parametrize(
    ("task", "peak", "factor", "drops"),
    [
        ("cifar10/resnet_20", 0.1, 10, (32_000, 48_000)),
        ("cifar10/wrn_22_2", 0.1, 5, (30_000, 60_000, 90_000)),
        ("imagenet/resnet_50", 1.6, 10, [math.ceil(n * IMAGENET) for n in (30, 70, 90)]),
        ("imagenet/mobilenet_v1", 1.6, 10, [math.ceil(n * IMAGENET) for n in (40, 75, 95)]),
        ("mnist/lenet_300_100@rigl", 0.2, 3, (75 * 600, 95 * 600)),
    ],
)
def test_the_learning_rate_drops_at_the_published_steps(task, peak, factor, drops):
    recipe = registry.tasks()[task].resolve_recipe({})
    rate = learning_rate(recipe, plan_of(task).steps)
    for number, drop in enumerate(drops):
        assert rate(drop) == pytest.approx(peak / factor**number)
        assert rate(drop + 1) == pytest.approx(peak / factor ** (number + 1))


@pytest.mark.parametrize(
    ("task", "epochs"), [("imagenet/resnet_50", 5), ("imagenet/mobilenet_v1", 8)]
)
def test_the_warm_up_lasts_the_published_epochs(task, epochs):
    rate = learning_rate(registry.tasks()[task].resolve_recipe({}), 32_000)
    last = round(epochs * IMAGENET)
    assert rate(last) == pytest.approx(1.6)
    assert rate(last - 1) < 1.6
    assert rate(last // 2) == pytest.approx(0.8, rel=1e-3)


@pytest.mark.parametrize(
    ("task", "fields"),
    [
        ("cifar10/wrn_22_2", {"nesterov": True, "weight_decay": 5e-4,
                              "weight_decay_scope": "matrices", "crop_fill": "symmetric",
                              "per_image_standardization": True}),
        ("imagenet/resnet_50", {"nesterov": True, "weight_decay": 1e-4,
                                "weight_decay_scope": "matrices"}),
        ("imagenet/mobilenet_v1", {"nesterov": True, "weight_decay": 4e-5}),
        ("cifar100/vgg_19", {"weight_decay": 5e-4, "crop_fill": "zero", "epochs": 160}),
        ("mnist/lenet_300_100@rigl", {"weight_decay": 1e-4, "weight_decay_scope": "matrices"}),
        # nanoGPT, config/train_shakespeare_char.py
        ("tinyshakespeare/gpt_small", {"batch_size": 64, "learning_rate": 1e-3, "beta2": 0.99,
                                       "min_lr_ratio": 1e-4 / 1e-3, "weight_decay": 0.1,
                                       "clip_norm": 1.0}),
    ],
)  # fmt: skip
def test_a_recipe_has_the_settings_of_its_source(task, fields):
    recipe = registry.tasks()[task].resolve_recipe({})
    assert {name: getattr(recipe, name) for name in fields} == fields


CHANGED = ("conv_", "resnet_", "wrn_", "vgg_", "mobilenet_", "@rigl")
LATER = ("resnet_8",)


def test_what_trains_another_way_than_before_has_a_raised_revision():
    for task in registry.tasks():
        if any(part in task.name for part in CHANGED) and not task.name.endswith(LATER):
            assert task.revision == 2, task.name
    untouched = ("digits/mlp", "mnist/lenet_300_100", "fashion_mnist/lenet_5", "cifar10/vit_small")
    assert {registry.tasks()[name].revision for name in untouched} == {1}
