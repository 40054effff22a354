"""Random empty places of a weight, drawn by the activity of their row and of their column."""

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from suite.sparsity.layers import by_output
from suite.sparsity.masks import count_true, distinct, places_of, random_empty, where_true

MOST_DRAWS = 10
"""Draws for each wanted place, after which the rest is drawn uniformly."""

LEAST_DRAWN = 2**9
"""On a CPU at least so many draws are made at once: where the last places are hardly ever drawn,
there would be a batch for each draw."""

BUCKETS = 2**14
"""Parts of [0, 1) for which the index that they draw is looked up."""

BITS = 31
"""Random bits that a row, or a column, is drawn with."""

LEVELS = 2**36
"""Steps into which the largest value is divided before values are added up, as whole numbers."""


@dataclass(frozen=True)
class Grid:
    """Rows and columns of a weight: its outputs, and what each of them reads.

    In a convolution a column is an input channel and a position in the kernel. Groups have rows
    and columns of their own, numbered one group after another.

    Attributes:
        groups: of a convolution; 1 in other layers.
        rows: of a group.
        columns: of a group.
        kernel: positions in the kernel of a transposed convolution, whose weights are
            [in, out / groups, ...]; 0 in other layers, whose weights are [out, in / groups, ...].
    """

    groups: int
    rows: int
    columns: int
    kernel: int = 0

    @classmethod
    def of(cls, module: nn.Module, weight: torch.Size) -> "Grid":
        """Return that of a weight of two or more dimensions, which `module` holds."""
        if isinstance(module, nn.modules.conv._ConvTransposeNd):
            shape = by_output(module, torch.empty(weight, device="meta")).shape
            return cls(shape[0], shape[1], math.prod(shape[2:]), math.prod(shape[3:]))
        groups = module.groups if isinstance(module, nn.modules.conv._ConvNd) else 1
        return cls(groups, weight[0] // groups, weight[1:].numel())

    def at(self, places: Tensor) -> tuple[Tensor, Tensor]:
        """Return the rows and the columns of flat `places` [m]."""
        if not self.kernel:
            rows = places // self.columns
            columns = places - rows * self.columns
            return rows, columns + rows // self.rows * self.columns if self.groups > 1 else columns
        inputs, output = places // (self.rows * self.kernel), places // self.kernel % self.rows
        group = inputs // (self.columns // self.kernel)
        return group * self.rows + output, inputs * self.kernel + places % self.kernel

    def places(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Return the flat places at rows and columns [m] of the same groups."""
        if not self.kernel:
            return rows * self.columns + (columns % self.columns if self.groups > 1 else columns)
        inputs, position = columns // self.kernel, columns % self.kernel
        return (inputs * self.rows + rows % self.rows) * self.kernel + position


@dataclass(frozen=True)
class Activity:
    """How active the rows and the columns of a weight are; both on the CPU, in float64.

    Attributes:
        grid: what rows and columns are.
        rows: [groups · rows].
        columns: [groups · columns].
    """

    grid: Grid
    rows: Tensor
    columns: Tensor

    @classmethod
    def observed(cls, grid: Grid, places: Tensor, values: Tensor) -> "Activity | None":
        """Return the mean of values seen at some places, by row and by column.

        Rows and columns without any get the mean of all.

        Args:
            grid: what rows and columns are.
            places: flat, int64 [m].
            values: [m], at least 0.

        Returns:
            None if the values say nothing: there is none, all are 0, or one is not finite.
        """
        # Whole numbers add up to the same in any order, so that processes agree to the bit.
        exact = values.double()
        highest = float(exact.max()) if len(exact) else 0.0
        if not 0 < highest < math.inf:
            return None
        unit = highest / LEVELS
        whole = (exact / unit).round().long()
        rows, columns = grid.at(places)
        return cls(
            grid,
            _means(rows, whole, grid.groups * grid.rows) * unit,
            _means(columns, whole, grid.groups * grid.columns) * unit,
        )

    def draw(self, number: int, generator: torch.Generator) -> Tensor:
        """Return `number` flat places, with repetition: P ∝ activity of the row · of the column."""
        grid = self.grid
        # Half of a random integer's bits for each: drawing takes as long as all else here.
        bits = torch.randint(
            2 ** (2 * BITS), (number,), generator=generator, device=generator.device
        )
        at_row, at_column = (bits >> BITS).double(), (bits & (2**BITS - 1)).double()
        rows = self._row_shares.first_above(at_row / 2**BITS)
        at_column /= 2**BITS
        if grid.groups > 1:  # within the part of the columns' shares that is the group's
            ends = self._column_shares.ends.view(grid.groups, -1)[:, -1].to(at_column.device)
            share, group = ends.diff(prepend=ends.new_zeros(1)), rows // grid.rows
            at_column = ends[group] - share[group] * (1 - at_column)
        columns = self._column_shares.first_above(at_column)
        if grid.groups > 1:  # rounding may not lead into another group
            first = group * grid.columns
            columns = columns.clamp(first, first + grid.columns - 1)
        return grid.places(rows, columns)

    @functools.cached_property
    def _row_shares(self) -> "_Shares":
        of_group = self.columns.view(self.grid.groups, 1, -1).sum(2)
        return _Shares.of((self.rows.view(self.grid.groups, -1) * of_group).flatten())

    @functools.cached_property
    def _column_shares(self) -> "_Shares":
        return _Shares.of(self.columns)


@dataclass(frozen=True)
class _Shares:
    """Shares of a whole, and a table that tells which of them a number in [0, 1) falls into.

    Attributes:
        ends: where each share ends if they are laid side by side, the last at 1: float64 [k].
        table: the share at the beginning of each of `BUCKETS` equal parts, and at 1.
    """

    ends: Tensor
    table: Any

    @classmethod
    def of(cls, weights: Tensor) -> "_Shares":
        """Return the shares of weights [k], at least 0, on the CPU."""
        sums = weights.cumsum(0)
        ends = sums / sums[-1]
        edges = np.arange(BUCKETS + 1) / BUCKETS
        return cls(ends, np.searchsorted(ends.numpy(), edges, side="right"))

    def first_above(self, at: Tensor) -> Tensor:
        """Return the first share that ends above each of `at` [n], in [0, 1): int64 [n]."""
        last = len(self.ends) - 1
        if at.device.type != "cpu":
            return torch.searchsorted(self.ends.to(at.device), at, right=True).clamp_max_(last)
        native = at.numpy()
        # The table answers most; a search, seven times slower, those in parts where a share ends.
        bucket = (native * BUCKETS).astype(np.int32).clip(max=BUCKETS - 1)  # exact: a power of two
        found = self.table.take(bucket)
        unsure = np.flatnonzero(found != self.table[1:].take(bucket))
        found[unsure] = np.searchsorted(self.ends.numpy(), native[unsure], side="right")
        return torch.from_numpy(found).clamp_max_(last)


def _means(at: Tensor, values: Tensor, size: int) -> Tensor:
    """Return the mean of whole `values` [m] at each of `size` indices: float64, on the CPU.

    At indices without any it is the mean of all.
    """
    zeros = torch.zeros(size, dtype=torch.int64, device=at.device)
    total = zeros.index_add(0, at, values).cpu().double()
    count = zeros.index_add(0, at, torch.ones_like(values)).cpu()
    overall = float(total.sum()) / len(values)
    return (total / count.clamp_min(1)).masked_fill_(count == 0, overall)


def active_places(
    mask: Tensor, count: int, activity: Activity, generator: torch.Generator
) -> Tensor:
    """Return exactly `count` flat places where `mask` is False, drawn by their activity; int64.

    Places are drawn one after another, each with a probability in proportion to the activity of
    its row times that of its column; those that have a weight, or were drawn before, are passed
    over. So the places have the distribution of the `count` highest of log(activity) plus Gumbel
    noise over all empty places, at a cost linear in the number of draws. After `MOST_DRAWS` draws
    for each place that is wanted, those that are missing are drawn uniformly.

    Args:
        mask: boolean, of the weight's shape.
        count: from 0 to the number of empty places.
        activity: of the weight's rows and columns.
        generator: on the device of `mask`.

    Raises:
        ValueError: there are fewer empty places.
    """
    taken = mask.flatten().clone()
    if count >= len(taken) - count_true(taken):
        return places_of(random_empty(mask, count, generator))  # all of them, or an error
    found: list[Tensor] = []
    missing, left = count, MOST_DRAWS * count
    # A CPU draws the same numbers in batches of any size.
    least = LEAST_DRAWN if mask.device.type == "cpu" else 1
    while missing > 0 and left > 0:
        number = min(left, max(missing, least))
        left -= number
        drawn = activity.draw(number, generator)
        places = distinct(drawn)
        new = where_true(places, ~taken.index_select(0, places))
        if len(new) > missing:  # those that were drawn first
            new = _drawn_first(drawn, new, missing)
        taken[new] = True
        found.append(new)
        missing -= len(new)
    if missing > 0:
        found.append(places_of(random_empty(taken, missing, generator)))
    return torch.cat(found) if found else torch.empty(0, dtype=torch.int64, device=mask.device)


def _drawn_first(drawn: Tensor, new: Tensor, count: int) -> Tensor:
    """Return the `count` of the places `new` [m] that come first in `drawn` [n], ascending."""
    places, first = np.unique(drawn.numpy(), return_index=True)
    first = first[np.searchsorted(places, new.numpy())]
    return new[torch.from_numpy(np.sort(np.argsort(first)[:count]))]
