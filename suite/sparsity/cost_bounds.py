"""Bounds on what a training costs, from bounds on the zeros that its masks may have.

A method declares them with these types (`Sparsifier.zeros_in_training`, `Sparsifier.scoring_cost`,
`Sparsifier.method_cost`); `suite.sparsity.training_cost` adds them up over a training.
"""

import functools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from suite.sparsity.candidates import ALL, Candidates
from suite.sparsity.distribution import Shapes
from suite.sparsity.flops import Counts, ForwardFlops, gradients_read


@dataclass(frozen=True)
class Zeros:
    """What is known of the numbers of zeros between two updates of the masks.

    Attributes:
        least, most: of each layer.
        total: least and most over all layers; None where only the layers' own bounds are known.
        untrained: the same of weights without a gradient; None if those are the zeros.
    """

    least: Counts
    most: Counts
    total: tuple[int, int] | None = None
    untrained: "Zeros | None" = None

    @classmethod
    def exactly(cls, zeros: Counts) -> "Zeros":
        """Return the numbers that are known exactly."""
        return cls(zeros, zeros)

    @classmethod
    def none(cls, names: Iterable[str]) -> "Zeros":
        """Return that every layer of these names is dense."""
        return cls.exactly(dict.fromkeys(names, 0))

    @classmethod
    def in_all(cls, total: int, least: Counts, most: Counts) -> "Zeros":
        """Return an exact total of which only bounds are known for each layer."""
        return cls(least, most, (total, total))

    @property
    def in_network(self) -> tuple[int, int]:
        """The least and the most over all layers."""
        return self.total or (sum(self.least.values()), sum(self.most.values()))


Course = Iterator[tuple[int, Zeros]]
"""(step, zeros from the step after it on), in ascending order of steps; the first step is that at
which the round begins."""


class FlopsBounds(NamedTuple):
    """FLOPs, at least and at most; equal where they are known exactly."""

    least: float
    most: float

    @property
    def is_exact(self) -> bool:
        """Whether both bounds are the same, up to the order of summation."""
        return math.isclose(self.least, self.most, rel_tol=1e-9)

    def __add__(self, other: "FlopsBounds") -> "FlopsBounds":  # type: ignore[override]
        return FlopsBounds(self.least + other.least, self.most + other.most)

    def times(self, factor: float) -> "FlopsBounds":
        """Return both bounds multiplied by a factor of at least 0."""
        return FlopsBounds(self.least * factor, self.most * factor)


@dataclass(frozen=True)
class TrainingSetup:
    """What the cost of a training depends on beside its method and plan.

    Attributes:
        shapes: of the prunable layers, in network order.
        flops: dense forward operations per example.
        batch_size: examples per step.
        pool: examples that a method may score connections with.
        classes: outputs of the network.
        regression: whether targets are real numbers.
        final: zeros at the end: of a finished training those of its record, exactly; before one,
            what its method's targets say (`Sparsifier.final_zeros`).
        groups: of the convolutions that have several.
    """

    shapes: Shapes
    flops: ForwardFlops
    batch_size: int
    pool: int
    classes: int
    regression: bool
    final: Zeros
    groups: Counts = field(default_factory=dict)

    @functools.cached_property
    def sizes(self) -> Counts:
        """Number of weights of each layer."""
        return {name: math.prod(shape) for name, shape in self.shapes.items()}

    def matrix(self, name: str) -> tuple[int, int, int]:
        """Return a layer's weight as matrices: their number (groups), rows and columns of each."""
        groups, rows = self.groups.get(name, 1), self.shapes[name][0]
        return groups, rows // groups, self.sizes[name] // rows

    def positions(self, name: str) -> float:
        """Return at how many positions of one example a layer's weight is multiplied by inputs."""
        return self.flops.layers[name] / (2 * self.sizes[name])

    def forward(self, zeros: Zeros) -> FlopsBounds:
        """Return the forward operations of one example."""
        return FlopsBounds(*(self.flops.of_counts(n, self.sizes) for n in self._active(zeros)))

    def step(
        self, zeros: Zeros, *, dense_gradient: bool, candidates: Candidates = ALL
    ) -> FlopsBounds:
        """Return the operations of one example in a training step.

        The number of gradients that growth looks at rises with that of a layer's active weights;
        a total over all layers does not narrow its bounds.

        Args:
            zeros: of the masks that the step uses.
            dense_gradient: whether the method reads dense gradients in it.
            candidates: whose gradients it looks at then.
        """
        used = self._active(zeros)
        trained = used if zeros.untrained is None else self._active(zeros.untrained)
        by_layer = (self._left(zeros.most), self._left(zeros.least)) if dense_gradient else used
        ends = []
        for active, own, alone in zip(used, trained, by_layer, strict=True):
            gradients = gradients_read(
                alone, self.sizes, own, dense_gradient=dense_gradient, candidates=candidates
            )
            ends.append(self.flops.step(active, gradients, self.sizes))
        return FlopsBounds(*ends)

    def any_steps(self, steps: int) -> FlopsBounds:
        """Return what so many steps cost, whatever their masks: without any connection, and dense.

        No step reads dense gradients.
        """
        anything = Zeros(dict.fromkeys(self.sizes, 0), self.sizes)
        return self.step(anything, dense_gradient=False).times(steps * self.batch_size)

    def _active(self, zeros: Zeros) -> tuple[Counts, Counts]:
        """Return the active weights of each layer at which a forward pass costs least, and most.

        Within a total it costs least where the most expensive weights are zero: those that a
        convolution uses at the most positions.
        """
        if zeros.total is None:
            return self._left(zeros.most), self._left(zeros.least)
        low, high = zeros.total
        cheap = sorted(zeros.least, key=lambda name: self.flops.layers[name] / self.sizes[name])
        least, most = _placed(high, zeros, reversed(cheap)), _placed(low, zeros, cheap)
        return self._left(least), self._left(most)

    def _left(self, zeros: Counts) -> Counts:
        return {name: self.sizes[name] - count for name, count in zeros.items()}


def _placed(total: int, zeros: Zeros, order: Iterable[str]) -> Counts:
    """Return `total` zeros by layer: the least of each, and the rest to layers in `order`."""
    placed = dict(zeros.least)
    left = max(0, total - sum(placed.values()))
    for name in order:
        taken = min(left, max(0, zeros.most[name] - placed[name]))
        placed[name] += taken
        left -= taken
    return placed


def unchanging(setup: TrainingSetup) -> Course:
    """Return the course of a training in which no layer's number of zeros changes."""
    return iter([(0, setup.final)])
