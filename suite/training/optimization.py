"""The optimizer and the learning rate that a recipe describes."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from tasks.recipe import Recipe


@dataclass(frozen=True)
class LearningRate:
    """The learning rate as a pure function of the step (from 1): training can resume anywhere.

    Linear warm-up over the first `warmup` steps, then constant, a half cosine or a straight line
    from the peak to `final` times the peak, or times `factor` from each of `drops` on.

    Attributes:
        drops: numbers of finished steps, ascending, for schedule ``step``.
    """

    peak: float
    schedule: str
    warmup: int
    steps: int
    final: float = 0.0
    factor: float = 0.1
    drops: tuple[int, ...] = ()

    def __call__(self, step: int) -> float:
        """Return the rate of the `step`-th optimizer step."""
        done = step - 1
        if done < self.warmup:
            return self.peak * (done + 1) / self.warmup
        if self.schedule == "constant":
            return self.peak
        if self.schedule == "step":
            return self.peak * self.factor ** sum(done >= drop for drop in self.drops)
        progress = (done - self.warmup) / max(1, self.steps - self.warmup)
        if self.schedule == "linear":
            return self.peak * (1 - (1 - self.final) * progress)
        low = self.final * self.peak
        return low + (self.peak - low) / 2 * (1 + math.cos(math.pi * progress))


def learning_rate(recipe: Recipe, steps: int) -> LearningRate:
    """Return the recipe's learning rate over `steps` steps."""
    return LearningRate(
        peak=recipe.learning_rate,
        schedule=recipe.schedule,
        warmup=math.floor(recipe.warmup * steps),
        steps=steps,
        final=recipe.min_lr_ratio,
        factor=recipe.decay_factor,
        drops=tuple(round(fraction * steps) for fraction in recipe.milestones),
    )


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the recipe's optimizer over all of the model's parameters."""
    common: dict[str, Any] = {"lr": recipe.learning_rate, "weight_decay": recipe.weight_decay}
    parameters: list[Any] = list(model.parameters())
    if recipe.weight_decay_scope == "matrices":
        # Biases, norms and other vectors do not decay (as in nanoGPT, for instance).
        vectors = [parameter for parameter in parameters if parameter.ndim < 2]
        matrices = [parameter for parameter in parameters if parameter.ndim >= 2]
        parameters = [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}]
    if recipe.optimizer == "sgd":
        momentum, nesterov = recipe.momentum, recipe.nesterov
        return torch.optim.SGD(parameters, momentum=momentum, nesterov=nesterov, **common)
    adam = torch.optim.Adam if recipe.optimizer == "adam" else torch.optim.AdamW
    return adam(parameters, betas=(0.9, recipe.beta2), **common)
