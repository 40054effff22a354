"""Splits and normalisation."""

import pytest
import torch

from suite.experiments import registry
from tasks.data import training_examples
from tasks.pipeline import load_data

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
