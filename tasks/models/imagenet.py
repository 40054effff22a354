"""Networks for ImageNet: torchvision's ResNet-50, and MobileNet-v1."""

from collections.abc import Sequence
from typing import Any

from torch import nn
from torchvision.models.resnet import Bottleneck, ResNet

MOBILENET = (
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
    *[(512, 1)] * 5,
    *((1024, 2), (1024, 1)),
)
"""(channels, stride) of each depthwise separable convolution."""


class ScaledResNet(ResNet):  # type: ignore[misc]
    """torchvision's ResNet with its stages' channels times `width`; identical to it for 1."""

    def __init__(self, *args: Any, width: float, **options: Any) -> None:
        self.width = width
        super().__init__(*args, **options)
        if width != 1:
            self.fc = nn.Linear(self.inplanes, options["num_classes"])

    def _make_layer(self, block: Any, planes: int, *args: Any, **options: Any) -> nn.Sequential:
        stage: nn.Sequential = super()._make_layer(
            block, max(1, round(planes * self.width)), *args, **options
        )
        return stage


def resnet_50(shape: Sequence[int], classes: int, *, width: float = 1.0) -> nn.Module:
    """Return ResNet-50 (stride in the 3×3 convolutions): 25,557,032 parameters for 1000 classes.

    Input [batch, 3, h, w], output logits [batch, classes]; 4.09 GMACs at 224×224.
    Source: He et al. 2016, arXiv:1512.03385, table 1; torchvision.
    """
    if shape[0] != 3:
        raise ValueError(f"ResNet-50 takes RGB images, not {shape[0]} channels")
    return ScaledResNet(Bottleneck, [3, 4, 6, 3], num_classes=classes, width=width)


def mobilenet_v1(shape: Sequence[int], classes: int, *, width: float = 1.0) -> nn.Sequential:
    """Return MobileNet-v1: 4.2 M parameters and 569 M multiply-adds at 224×224, 1000 classes.

    Input [batch, channels, h, w], output logits [batch, classes]. A depthwise 3×3 and a pointwise
    convolution alternate, each with batch norm and ReLU.
    Source: Howard et al. 2017, arXiv:1704.04861, tables 1 and 8; `width` is its multiplier α.
    """

    def convolution(
        inputs: int, outputs: int, size: int, stride: int, groups: int = 1
    ) -> list[nn.Module]:
        made = nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False)
        return [made, nn.BatchNorm2d(outputs), nn.ReLU()]

    inputs = max(1, round(32 * width))
    layers = convolution(shape[0], inputs, 3, 2)
    for channels, stride in MOBILENET:
        outputs = max(1, round(channels * width))
        layers += convolution(inputs, inputs, 3, stride, groups=inputs)
        layers += convolution(inputs, outputs, 1, 1)
        inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes))
