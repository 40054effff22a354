"""Settings that act alike have the same canonical configuration."""

from typing import Any

import pytest

from suite.experiments.trial_config import Trial
from suite.training.canonical_config import canonical_config


def resonance_effect(**hyperparameters: Any) -> str:
    return canonical_config(Trial.make(task="digits/mlp", method="resonance", sparsity=0.9,
                             hyperparameters=hyperparameters, recipe={"epochs": 40}))  # fmt: skip


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"update_every": 10, "cooldown": 10}, {"update_every": 10, "cooldown": 0}),
        ({"update_every": 10, "cooldown": 20}, {"update_every": 10, "cooldown": "auto"}),
        ({"modulation": 0, "bits": 1}, {"modulation": 0}),
        ({"proportional_gain": 1.0}, {}),
        ({"accuracy_depth": 0}, {"accuracy_gain": 0}),
        ({"reading": "centroid", "interpolate": False}, {"reading": "centroid"}),
        (
            {"reading": "rate", "taper": "none", "interpolate": False, "history_dtype": "float32"},
            {"reading": "rate"},
        ),
    ],
)
def test_settings_that_do_the_same_have_the_same_effect(one, other):
    assert resonance_effect(**one) == resonance_effect(**other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"update_every": 10, "cooldown": 11}, {"update_every": 10, "cooldown": 0}),
        ({"bits": 1}, {}),
        ({"solve": "feedback", "proportional_gain": 1.0}, {"solve": "feedback"}),
        ({"accuracy_depth": 0}, {}),
        ({"reading": "centroid", "taper": "none"}, {"reading": "centroid"}),
        ({"reading": "rate", "window": 16}, {"reading": "rate"}),
        ({"average": 0.5}, {}),
        ({"keep": "low"}, {}),
    ],
)
def test_settings_that_differ_have_other_effects(one, other):
    assert resonance_effect(**one) != resonance_effect(**other)
