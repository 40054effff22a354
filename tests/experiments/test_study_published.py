"""Studies of published experiments take the steps, drops and mask updates of their sources."""

from collections.abc import Iterator

import pytest

from suite.experiments.study import load_study
from suite.sparsity.schedule import UpdateSchedule
from suite.training.context import TrialContext
from suite.training.optimization import LearningRate, learning_rate


def settings_of(study: str) -> Iterator[TrialContext]:
    """Yield one trial of each distinct setting, whatever its seed and sparsity."""
    seen = set()
    for trial in load_study(study).trials():
        one = trial.model_copy(update={"seed": 0, "sparsity": 0.0}).model_dump_json()
        if one not in seen:
            seen.add(one)
            yield TrialContext.of(trial)


def rate_of(context: TrialContext) -> LearningRate:
    return learning_rate(context.recipe, context.plan.steps)


def updates_of(context: TrialContext) -> list[int]:
    schedule = context.make_sparsifier().schedule
    assert isinstance(schedule, UpdateSchedule)
    return list(schedule.updates())


def test_wrn_22_2_trains_97_656_steps_on_all_images_as_in_rigls_code():
    """resnet_train_eval.py: max_steps, sparsity_begin_step … pruning_frequency, maskupdate_…"""
    pruned = regrown = 0
    for context in settings_of("rigl_cifar10_wrn22_2"):
        assert context.plan.steps == 97_656
        assert context.recipe.validation == 0
        name = context.method.name
        if name == "magnitude":
            assert updates_of(context) == list(range(20_000, 75_001, 1000))
            pruned += 1
        elif name in ("set", "rigl"):
            assert context.make_sparsifier().effective_options() == {
                "update_every": 100, "update_end": 75_000,
            }  # fmt: skip
            regrown += 1
    assert (pruned, regrown) == (1, 4)


def test_resnet_50_trains_32_000_steps_and_five_times_as_many_as_in_rigls_paper():
    """Evci et al. 2020, §4.1; imagenet_train_eval.py: maskupdate_end_step 25,000, frequency 100."""
    lengths = set()
    for context in settings_of("rigl_imagenet"):
        steps = context.plan.steps
        lengths.add(steps)
        assert context.recipe.batch_size == 4096
        if context.method.name in ("set", "rigl"):
            assert context.make_sparsifier().effective_options() == {
                "update_every": 100, "update_end": 25_000 * steps // 32_000,
            }  # fmt: skip
    assert lengths == {32_000, 160_000}


def test_the_dense_network_of_rigl_mnist_has_its_own_drops():
    """mnist_train_eval.py: epochs 60, 70, 80 without masks, 75 and 95 with them; 600 steps each.

    The first layer at end_sparsity = 0.98, the second at sparsity_scale = 0.9 times that.
    """
    methods = set()
    zeros = 0.98 * 784 * 300 + 0.98 * 0.9 * 300 * 100
    (sparsity,) = load_study("rigl_mnist").sparsities
    assert sparsity == pytest.approx(zeros / (784 * 300 + 300 * 100 + 100 * 10), abs=5e-5)
    for context in settings_of("rigl_mnist"):
        name = context.method.name
        methods.add(name)
        assert context.plan.steps == 200 * 600
        rate = rate_of(context)
        drops = (60, 70, 80) if name == "dense" else (75, 95)
        for number, epoch in enumerate(drops):
            assert rate(epoch * 600) == pytest.approx(0.2 / 3**number, rel=1e-4)
            assert rate(epoch * 600 + 1) == pytest.approx(0.2 / 3 ** (number + 1), rel=1e-4)
        if name != "dense":
            assert context.options["layer_sparsity"] == ("1=0.98", "3=0.882")
        if name == "magnitude":
            assert updates_of(context) == list(range(2000, 30_001, 500))
        elif name in ("set", "rigl"):
            assert context.make_sparsifier().effective_options() == {
                "update_every": 100, "update_end": 50_000,
            }  # fmt: skip
    assert methods == {"dense", "static", "set", "rigl", "snip", "magnitude"}


def test_lottery_tickets_on_mnist_train_50_000_steps_on_55_000_images():
    """Frankle & Carbin 2019, §2 and figure 2."""
    for context in settings_of("lth_mnist"):
        assert context.plan.steps == 50_000
        assert context.dataset.training_examples(context.recipe.validation) == 55_000


def test_vgg_19_trains_160_epochs_on_all_images_as_in_grasps_code():
    for context in settings_of("grasp_cifar"):
        assert context.plan.steps == 160 * (50_000 // 128)
        assert context.recipe.weight_decay == 5e-4
        assert context.recipe.crop_fill == "zero"


@pytest.mark.parametrize(
    ("study", "steps", "batch", "momentum", "weight_decay"),
    [
        ("acdc_imagenet", 100 * (1_281_167 // 256), 256, 0.875, 3.051757813e-5),
        ("str_imagenet", 100 * (1_281_167 // 256), 256, 0.875, 2.251757813e-5),
        ("itop_imagenet", 100 * (1_281_167 // 128), 128, 0.9, 1e-4),
        ("srigl_imagenet", 256_000, 512, 0.9, 1e-4),
        ("sr_ste_imagenet", 120 * (1_281_167 // 256), 256, 0.9, 5e-5),
    ],
)
def test_methods_since_2020_train_resnet_50_as_their_authors_code_does(
    study, steps, batch, momentum, weight_decay
):
    for context in settings_of(study):
        recipe = context.recipe
        assert (context.plan.steps, recipe.batch_size) == (steps, batch)
        assert (recipe.momentum, recipe.weight_decay) == (momentum, weight_decay)
