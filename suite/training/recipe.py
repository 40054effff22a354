"""A recipe's optimizer and learning rate."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True)
class LearningRate:
    """The learning rate as a pure function of the step (from 1), so that it can start anywhere.

    Linear warm-up over the first `warmup` steps, then constant or a half cosine to zero.
    """

    peak: float
    schedule: str
    warmup: int
    steps: int

    def __call__(self, step: int) -> float:
        """Return the rate of the `step`-th optimizer step."""
        done = step - 1
        if done < self.warmup:
            return self.peak * (done + 1) / self.warmup
        if self.schedule == "constant":
            return self.peak
        progress = (done - self.warmup) / max(1, self.steps - self.warmup)
        return self.peak / 2 * (1 + math.cos(math.pi * progress))


def learning_rate(recipe: Mapping[str, Any], steps: int) -> LearningRate:
    """Return the recipe's learning rate over `steps` steps."""
    warmup = math.floor(recipe["warmup"] * steps)
    return LearningRate(recipe["learning_rate"], recipe["schedule"], warmup, steps)


def make_optimizer(model: nn.Module, recipe: Mapping[str, Any]) -> torch.optim.Optimizer:
    """Return the recipe's optimizer over all of the model's parameters."""
    rate, decay = recipe["learning_rate"], recipe["weight_decay"]
    if recipe["optimizer"] == "sgd":
        return torch.optim.SGD(
            model.parameters(),
            lr=rate,
            momentum=recipe["momentum"],
            nesterov=recipe["nesterov"],
            weight_decay=decay,
        )
    adam = torch.optim.Adam if recipe["optimizer"] == "adam" else torch.optim.AdamW
    return adam(model.parameters(), lr=rate, weight_decay=decay)
