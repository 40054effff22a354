"""The gradients that growth looks at in a period: their moments, at all places or at some."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from suite.resonance.running_sums import Moments, RunningSums
from suite.resonance.shuffle import signal_sources
from suite.sparsity.activity_draw import Activity, Grid
from suite.sparsity.candidates import Candidates
from suite.sparsity.layers import PrunableWeight
from suite.sparsity.masks import where_true

Generators = Callable[[PrunableWeight, str, int], torch.Generator]
"""Returns a new random generator for (layer, purpose, step), always the same."""


class TrackedGradients:
    """Σg and Σg² since the last update, of every weight or of the active ones and candidates.

    Candidates are drawn at the beginning of a period, and only the gradients of active weights and
    of these are read in it (`PrunableWeight.gradient_at`): memory and work are linear in the number
    of active weights. A layer that has no inactive weight, or no active one, is not tracked then.

    Args:
        candidates: how many, per active weight; a ratio of 0 for every weight.
        draw: "uniform", or "activity": in proportion to the mean size of the gradients in a
            candidate's row times that in its column, over the places observed in the period before.
            The size is the root mean square over a period, which needs no sum of its own.
        shuffle: whose moments a place is judged by, as in `signal_sources`.
        generators: of the method.
        module_of: returns the module that holds a layer's weight.
    """

    def __init__(
        self,
        candidates: Candidates,
        draw: str,
        shuffle: str,
        generators: Generators,
        module_of: Callable[[PrunableWeight], nn.Module],
    ) -> None:
        self._candidates, self._draw, self._shuffle = candidates, draw, shuffle
        self._generators, self._module_of = generators, module_of
        self.sums = RunningSums({})
        self.places: dict[str, Tensor] = {}

    def begin(self, layers: Sequence[PrunableWeight], step: int) -> None:
        """Begin a period after `step`: draw candidates by what the last one has seen, forget that.

        Args:
            layers: with the masks of the period.
            step: the last one before it; 0 at the beginning.
        """
        if self._candidates.ratio == 0:
            if self.sums.total:
                self.sums.clear()
            else:
                self.sums = RunningSums({layer.name: layer.values for layer in layers})
            return
        changing = [layer for layer in layers if 0 < layer.active < layer.size]
        self.places = {layer.name: self._drawn(layer, step) for layer in changing}
        self.sums = RunningSums(
            {
                layer.name: torch.empty(
                    len(self.places[layer.name]),
                    dtype=layer.parameter.dtype,
                    device=layer.device,
                )
                for layer in changing
            }
        )

    def _drawn(self, layer: PrunableWeight, step: int) -> Tensor:
        """Return the places whose gradients are read, int64 [m], ascending."""
        generator = self._generators(layer, "candidates", step)
        return self._candidates.places(layer, generator, self._activity(layer))

    def _activity(self, layer: PrunableWeight) -> Activity | None:
        """Return the activity in the period that ends; None if there is none to draw by."""
        if self._draw == "uniform" or not self.has_any(layer):
            return None
        grid = Grid.of(self._module_of(layer), layer.shape)
        size = self.sums.moments(layer.name).power
        return Activity.observed(grid, self.places[layer.name], size)

    def record(self, layers: Sequence[PrunableWeight]) -> None:
        """Add the gradients of a step, unmasked."""
        if self._candidates.ratio == 0:
            self.sums.record({layer.name: layer.dense_gradient for layer in layers})
            return
        tracked = [layer for layer in layers if layer.name in self.places]
        self.sums.record({one.name: one.gradient_at(self.places[one.name]) for one in tracked})

    def has_any(self, layer: PrunableWeight) -> bool:
        """Return whether any gradient of a layer was recorded in this period that is not 0."""
        # Asked of the sums, at updates alone: a device is not waited for at every step. Not of the
        # squares, which are 0 for gradients below 1e-23.
        return layer.name in self.sums.total and bool(self.sums.total[layer.name].any())

    def moments(self, layer: PrunableWeight, step: int) -> Moments:
        """Return the moments that the places read are judged by, in an update; see `spread`."""
        moments = self.sums.moments(layer.name)
        if self._shuffle == "none":
            return moments
        live = moments.mean_square.flatten() > 0
        source = signal_sources(
            self._shuffle, step, live, lambda at: self._generators(layer, "shuffle", at)
        )
        return moments if source is None else moments.taken_from(source)

    def spread(self, layer: PrunableWeight, values: Tensor) -> Tensor:
        """Return values of the places read, of the weight's shape; 0 where none is."""
        if self._candidates.ratio == 0:
            return values
        places = self.places[layer.name]
        return values.new_zeros(layer.size).index_copy_(0, places, values).view(layer.shape)

    def active_power(self, layer: PrunableWeight, step: int) -> Tensor:
        """Return `Moments.power` of the active weights [active], in the order of their places."""
        if self._candidates.ratio == 0 and self._shuffle == "none":
            return self.sums.power_at(layer.name, layer.places)
        power = self.moments(layer, step).power
        if self._candidates.ratio == 0:
            return power.flatten().index_select(0, layer.places)
        places = self.places[layer.name]
        return where_true(power, layer.mask.flatten().index_select(0, places))

    def known(self, layer: PrunableWeight) -> Tensor | None:
        """Return where gradients are read, boolean, of the weight's shape; everywhere if None."""
        if self._candidates.ratio == 0:
            return None
        known = torch.zeros(layer.size, dtype=torch.bool, device=layer.device)
        known[self.places[layer.name]] = True
        return known.view(layer.shape)

    def state(self) -> dict[str, Any]:
        """Return the sums and where they are; tensors are the live ones."""
        return self.sums.state() | ({"places": self.places} if self._candidates.ratio else {})

    def load(self, state: Mapping[str, Any]) -> None:
        """Restore, as a copy, what `state` returned."""
        self.sums.load(state)
        if self._candidates.ratio:
            self.places = {name: places.clone() for name, places in state["places"].items()}
