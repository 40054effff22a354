"""Fully connected networks."""

import itertools
import math
from collections.abc import Sequence

from torch import nn


def mlp(
    shape: Sequence[int], classes: int, *, hidden: Sequence[int], width: float = 1.0
) -> nn.Sequential:
    """Return a ReLU network with `hidden` units per layer, each times `width`.

    Input [batch, *shape], output logits [batch, classes]. LeNet-300-100 (LeCun et al. 1998) is
    hidden = (300, 100) on 28×28 images: 266,610 parameters.
    """
    sizes = [math.prod(shape), *(max(1, round(units * width)) for units in hidden)]
    layers: list[nn.Module] = [nn.Flatten()]
    for inputs, outputs in itertools.pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], classes))
