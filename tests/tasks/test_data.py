"""Real targets: their scale, their splits, and what cannot be predicted."""

from dataclasses import replace

import pytest
import torch

from suite.core.errors import InvalidInput
from suite.experiments import registry
from tasks.data import RealSplit, TargetScale, check_varies, random_split, validation_seed
from tasks.loading import load_arrays, load_data
from tasks.recipe import Recipe

DIABETES = registry.datasets()["diabetes"]


def test_targets_are_standardised_by_the_training_examples_that_are_not_held_out():
    data = load_data(DIABETES, 0.1, torch.device("cpu"))
    assert isinstance(data.train, RealSplit)
    raw = load_arrays(DIABETES)[0]
    kept, held = random_split(DIABETES.train, 35, "diabetes")
    assert (len(data.train), len(data.validation)) == (len(kept), len(held)) == (318, 35)
    targets = raw.train_y[kept]
    assert data.train.scale.mean[0] == pytest.approx(float(targets.mean()))
    assert data.train.scale.std[0] == pytest.approx(float(targets.std(correction=0)))
    assert float(data.train.y.mean()) == pytest.approx(0, abs=1e-6)
    assert float(data.train.y.std(correction=0)) == pytest.approx(1, abs=1e-6)
    for split, rows in ((data.validation, raw.train_y[held]), (data.test, raw.test_y)):
        back = split.y.double() * data.train.scale.std[0] + data.train.scale.mean[0]
        assert back.flatten().tolist() == pytest.approx(rows.tolist(), rel=1e-6)


def test_the_validation_split_is_drawn_at_random_and_the_same_in_every_trial():
    kept, held = random_split(100, 20, "one")
    assert sorted([*kept.tolist(), *held.tolist()]) == list(range(100))
    again = random_split(100, 20, "one")
    assert torch.equal(kept, again[0])
    assert held.tolist() not in (list(range(20)), list(range(80, 100)))
    assert held.tolist() != random_split(100, 20, "another")[1].tolist()


def test_a_pool_keeps_the_scale():
    data = load_data(DIABETES, 0.0, torch.device("cpu"))
    pool = data.train.pool(5, 0)
    assert isinstance(pool, RealSplit)
    assert (len(pool), pool.scale) == (5, data.train.scale)


def test_a_constant_target_is_refused():
    with pytest.raises(InvalidInput, match="the target is 3 in all 2 test examples"):
        check_varies(torch.tensor([[3.0], [3.0]]), "mine", "test")
    two = torch.tensor([[1.0, 5.0], [2.0, 5.0]])
    with pytest.raises(InvalidInput, match="target 2 is 5 in all 2 training examples"):
        TargetScale.of(two, "mine")


def test_targets_that_overflow_are_refused():
    with pytest.raises(InvalidInput, match="another unit"):
        TargetScale.of(torch.tensor([[1e300], [-1e300]], dtype=torch.float64), "mine")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda y: y.long(), "floating-point targets"),
        (lambda y: y[:, None].repeat(1, 2), r"of shape \(353, 1\), found"),
        (
            lambda y: y.where(torch.arange(len(y)) != 3, float("nan")),
            "the target of training example 3 is a NaN",
        ),
    ],
)
def test_targets_that_do_not_fit_the_declaration_are_refused(monkeypatch, change, message):
    arrays = load_arrays(DIABETES)[0]
    changed = replace(arrays, train_y=change(arrays.train_y))
    monkeypatch.setattr("tasks.loading.load", lambda *where: lambda dataset: changed)
    load_arrays.cache_clear()
    with pytest.raises(InvalidInput, match=message):
        load_arrays(replace(DIABETES, checksum=""))
    load_arrays.cache_clear()


def test_a_split_is_fixed_unless_it_follows_the_seed():
    digits, text = registry.datasets()["digits"], registry.datasets()["tinyshakespeare"]
    assert validation_seed(digits, Recipe(), 7) is None
    assert validation_seed(text, Recipe(validation=0.0), 7) is None
    assert validation_seed(digits, Recipe(split_seed="seed"), 7) == 7
    for dataset, recipe, why in (
        (digits, Recipe(split_seed="seed", validation=0.0), "validation=0 leaves no validation"),
        (text, Recipe(split_seed="seed"), "a text, is its end and is not drawn"),
    ):
        with pytest.raises(InvalidInput, match=why) as caught:
            validation_seed(dataset, recipe, 7)
        assert "\n" not in str(caught.value)
        assert "leave split_seed out" in str(caught.value)


def test_a_random_split_depends_on_its_seed():
    held = [random_split(100, 20, "one", seed)[1].tolist() for seed in (None, 0, 1, 0)]
    assert held[1] == held[3]
    assert len({tuple(one) for one in held}) == 3
