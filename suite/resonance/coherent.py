"""Sparse-to-sparse relatives of resonance: growth where the gradients of a period agree."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from suite.core.errors import InvalidInput
from suite.resonance.detector import permutation_within
from suite.sparsity.cost_bounds import Course, TrainingSetup, unchanging
from suite.sparsity.drop_grow import DropGrow
from suite.sparsity.layers import PrunableWeight
from suite.sparsity.plan import Plan


class Coherent(DropGrow):
    """On RigL's schedule, drop the smallest |w|·power^p and grow the largest |mean g|·c^q.

    Over the gradients recorded since the last update: power is their root mean square, coherence
    c = (mean g)²/mean(g²) in [0, 1] the fraction of power on the zero-frequency line. With
    p = q = 0 this is growth by the mean gradient alone (``rigl_mean_gradient``). It stores
    two running sums per weight, Σg and Σg².
    """

    def __init__(self, plan: Plan, options: Mapping[str, Any]) -> None:
        super().__init__(plan, options)
        if self.options.record_every > self.schedule.every:
            raise InvalidInput(
                f"record_every={self.options.record_every} records nothing between two updates: "
                f"give at most update_every={self.schedule.every}"
            )
        self.total: dict[str, Tensor] = {}
        self.total_square: dict[str, Tensor] = {}
        self.recorded = 0

    def start(self) -> None:
        """Draw the first masks and allocate the sums."""
        super().start()
        self._clear()

    def start_from(self, masks: Mapping[str, Tensor]) -> None:
        """Start from given masks and allocate the sums."""
        super().start_from(masks)
        self._clear()

    def wants_dense_gradient(self, step: int) -> bool:
        """Return whether the gradients of `step` are recorded."""
        return step <= self.schedule.last and step % self.options.record_every == 0

    def observe(self, step: int) -> None:
        """Add the dense gradients to the sums."""
        if not self.wants_dense_gradient(step):
            return
        dense = {layer.name: layer.dense_gradient for layer in self.layers}
        read = {name: gradient for name, gradient in dense.items() if gradient is not None}
        if read:
            gradients = list(read.values())
            torch._foreach_add_([self.total[name] for name in read], gradients)
            squares = [self.total_square[name] for name in read]
            torch._foreach_addcmul_(squares, gradients, gradients)
        self.recorded += 1

    def update(self, step: int) -> None:
        """Replace a fraction of every layer's active weights and reset the sums."""
        super().update(step)
        self._clear()

    def drop_scores(self, layer: PrunableWeight, step: int) -> Tensor:
        """Return |w|·power^p."""
        _, power, _ = self._signal(layer, step)
        return layer.values.abs() * power**self.options.drop_power

    def grow_scores(self, layer: PrunableWeight, step: int) -> Tensor:
        """Return |mean g|·c^q."""
        mean, _, coherence = self._signal(layer, step)
        return mean.abs() * coherence**self.options.coherence_power

    def _signal(self, layer: PrunableWeight, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return the mean, power and coherence of the recorded gradients, the weight's shape."""
        mean = self.total[layer.name] / self.recorded
        square = self.total_square[layer.name] / self.recorded
        coherence = mean.square() / square.clamp_min(torch.finfo(square.dtype).tiny)
        signal = (mean, square.sqrt(), coherence.clamp_max(1))
        if self.options.shuffle == "none":
            return signal
        generator = self.generator(layer, "shuffle", step if self.options.shuffle == "each" else 0)
        order = torch.randperm(layer.size, generator=generator, device=layer.device)
        source = permutation_within(order, square.flatten() > 0)
        mean, power, coherence = (part.flatten()[source].view(layer.shape) for part in signal)
        return mean, power, coherence

    def _clear(self) -> None:
        self.recorded = 0
        for sums in (self.total, self.total_square):
            if sums:
                torch._foreach_zero_(list(sums.values()))
            else:
                sums.update({layer.name: torch.zeros_like(layer.values) for layer in self.layers})

    def zeros_in_training(self, number: int, setup: TrainingSetup) -> Course:
        """Return that as many weights are grown as were dropped."""
        return unchanging(setup)

    def method_state(self) -> dict[str, Any]:
        """Return the sums."""
        return {
            "total": self.total,
            "total_square": self.total_square,
            "recorded": self.recorded,
        }

    def load_method_state(self, state: Mapping[str, Any]) -> None:
        """Restore what `method_state` returned."""
        self.total = {name: value.clone() for name, value in state["total"].items()}
        self.total_square = {name: value.clone() for name, value in state["total_square"].items()}
        self.recorded = state["recorded"]
