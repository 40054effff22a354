"""What a training can have cost: bounds on its FLOPs, from the zeros that its masks may have had.

Nothing is trained. What a method's schedule allows is declared by the method
(`Sparsifier.zeros_in_training`, `Sparsifier.scoring_cost`); the rest is in the record.
"""

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from suite.sparsity.candidates import Candidates
from suite.sparsity.distribution import Shapes
from suite.sparsity.flops import ForwardFlops
from suite.sparsity.plan import Plan

Counts = Mapping[str, int]
"""Numbers of zeros by layer name."""


@dataclass(frozen=True)
class Zeros:
    """What is known of the numbers of zeros between two updates of the masks.

    Attributes:
        least, most: of each layer.
        total: least and most over all layers; None where only the layers' own bounds are known.
        untrained: numbers of weights without a gradient, of each layer; None if they are the zeros.
    """

    least: Counts
    most: Counts
    total: tuple[int, int] | None = None
    untrained: Counts | None = None

    @classmethod
    def exactly(cls, zeros: Counts) -> "Zeros":
        """Return the numbers that are known exactly."""
        return cls(zeros, zeros)

    @classmethod
    def none(cls, zeros: Counts) -> "Zeros":
        """Return that every layer of `zeros` is dense."""
        return cls.exactly(dict.fromkeys(zeros, 0))

    @classmethod
    def in_all(cls, total: int, least: Counts, most: Counts) -> "Zeros":
        """Return an exact total of which only bounds are known for each layer."""
        return cls(least, most, (total, total))


Course = Iterator[tuple[int, Zeros]]
"""(step, zeros from the step after it on), in ascending order of steps; the first step is that at
which the round begins."""


MOST_STEPS, MOST_CHANGES = 10**6, 10_000
"""Steps, and changes of the numbers of zeros, that are followed one by one; there are only bounds
on more, because a record could name any number."""


class Cost(NamedTuple):
    """FLOPs, at least and at most; equal where they are known exactly."""

    least: float
    most: float

    @property
    def is_exact(self) -> bool:
        """Whether both bounds are the same, up to the order of summation."""
        return math.isclose(self.least, self.most, rel_tol=1e-9)

    def __add__(self, other: "Cost") -> "Cost":  # type: ignore[override]
        return Cost(self.least + other.least, self.most + other.most)

    def times(self, factor: float) -> "Cost":
        """Return both bounds multiplied by a factor of at least 0."""
        return Cost(self.least * factor, self.most * factor)


@dataclass(frozen=True)
class Finished:
    """A finished training, as its record and its task's declaration have it.

    Attributes:
        zeros: of each prunable layer at the end.
        shapes: of the same layers, in network order.
        flops: dense forward operations per example.
        batch_size: examples per step.
        pool: examples that a method may score connections with.
        classes: outputs of the network.
        regression: whether targets are real numbers.
    """

    zeros: Counts
    shapes: Shapes
    flops: ForwardFlops
    batch_size: int
    pool: int
    classes: int
    regression: bool

    def forward(self, zeros: Zeros) -> Cost:
        """Return the forward operations of one example, at the least and the most that they cost.

        Within a total the operations are fewest where the most expensive weights are zero: those
        that a convolution uses at the most positions.
        """
        sizes = {name: math.prod(shape) for name, shape in self.shapes.items()}
        cost = {name: self.flops.layers[name] / size for name, size in sizes.items()}
        saved = sum(cost[name] * count for name, count in zeros.least.items())
        if zeros.total is None:
            most_saved = sum(cost[name] * count for name, count in zeros.most.items())
            return Cost(self.flops.dense - most_saved, self.flops.dense - saved)
        room = {name: max(0, zeros.most[name] - least) for name, least in zeros.least.items()}
        certain = sum(zeros.least.values())
        by_cost = sorted(room, key=lambda name: cost[name])
        low, high = (max(0, total - certain) for total in zeros.total)
        return Cost(
            self.flops.dense - saved - _filled(high, room, cost, reversed(by_cost)),
            self.flops.dense - saved - _filled(low, room, cost, iter(by_cost)),
        )

    def gradients(self, zeros: Zeros, candidates: Candidates) -> Cost:
        """Return the operations of one example's weight gradients where growth looks at them.

        Their number rises with that of a layer's active weights; a total over all layers does not
        narrow the bounds.
        """
        sizes = {name: math.prod(shape) for name, shape in self.shapes.items()}

        def at(counts: Counts) -> float:
            read = {n: candidates.gradients(sizes[n] - counts[n], sizes[n]) for n in sizes}
            return self.flops.at({name: count / sizes[name] for name, count in read.items()})

        return Cost(at(zeros.most), at(zeros.least))


def _filled(count: int, room: Counts, cost: Mapping[str, float], order: Iterator[str]) -> float:
    """Return what `count` zeros save that are given to layers in `order`, each up to its room."""
    saved = 0.0
    for name in order:
        taken = min(count, room[name])
        saved += taken * cost[name]
        count -= taken
    return saved


class Declaring(Protocol):
    """What is asked of a method: see `suite.sparsity.sparsifier.Sparsifier`."""

    plan: Plan
    rounds: int
    rewind_step: int

    @property
    def growth_candidates(self) -> Candidates:
        """Whose gradients growth looks at, where dense ones are read."""

    @property
    def declares_cost(self) -> bool:
        """Whether its class says what zeros its masks may have."""

    def zeros_in_training(self, number: int, finished: Finished) -> Course:
        """Return the zeros that the masks may have during round `number`."""

    def wants_dense_gradient(self, step: int) -> bool:
        """Return whether dense gradients are read at `step`."""

    def scoring_cost(self, finished: Finished) -> Cost:
        """Return what scoring connections costs."""


def unchanging(finished: Finished) -> Course:
    """Return the course of a training in which no layer's number of zeros changes."""
    return iter([(0, Zeros.exactly(finished.zeros))])


def of_steps(steps: int, finished: Finished) -> Cost:
    """Return what so many steps cost, whatever their masks: without any connection, and dense."""
    full = {name: math.prod(shape) for name, shape in finished.shapes.items()}
    empty = finished.forward(Zeros.exactly(full)).least
    return Cost(empty, finished.flops.dense).times(3 * steps * finished.batch_size)


def training_cost(method: Declaring, finished: Finished) -> Cost:
    """Return the FLOPs that a training can have cost.

    Of a method that declares nothing (`declares_cost`): of its steps alone, between masks without
    any connection and none. The same, and what scoring costs, where zeros change too often; where
    there are too many steps, dense gradients may have been read at none of them or all.
    """
    steps = method.plan.steps
    every = method.rounds * steps - (method.rounds - 1) * method.rewind_step
    if not method.declares_cost:
        return of_steps(every, finished)
    total, changes = Cost(0.0, 0.0), 0
    for number in range(method.rounds):
        begin = method.rewind_step if number else 0
        left = MOST_CHANGES - changes
        course = list(itertools.islice(method.zeros_in_training(number, finished), left + 1))
        if len(course) > left:
            return of_steps(every, finished) + method.scoring_cost(finished)
        changes += len(course)
        ends = [step for step, _ in course[1:]] + [steps]
        for (start, zeros), end in zip(course, ends, strict=True):
            first = max(start, begin)
            forward = gradients = finished.forward(zeros)
            if zeros.untrained is not None:
                gradients = finished.forward(Zeros.exactly(zeros.untrained))
            if every > MOST_STEPS:
                most = 2 * forward.most + finished.gradients(zeros, method.growth_candidates).most
                total += Cost(3 * forward.least, most).times(end - first)
                continue
            dense = sum(map(method.wants_dense_gradient, range(first + 1, end + 1)))
            total += forward.times(2 * (end - first)) + gradients.times(end - first - dense)
            total += finished.gradients(zeros, method.growth_candidates).times(dense)
    return total.times(finished.batch_size) + method.scoring_cost(finished)
