"""Data labelled by a planted teacher network."""

import pytest
import torch

from suite.experiments import registry
from suite.experiments.trial_config import Trial
from suite.training.trial import run_trial
from tasks.datasets import planted
from tasks.pipeline import load_arrays


def masks(layers) -> dict[str, torch.Tensor]:
    return {str(number): layer != 0 for number, layer in enumerate(layers)}


def test_the_teacher_itself_is_recovered_whatever_the_order_of_its_units():
    dataset = registry.datasets()["planted"]
    first, last = planted.teacher(dataset)
    assert (first != 0).sum(1).tolist() == [6] * 32
    assert (last != 0).sum(1).tolist() == [8] * 8
    order = torch.randperm(32)
    for layers in ((first, last), (first[order], last[:, order])):
        found = planted.recovered(dataset, masks(layers))
        assert found["recovered_precision"] == found["recovered_recall"] == 1
        assert found["recovered_chance"] < 0.4


def test_random_masks_recover_what_chance_gives():
    dataset = registry.datasets()["planted"]
    generator = torch.Generator().manual_seed(3)
    shapes, kept = [(32, 64), (8, 32)], [192, 64]
    drawn = {}
    for number, (shape, count) in enumerate(zip(shapes, kept, strict=True)):
        mask = torch.zeros(shape[0] * shape[1], dtype=torch.bool)
        mask[torch.randperm(len(mask), generator=generator)[:count]] = True
        drawn[str(number)] = mask.view(shape)
    found = planted.recovered(dataset, drawn)
    assert found["recovered_precision"] == pytest.approx(found["recovered_chance"], abs=0.06)
    assert planted.recovered(dataset, {"0": torch.ones(3, 3, dtype=torch.bool)}) == {}


def test_labels_are_the_teachers_own():
    dataset = registry.datasets()["planted"]
    arrays, digest = load_arrays(dataset)
    assert digest == dataset.checksum
    first, last = planted.teacher(dataset)
    x = torch.cat([arrays.train_x, arrays.test_x]).double()
    outputs = (x @ first.T).relu() @ last.T
    outputs = (outputs - outputs.mean(0)) / outputs.std(0)
    assert torch.equal(outputs.argmax(1), torch.cat([arrays.train_y, arrays.test_y]))


def test_a_magnitude_pruned_student_recovers_more_of_the_teacher_than_chance():
    trial = Trial.make(task="planted/mlp", method="magnitude", sparsity=0.888,
                       recipe={"epochs": 12})  # fmt: skip
    metrics = run_trial(trial).record.metrics
    assert metrics["recovered_precision"] > 1.5 * metrics["recovered_chance"]
    assert metrics["recovered_recall"] > 1.5 * metrics["recovered_chance"]
