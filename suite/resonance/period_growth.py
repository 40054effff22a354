"""Growth by the gradients recorded in a period between two updates: what its methods share."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from suite.resonance.tracked_gradients import TrackedGradients
from suite.sparsity.layers import PrunableWeight
from suite.sparsity.sparsifier import Sparsifier


class PeriodGrowth(Sparsifier, ABC):
    """Records the gradients of a period, and grows the largest |mean g|·c^q among those it read.

    c = (mean g)²/mean(g²) in [0, 1] is the coherence, q the option ``coherence_power``. A period
    begins with training and after each update. Comes before the class that has the schedule
    (`DropGrow`, `PruneRegrow`) among a method's bases; the method sets `tracked` with
    `tracked_gradients` and says in `wants_dense_gradient` which steps are recorded.

    Attributes:
        tracked: what is recorded in a period.
    """

    tracked: TrackedGradients
    update_reads_dense_gradients = False

    def tracked_gradients(self) -> TrackedGradients:
        """Return what records a period under the method's options."""
        o = self.options
        return TrackedGradients(
            self.growth_candidates, o.draw, o.shuffle, self.generator, self.module_of
        )

    @abstractmethod
    def wants_dense_gradient(self, step: int) -> bool:
        """Return whether the gradients of `step` are recorded."""

    def start(self) -> None:
        """Draw the first masks and begin the first period."""
        super().start()
        self.begin_period(0)

    def start_from(self, masks: Mapping[str, Tensor]) -> None:
        """Start from given masks and begin the first period."""
        super().start_from(masks)
        self.begin_period(0)

    def update(self, step: int) -> None:
        """Change the masks and begin the next period."""
        super().update(step)
        self.begin_period(step)

    def begin_period(self, step: int) -> None:
        """Set the sums to zero and draw candidates; a state that is loaded next brings its own."""
        if not self._is_resuming:
            self.tracked.begin(self.layers, step)

    def observe(self, step: int) -> None:
        """Add the gradients to the sums."""
        if self.wants_dense_gradient(step):
            self.tracked.record(self.layers)

    def scores_of_places(self, layer: PrunableWeight, step: int) -> Tensor:
        """Return |mean g|·c^q of the places that were read, in their order."""
        return self.tracked.moments(layer, step).agreement(self.options.coherence_power)

    def grow_scores(self, layer: PrunableWeight, step: int) -> Tensor:
        """Return |mean g|·c^q; 0 where no gradient is read."""
        return self.tracked.spread(layer, self.scores_of_places(layer, step))

    def grow_among(self, layer: PrunableWeight, step: int) -> Tensor | None:
        """Return the weights whose gradients were read; None for all."""
        return self.tracked.known(layer)

    def method_state(self) -> dict[str, Any]:
        """Return the sums, and the places that they are of."""
        return self.tracked.state()

    def load_method_state(self, state: Mapping[str, Any]) -> None:
        """Restore what `method_state` returned."""
        self.tracked.load(state)
