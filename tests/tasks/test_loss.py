"""The training loss of labels and of real targets."""

import pytest
import torch
from torch.nn import functional as F

from suite.core.errors import InvalidInput
from suite.experiments import registry
from tasks.loss import check_recipe, training_loss
from tasks.recipe import Recipe


def recipe(**given) -> Recipe:
    return registry.tasks()["diabetes/mlp"].resolve_recipe(given)


def test_labels_have_the_cross_entropy_and_real_targets_the_squared_error():
    torch.manual_seed(0)
    outputs, labels = torch.randn(6, 3), torch.tensor([0, 2, 1, 1, 0, 2])
    of_labels = training_loss(registry.datasets()["digits"], recipe(label_smoothing=0.1))
    expected = F.cross_entropy(outputs, labels, label_smoothing=0.1)
    assert torch.equal(of_labels(outputs, labels), expected)
    targets = torch.randn(6, 3)
    of_real = training_loss(registry.datasets()["diabetes"], recipe())
    assert float(of_real(outputs, targets)) == pytest.approx(
        float(((outputs - targets) ** 2).mean())
    )


def test_labels_cannot_be_smoothed_where_there_are_none():
    dataset = registry.datasets()["diabetes"]
    check_recipe("diabetes/mlp", dataset, recipe())
    with pytest.raises(InvalidInput, match=r"label_smoothing=0\.1.*real targets"):
        check_recipe("diabetes/mlp", dataset, recipe(label_smoothing=0.1))
