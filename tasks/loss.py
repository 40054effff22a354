"""The training loss and the ranking metrics of tasks; the same loss for labels and for text.

The last dimension of outputs holds a logit per class; all dimensions before it (examples, positions
in a text) count predictions.
"""

import math
from collections.abc import Callable, Mapping

from torch import Tensor
from torch.nn import functional as F

METRICS: Mapping[str, Callable[[float, float], float]] = {
    "accuracy": lambda accuracy, nll: accuracy,
    "bits_per_character": lambda accuracy, nll: nll / math.log(2),
}
"""Ranking metrics, each a function of (accuracy, negative log-likelihood in nats)."""


def flat(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return outputs as [predictions, classes] and targets as [predictions]."""
    return outputs.flatten(0, -2), targets.flatten()


def cross_entropy(outputs: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Return the mean negative log-likelihood: outputs [b, …, classes], targets [b, …]."""
    return F.cross_entropy(*flat(outputs, targets), label_smoothing=label_smoothing)
