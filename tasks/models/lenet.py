"""LeNet-5 in the variant of the pruning literature."""

from collections.abc import Sequence

from torch import nn


def lenet_5(shape: Sequence[int], classes: int, *, width: float = 1.0) -> nn.Sequential:
    """Return LeNet-5 (Caffe): two 5×5 convolutions of 20 and 50 channels, 500 hidden units.

    Input [batch, 1, 28, 28], output logits [batch, classes]; 431,080 parameters. This is the
    LeNet-5 of Han et al. 2015 (arXiv:1506.02626), not the smaller one of 1998.
    """
    first, second, units = (max(1, round(size * width)) for size in (20, 50, 500))
    height, breadth = ((side - 4) // 2 for side in shape[1:])
    height, breadth = ((side - 4) // 2 for side in (height, breadth))
    return nn.Sequential(
        nn.Conv2d(shape[0], first, 5),
        nn.MaxPool2d(2),
        nn.Conv2d(first, second, 5),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(second * height * breadth, units),
        nn.ReLU(),
        nn.Linear(units, classes),
    )
