import importlib.util

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from suite.core.errors import InvalidInput
from suite.sparsity.prunable import ALL_MATRICES, Coverage, find_prunable
from suite.sparsity.standardized import check_forward
from tests.conftest import require


@pytest.fixture
def timm_layers():
    """Return the layers of timm."""
    present = importlib.util.find_spec("timm") is not None
    require("timm", present, "pip install 'resonance-bench[timm]'")
    import timm.layers.std_conv

    return timm.layers


class Standardized(nn.Conv2d):
    """Subtracts the mean of each filter, and divides by its deviation."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean, std = self.weight.mean((1, 2, 3), True), self.weight.std((1, 2, 3), keepdim=True)
        return self._conv_forward(x, (self.weight - mean) / std, self.bias)


class StandardizedInside(nn.Conv1d):
    """The same below `forward`, in the method that torch's convolutions call."""

    def _conv_forward(self, x, weight, bias):
        return super()._conv_forward(x, weight - weight.mean((1, 2), True), bias)


class StandardizedLinear(nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, F.layer_norm(self.weight, self.weight.shape[1:]), self.bias)


class StandardizedTransposed(nn.ConvTranspose2d):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight = self.weight - self.weight.mean((0, 2, 3), True)
        return F.conv_transpose2d(x, weight, self.bias, self.stride, groups=self.groups)


class Scaled(nn.Linear):
    """Normalises weight and input by their sizes: what is 0 stays 0."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(F.normalize(x, dim=-1), F.normalize(self.weight, dim=-1))


class Ternary(nn.Linear):
    """Rounds weights to −1, 0, 1 and inputs to 8 bits, as BitNet b1.58 does."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scale = 127 / x.abs().amax(-1, keepdim=True)
        weight = (self.weight / self.weight.abs().mean()).round().clamp(-1, 1)
        return F.linear((x * scale).round() / scale, weight, self.bias)


class Padded(nn.Conv2d):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(F.pad(x, (1, 0, 1, 0))).relu()


class ScaledFilters(nn.Conv2d):
    """Filters of norm 1."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self._conv_forward(x, F.normalize(self.weight.flatten(1)).view_as(self.weight), None)


class Normalizing(nn.Conv2d):
    """Normalises its outputs, not its weights."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.instance_norm(super().forward(x)).tanh()


class Gated(nn.Conv2d):
    """Its weights have no effect as long as the gate is closed."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 1 + 0 * super().forward(x)


class Router(nn.Linear):
    """Gives several tensors."""

    def forward(self, x: torch.Tensor):
        scores, experts = super().forward(x).topk(2)
        return scores, experts


class Conditional(nn.Linear):
    def forward(self, x: torch.Tensor, routing: torch.Tensor) -> torch.Tensor:
        return F.linear(x, self.weight - self.weight.mean()) * routing


@pytest.mark.parametrize(
    "layer",
    [
        Standardized(6, 4, 3),
        Standardized(8, 4, 3, groups=2, padding="same", dilation=2),
        Standardized(2, 4, 1, stride=2),
        StandardizedInside(6, 4, 3),
        StandardizedLinear(6, 4),
        StandardizedTransposed(6, 4, 3, groups=2),
        Standardized(1, 4, 3),  # zeros are at places of the kernel, all inputs are one channel
        Standardized(4, 4, 3, groups=4),
        Standardized(4, 8, 3, groups=4, padding="same", dilation=2),
        Standardized(1, 4, 4, stride=4),
        StandardizedInside(4, 4, 9, groups=4),
        StandardizedTransposed(4, 4, 3, groups=4),
    ],
)
@pytest.mark.parametrize("initial", ["random", "zero"])
def test_a_layer_that_standardizes_its_weight_is_refused_by_name(layer, initial):
    if initial == "zero":
        nn.init.zeros_(layer.weight)
    kind = type(layer).__name__
    with pytest.raises(InvalidInput) as refusal:
        find_prunable(nn.Sequential(nn.Identity(), layer), ALL_MATRICES)
    assert str(refusal.value).startswith(f"layer '1': the output of {kind} depends on inputs")
    assert f"exclude={kind}" in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(6, 4, 3),
        nn.LSTM(6, 4),
        Scaled(6, 4),
        Ternary(6, 4),
        Padded(6, 4, 3, stride=2),
        Padded(1, 4, 3),
        Router(6, 4),
        Conditional(6, 4),
        Padded(4, 4, 3, groups=4),
        ScaledFilters(4, 4, 3, groups=4),
        Normalizing(1, 4, 3),
        Gated(1, 4, 3),
        Standardized(4, 4, 1, groups=4),  # a single weight: nothing is left of it
    ],
)
def test_other_layers_with_a_forward_of_their_own_are_accepted(layer):
    assert find_prunable(nn.Sequential(layer, nn.Linear(2, 2)), ALL_MATRICES)[-1].name == "1"


def test_standardized_layers_can_be_excluded():
    model = nn.Sequential(Standardized(6, 4, 3), nn.Conv2d(4, 4, 3))
    coverage = Coverage(ALL_MATRICES.kinds, exclude=("Standardized",))
    assert [found.name for found in find_prunable(model, coverage)] == ["1"]


def test_the_check_leaves_layer_random_state_and_hooks_alone():
    class Noisy(nn.Conv2d):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x + 0 * torch.rand_like(x))

    layer = Noisy(6, 4, 3)
    calls: list[object] = []
    layer.register_forward_hook(lambda *given: calls.append(given))
    before, state = layer.weight.detach().clone(), torch.get_rng_state()
    version = layer.weight._version
    check_forward({"layer": layer})
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(layer.weight, before)
    assert layer.weight._version == version
    assert layer.training
    assert calls == []


@pytest.mark.parametrize(
    "name", ["StdConv2d", "StdConv2dSame", "ScaledStdConv2d", "ScaledStdConv2dSame"]
)
@pytest.mark.parametrize(("inputs", "groups"), [(8, 1), (1, 1), (4, 4)])
def test_the_standardized_convolutions_of_timm_are_refused(timm_layers, name, inputs, groups):
    layer = getattr(timm_layers.std_conv, name)(inputs, 4, 3, groups=groups, bias=True)
    with pytest.raises(InvalidInput, match=f"layer '0': the output of {name} depends"):
        find_prunable(nn.Sequential(layer))


def test_other_convolutions_and_linear_layers_of_timm_are_accepted(timm_layers):
    model = nn.Sequential(
        timm_layers.Conv2dSame(8, 4, 3, stride=2),
        timm_layers.MixedConv2d(8, 8, [3, 5], depthwise=True),
        timm_layers.create_conv2d(8, 8, 3, padding="same"),
        timm_layers.Linear(8, 4),
    )
    names = [found.name for found in find_prunable(model)]
    assert names == ["0", "1.0", "1.1", "2", "3"]
