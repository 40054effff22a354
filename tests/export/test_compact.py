"""A compacted network computes what the whole one computes."""

import pytest
import torch
from torch import nn

from suite.core.errors import InvalidInput
from suite.export.compact import compact, find_segments
from tasks.models.lenet import lenet_5
from tasks.models.resnet import resnet


def outputs(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model(x.clone())


def random_units(model: nn.Module, share: float) -> None:
    """Cut all incoming weights of some units, all outgoing of others; biases stay."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                rows, columns = (
                    torch.rand(n, generator=generator) for n in module.weight.shape[:2]
                )
                module.weight[rows < share] = 0
                module.weight[:, columns < share] = 0
            elif isinstance(module, nn.BatchNorm2d):
                for value in (module.running_mean, module.weight, module.bias):
                    value.copy_(torch.randn(value.shape, generator=generator))
                module.running_var.copy_(torch.rand(value.shape, generator=generator) + 0.5)


@pytest.mark.parametrize(
    ("build", "shape"),
    [
        (lambda: lenet_5((1, 28, 28), 10), (1, 28, 28)),
        (lambda: resnet((3, 32, 32), 10, depth=8), (3, 32, 32)),
        (
            lambda: nn.Sequential(
                nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Sigmoid(), nn.MaxPool2d(2),
                nn.Conv2d(8, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
                nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 10, bias=False), nn.Tanh(),
                nn.Linear(10, 4),
            ),
            (1, 8, 8),
        ),
    ],
    ids=["lenet_5", "resnet", "norms, constants, padding"],
)  # fmt: skip
def test_convolutions_norms_and_biases_are_compacted(build, shape):
    torch.manual_seed(0)
    model = build().eval()
    random_units(model, 0.3)
    x = torch.randn(16, *shape)
    smaller = compact(model, x)
    count = [sum(p.numel() for p in m.parameters()) for m in (model, smaller)]
    assert count[1] < 0.9 * count[0]
    fresh = torch.randn(16, *shape)
    expected = outputs(model, fresh)
    scale = float(expected.abs().max())
    torch.testing.assert_close(outputs(smaller, fresh), expected, rtol=1e-4, atol=1e-5 * scale)


def test_what_feeds_a_sum_stays():
    pairs = find_segments(resnet((3, 32, 32), 10, depth=8))
    assert [(s.source, s.target, s.norms) for s in pairs] == [
        (f"{block}.conv1", f"{block}.conv2", [f"{block}.bn1"]) for block in (3, 4, 5)
    ]


@pytest.mark.parametrize("seed", range(8))
def test_a_layer_of_which_nothing_is_left_keeps_one_unit(seed):
    torch.manual_seed(seed)  # the biases of dead units are constants that the next layer sees
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)).eval()
    with torch.no_grad():
        model[0].weight.zero_()
    x = torch.randn(8, 4)
    smaller = compact(model, x)
    assert smaller[0].weight.shape == (1, 4)
    torch.testing.assert_close(outputs(smaller, x), outputs(model, x))


def test_a_model_that_cannot_be_followed_is_refused_in_one_line():
    class Branches(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(InvalidInput, match=r"Branches cannot be compacted.*safetensors or onnx"):
        compact(Branches(), torch.ones(2))
