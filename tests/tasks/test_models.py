import pytest
import torch

from suite import registry
from suite.declare import load

PARAMETERS = {
    "digits/mlp": 64 * 128 + 128 + 128 * 64 + 64 + 640 + 10,
    "mnist/lenet_300_100": 266_610,
    "fashion_mnist/lenet_300_100": 266_610,
    "fashion_mnist/lenet_5": 431_080,
}


@pytest.mark.parametrize("name", [task.name for task in registry.tasks()])
def test_a_model_has_its_published_size_and_its_datasets_outputs(name):
    task = registry.tasks()[name]
    dataset = registry.datasets()[task.dataset]
    model = load(task.model, task.origin)(dataset.shape, dataset.classes, **task.model_options)
    assert model(torch.zeros(2, *dataset.shape)).shape == (2, dataset.classes)
    assert sum(p.numel() for p in model.parameters()) == PARAMETERS[name]


def test_width_scales_the_hidden_layers():
    build = load("tasks.models.lenet:lenet_5")
    sizes = [
        sum(p.numel() for p in build((1, 28, 28), 10, width=width).parameters())
        for width in (0.25, 0.5, 1)
    ]
    assert sizes[0] < sizes[1] / 2 < sizes[2] / 4


@pytest.mark.parametrize(("depth", "parameters"), [(20, 269_722), (56, 853_018)])
def test_cifar_resnets_have_the_papers_size(depth, parameters):
    model = load("tasks.models.resnet:resnet")((3, 32, 32), 10, depth=depth)
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


def test_a_depth_that_is_no_cifar_resnet_is_refused():
    with pytest.raises(ValueError, match="6n"):
        load("tasks.models.resnet:resnet")((3, 32, 32), 10, depth=18)
