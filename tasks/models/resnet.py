"""Residual networks for small images."""

import functools
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from tasks.models.initialization import initialized


class BasicBlock(nn.Module):
    """Two 3×3 convolutions with a shortcut. [batch, in, h, w] → [batch, out, h/s, w/s].

    Where the shape changes, the shortcut takes every second pixel and either pads channels with
    zeros, which needs no parameters (He et al. 2016, arXiv:1512.03385, §4.2, option A), or is a
    1×1 convolution (`projection`, option B).
    """

    def __init__(self, inputs: int, outputs: int, stride: int, *, projection: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride = stride
        self.padding = outputs - inputs
        changes = stride != 1 or inputs != outputs
        self.shortcut = (
            nn.Conv2d(inputs, outputs, 1, stride, bias=False) if projection and changes else None
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.shortcut is not None:
            x = self.shortcut(x)
        elif self.stride != 1 or self.padding:
            x = x[:, :, :: self.stride, :: self.stride]
            x = F.pad(x, (0, 0, 0, 0, 0, self.padding))
        return F.relu(out + x)


def resnet(
    shape: Sequence[int],
    classes: int,
    *,
    depth: int = 20,
    projection: bool = False,
    width: float = 1.0,
) -> nn.Sequential:
    """Return the CIFAR ResNet of `depth` 6n + 2 with 16, 32, 64 channels, each times `width`.

    Input [batch, channels, h, w], output logits [batch, classes]; depth 20 has 269,722
    parameters on RGB images and 10 classes (0.27 M in the paper's table 6). With `projection`,
    shortcuts between stages are 1×1 convolutions. Weights are normal with variance 2 / fan-in (He
    et al. 2015, arXiv:1502.01852, eq. 10), biases 0.
    Source: He et al. 2016, arXiv:1512.03385, §4.2.
    """
    if (depth - 2) % 6:
        raise ValueError(f"depth={depth} is not 6n + 2")
    first, second, third = (max(1, round(channels * width)) for channels in (16, 32, 64))
    layers: list[nn.Module] = [
        nn.Conv2d(shape[0], first, 3, padding=1, bias=False),
        nn.BatchNorm2d(first),
        nn.ReLU(),
    ]
    inputs = first
    for outputs, stride in ((first, 1), (second, 2), (third, 2)):
        for number in range((depth - 2) // 6):
            layers.append(
                BasicBlock(inputs, outputs, stride if number == 0 else 1, projection=projection)
            )
            inputs = outputs
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(third, classes)]
    he_fan_in = functools.partial(nn.init.kaiming_normal_, mode="fan_in", nonlinearity="relu")
    return initialized(nn.Sequential(*layers), he_fan_in)
