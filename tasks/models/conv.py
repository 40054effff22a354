"""Small VGG-like networks for 32×32 images, from the lottery-ticket literature."""

import functools
import itertools
from collections.abc import Sequence

from torch import nn

from tasks.models.initialization import initialized


def conv_net(
    shape: Sequence[int], classes: int, *, depth: int = 6, width: float = 1.0
) -> nn.Sequential:
    """Return Conv-2, Conv-4 or Conv-6: pairs of 3×3 convolutions and three linear layers.

    Pairs have 64, 128, 256 channels and end in 2×2 max-pooling; then twice 256 hidden units.
    Input [batch, channels, h, w], output logits [batch, classes]. On 32×32 RGB images 38 K, 260 K
    and 1.1 M weights are in convolutions; 4.3 M, 2.4 M and 2.26 M in all. (The paper says 1.7 M for
    depth 6; the layers of its table give 2.26 M.) Weights are drawn from Glorot's normal
    distribution, biases are 0.
    Source: Frankle & Carbin 2019, arXiv:1803.03635, figure 2.
    """
    if depth not in (2, 4, 6):
        raise ValueError(f"depth={depth} is none of 2, 4, 6")
    pairs = [max(1, round(channels * width)) for channels in (64, 128, 256)][: depth // 2]
    units = max(1, round(256 * width))
    layers: list[nn.Module] = []
    inputs, side = shape[0], list(shape[1:])
    for outputs in pairs:
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
        layers += [nn.Conv2d(outputs, outputs, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        inputs, side = outputs, [length // 2 for length in side]
    layers.append(nn.Flatten())
    for before, after in itertools.pairwise((inputs * side[0] * side[1], units, units)):
        layers += [nn.Linear(before, after), nn.ReLU()]
    model = nn.Sequential(*layers, nn.Linear(units, classes))
    return initialized(model, nn.init.xavier_normal_)


VGG = {
    16: ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)),
    19: ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4)),
}
"""(channels, number of 3×3 convolutions) of each stage; stages end in max-pooling."""


def vgg_bn(
    shape: Sequence[int], classes: int, *, depth: int = 16, width: float = 1.0
) -> nn.Sequential:
    """Return VGG-16 or VGG-19 with batch norm and one linear layer, for 32×32 images.

    Input [batch, channels, 32, 32], output logits [batch, classes]; 14.7 M and 20.0 M parameters
    on RGB images and 10 classes. Weights of convolutions are normal with variance 2 / fan-out,
    those of the linear layer with a deviation of 0.01, as in GraSP's code.
    Source: Simonyan & Zisserman 2015, arXiv:1409.1556, table 1 (D and E), in the form for CIFAR of
    Wang et al. 2020, arXiv:2002.07376 (GraSP).
    """
    if depth not in VGG:
        raise ValueError(f"depth={depth} is none of {', '.join(map(str, VGG))}")
    layers: list[nn.Module] = []
    inputs = shape[0]
    for channels, count in VGG[depth]:
        outputs = max(1, round(channels * width))
        for _ in range(count):
            convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
            layers += [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]
            inputs = outputs
        layers.append(nn.MaxPool2d(2))
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes)]
    he_fan_out = functools.partial(nn.init.kaiming_normal_, mode="fan_out", nonlinearity="relu")
    return initialized(
        nn.Sequential(*layers), he_fan_out, functools.partial(nn.init.normal_, std=0.01)
    )
