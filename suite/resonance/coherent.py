"""Sparse-to-sparse relatives of resonance: growth where the gradients of a period agree."""

import functools
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from suite.core.errors import InvalidInput
from suite.resonance.running_sums import Moments, RunningSums
from suite.resonance.shuffle import signal_sources
from suite.sparsity.cost_bounds import Course, TrainingSetup, unchanging
from suite.sparsity.drop_grow import DropGrow
from suite.sparsity.layers import PrunableWeight
from suite.sparsity.plan import Plan


class Coherent(DropGrow):
    """On RigL's schedule, drop the smallest |w|·power^p and grow the largest |mean g|·c^q.

    Over the gradients recorded since the last update: power is their root mean square, coherence
    c = (mean g)²/mean(g²) in [0, 1] the fraction of power on the zero-frequency line. With
    p = q = 0 this is growth by the mean gradient alone (``rigl_mean_gradient``).
    """

    def __init__(self, plan: Plan, options: Mapping[str, Any]) -> None:
        super().__init__(plan, options)
        if self.options.record_every > self.schedule.every:
            raise InvalidInput(
                f"record_every={self.options.record_every} records nothing between two updates: "
                f"give at most update_every={self.schedule.every}"
            )
        self.sums = RunningSums({})

    def start(self) -> None:
        """Draw the first masks and allocate the sums."""
        super().start()
        self._allocate()

    def start_from(self, masks: Mapping[str, Tensor]) -> None:
        """Start from given masks and allocate the sums."""
        super().start_from(masks)
        self._allocate()

    def _allocate(self) -> None:
        self.sums = RunningSums({layer.name: layer.values for layer in self.layers})

    def wants_dense_gradient(self, step: int) -> bool:
        """Return whether the gradients of `step` are recorded."""
        return step <= self.schedule.last and step % self.options.record_every == 0

    def observe(self, step: int) -> None:
        """Add the dense gradients to the sums."""
        if not self.wants_dense_gradient(step):
            return
        self.sums.record({layer.name: layer.dense_gradient for layer in self.layers})

    def update(self, step: int) -> None:
        """Replace a fraction of every layer's active weights and reset the sums."""
        super().update(step)
        self.sums.clear()

    def can_update(self, layer: PrunableWeight) -> bool:
        """Return whether any gradient was recorded: without one nothing can grow."""
        # Asked of the sums, at updates alone: a device is not waited for at every step. Not of the
        # squares, which in half precision are 0 for small gradients.
        return super().can_update(layer) and bool(self.sums.total[layer.name].any())

    def drop_scores(self, layer: PrunableWeight, step: int) -> Tensor:
        """Return |w|·power^p."""
        return layer.values.abs() * self._moments(layer, step).power ** self.options.drop_power

    def grow_scores(self, layer: PrunableWeight, step: int) -> Tensor:
        """Return |mean g|·c^q."""
        moments = self._moments(layer, step)
        return moments.mean.abs() * moments.coherence**self.options.coherence_power

    def _moments(self, layer: PrunableWeight, step: int) -> Moments:
        moments = self.sums.moments(layer.name)
        live = moments.mean_square.flatten() > 0
        generator = functools.partial(self.generator, layer, "shuffle")
        source = signal_sources(self.options.shuffle, step, live, generator)
        return moments if source is None else moments.taken_from(source)

    def zeros_in_training(self, number: int, setup: TrainingSetup) -> Course:
        """Return that as many weights are grown as were dropped."""
        return unchanging(setup)

    def method_state(self) -> dict[str, Any]:
        """Return the sums."""
        return self.sums.state()

    def load_method_state(self, state: Mapping[str, Any]) -> None:
        """Restore what `method_state` returned."""
        self.sums.load(state)
