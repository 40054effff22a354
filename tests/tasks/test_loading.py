"""Splits and normalisation."""

import pytest
import torch

from suite.core.errors import InvalidInput
from suite.experiments import registry
from tasks.data import RealSplit, StandardizedSplit, standardize_images, training_examples
from tasks.loading import load_data

CPU = torch.device("cpu")


def test_the_validation_split_is_stratified_and_fixed():
    dataset = registry.datasets()["digits"]
    data = load_data(dataset, 0.1, CPU)
    assert (len(data.train), len(data.validation), len(data.test)) == (1293, 144, 360)
    assert len(data.train) == training_examples(dataset, 0.1)
    share = torch.bincount(data.validation.y, minlength=10) / 144
    assert float((share - 0.1).abs().max()) < 0.01
    load_data.cache_clear()
    again = load_data(dataset, 0.1, CPU)
    assert torch.equal(data.validation.x, again.validation.x)


def test_no_example_is_in_two_splits():
    data = load_data(registry.datasets()["digits"], 0.1, CPU)
    parts = [{row.numpy().tobytes() for row in s.x} for s in (data.train, data.validation)]
    everything = load_data(registry.datasets()["digits"], 0.0, CPU).train
    assert len(parts[0] | parts[1]) == len({row.numpy().tobytes() for row in everything.x})
    assert not parts[0] & parts[1]


def test_inputs_are_normalised():
    data = load_data(registry.datasets()["digits"], 0.0, CPU)
    assert float(data.train.x.mean()) == pytest.approx(0, abs=0.01)
    assert float(data.train.x.std()) == pytest.approx(1, abs=0.01)


def test_images_are_standardised_one_by_one_as_in_tensorflow():
    """(x − mean) / max(deviation, 1/√N) of levels 0 … 255, over all channels of an image."""
    two = torch.tensor([0.0, 0.0, 1.0, 1.0]).view(1, 1, 2, 2)  # mean and deviation are 127.5
    assert standardize_images(two).flatten().tolist() == [-1, -1, 1, 1]
    assert not standardize_images(torch.full((1, 3, 4, 4), 0.5)).any()
    # One value of 1 level among 3,072: a deviation of about 1/√3,072, a little less.
    faint = torch.zeros(1, 3, 32, 32)
    faint[0, 0, 0, 0] = 1 / 255
    found = standardize_images(faint)
    assert float(found[0, 0, 0, 0]) == pytest.approx((1 - 1 / 3072) * 3072**0.5, rel=1e-5)
    assert float(found[0, 2, 5, 5]) == pytest.approx(-(3072**-0.5), rel=1e-4)


def test_a_split_of_images_standardised_one_by_one_has_its_statistics():
    dataset = registry.datasets()["digits"]
    plain, own = (load_data(dataset, 0.1, CPU, per_image) for per_image in (False, True))
    assert isinstance(own.test, StandardizedSplit)
    for one, other in ((plain.train, own.train), (plain.validation, own.validation)):
        assert torch.equal(one.y, other.y)
        assert len(one) == len(other)
    pixels = plain.test.x * dataset.std[0] + dataset.mean[0]
    assert torch.allclose(own.test.x * own.test.std + own.test.mean, pixels, atol=1e-5)
    assert float(own.test.x.mean((1, 2, 3)).abs().max()) < 1e-5
    assert torch.allclose(own.test.x.std((1, 2, 3), correction=0), torch.ones(360), atol=1e-4)
    pool = own.test.pool(7, 0)
    assert isinstance(pool, StandardizedSplit)
    assert len(pool.x) == len(pool.y) == len(pool.mean) == len(pool.std) == 7
    assert torch.equal(pool.x, plain.test.pool(7, 0).x) is False
    assert len(load_data(dataset, 0.0, CPU, True).validation) == 0


@pytest.mark.parametrize("name", ["planted", "diabetes", "tinyshakespeare", "imagenet"])
def test_what_is_no_image_in_memory_is_not_standardised_one_by_one(name):
    with pytest.raises(InvalidInput, match=f"per_image_standardization.*dataset {name} "):
        load_data(registry.datasets()[name], 0.0, CPU, True)


def test_a_split_of_a_seed_is_its_own_and_a_cached_one_is_not_used_for_another():
    dataset = registry.datasets()["digits"]
    fixed, *by_seed = (load_data(dataset, 0.1, CPU, split_seed=seed) for seed in (None, 0, 1, 0))
    assert torch.equal(by_seed[0].validation.x, by_seed[2].validation.x)
    held = [{row.numpy().tobytes() for row in one.validation.x} for one in (fixed, *by_seed[:2])]
    assert len({len(one) for one in held}) == 1
    assert all(one != other for one in held for other in held if one is not other)
    for one in by_seed[:2]:
        share = torch.bincount(one.validation.y, minlength=10) / 144
        assert float((share - 0.1).abs().max()) < 0.01
        assert torch.equal(one.test.x, fixed.test.x)
        parts = [{row.numpy().tobytes() for row in s.x} for s in (one.train, one.validation)]
        assert not parts[0] & parts[1]


def test_the_split_of_real_targets_follows_a_seed_and_so_does_their_scale():
    one, other = (load_data(registry.datasets()["diabetes"], 0.1, CPU, False, s) for s in (0, 1))
    assert isinstance(one.train, RealSplit)
    assert isinstance(other.train, RealSplit)
    assert one.train.scale != other.train.scale
    assert (len(one.train), len(one.validation)) == (318, 35)
