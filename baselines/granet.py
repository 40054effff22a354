"""GraNet: gradual pruning with zero-cost neuroregeneration."""

import itertools
import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from suite.core.declarations import Difference, Hyperparameter, Method, Search
from suite.core.errors import InvalidInput
from suite.core.hyperparameters import CANDIDATE_RATIO, GLOBALLY, UPDATE_EVERY
from suite.sparsity.candidates import gradient_sizes
from suite.sparsity.cost_bounds import Course, TrainingSetup, Zeros
from suite.sparsity.distribution import Shapes, layer_zeros
from suite.sparsity.layers import PrunableWeight
from suite.sparsity.masks import count_true, grow, keep_active
from suite.sparsity.plan import Plan
from suite.sparsity.pruning import prune_layers
from suite.sparsity.schedule import CosineDecay, CubicRamp, UpdateSchedule
from suite.sparsity.sparsifier import Sparsifier

METHOD = Method(
    "granet",
    "Liu et al. 2021, arXiv:2106.10404",
    title="GraNet",
    summary="prunes along a cubic ramp and at each update regrows some weights by gradient",
    implementation="GraNet",
    family="sparse to sparse",
    hyperparameters=(
        *GLOBALLY,
        UPDATE_EVERY,
        Hyperparameter(
            "initial_sparsity",
            float,
            0.5,
            "sparsity s_i of the random (ERK) mask to start from; 0 starts dense. If the target is "
            "lower, training starts at the target",
            low=0.0,
            below=1.0,
            source="Liu et al. 2021, §4: s_i = 0.5 sparse to sparse, s_i = 0 dense to sparse",
            search=Search(low=0.0, high=0.7),
        ),
        Hyperparameter(
            "prune_end",
            float,
            0.6875,
            "t1, when the target is reached",
            low=0.0,
            high=1.0,
            unit="fraction of training",
            source="VITA-Group/GraNet: 110 of 160 epochs",
            search=Search(low=0.4, high=0.95),
        ),
        Hyperparameter(
            "drop_fraction",
            float,
            0.5,
            "fraction of a layer's remaining weights regenerated at the first update; cosine decay "
            "to zero",
            low=0.0,
            high=1.0,
            source="VITA-Group/GraNet: prune rate 0.5",
            search=Search(low=0.05, high=0.6),
        ),
        CANDIDATE_RATIO,
    ),
    cost="average of 3 f(s_t) over the ramp; 2 f_S + f_D at updates",
    differences=(
        Difference(
            "update_every",
            "100",
            "1,000 in their commands for CIFAR, 4,000 for ImageNet (100 if none is given)",
            "most tasks here have too few steps for 1,000",
        ),
        Difference(
            "decay of drop_fraction",
            "to 0",
            "to 0.005",
            "as in RigL: nothing changes at the very end",
        ),
        Difference(
            "number of dropped weights",
            "rounded down",
            "rounded up",
            "as in RigL",
        ),
        Difference(
            "ramp",
            "by the step; a last pruning at t1",
            "by whole updates: up to one update early where ΔT does not divide t1",
            "every t1 is met exactly",
        ),
        Difference(
            "number of weights",
            "exact",
            "initial masks as drawn, each weight by itself; ties with the threshold are pruned",
            "exact counts",
        ),
        Difference(
            "order of a step",
            "masks change between backward pass and optimizer step",
            "masks change after the optimizer step",
            "one order for all methods",
        ),
    ),
)


class GraNet(Sparsifier):
    """At every ΔT: prune the smallest |w| to s_t, then replace a fraction r(t) by gradient.

    s_t = s_f + (s_i − s_f)(1 − t/t1)³, ranked over the whole network; r(t) = r/2·(1 + cos(πt/T)).
    Regeneration, per layer: drop the smallest |w|, grow as many with the largest |∇L| among all
    inactive weights, including those just pruned. It continues after the ramp, to the end of
    training. ΔT is the default of the authors' code; their CIFAR scripts use 1,000. With
    ``candidate_ratio`` only candidates among the places that were empty before the update, and the
    weights just pruned or dropped, may grow.
    """

    def __init__(self, plan: Plan, options: Mapping[str, Any]) -> None:
        super().__init__(plan, options)
        end = self.step_at(self.options.prune_end)
        if end < 1:
            raise InvalidInput(
                f"granet: prune_end={self.options.prune_end:g} leaves no step to prune in: give "
                f"at least {1 / plan.steps:.2g}"
            )
        self.initial = min(self.options.initial_sparsity, plan.sparsity)
        self.pruning = UpdateSchedule(self.options.update_every, 0, end, close=True)
        self.ramp = CubicRamp(self.initial, plan.sparsity, 0, end)
        self.decay = CosineDecay(self.options.drop_fraction, plan.steps)

    def start(self) -> None:
        """Draw a random mask at the initial sparsity."""
        if self.initial > 0:
            self.draw_masks(self._initial_zeros(self.shapes))

    def start_from(self, masks: Mapping[str, Tensor]) -> None:
        """Start from given masks."""
        self.prune_on_from(masks)

    def raise_sparsity(self, step: int) -> None:
        """Prune to the new target now if no later update does."""
        self.prune_on(step, self.pruning.last)

    def _initial_zeros(self, shapes: Shapes) -> Mapping[str, int]:
        if self.initial == 0:
            return dict.fromkeys(shapes, 0)
        if not self.is_global:
            return self.zeros_at(self.initial, shapes)
        dense = self.dense_names(shapes)
        return layer_zeros(shapes, self.initial, "erk", dense=dense, compensate=self.compensates)

    def zeros_in_training(self, number: int, setup: TrainingSetup) -> Course:
        """Return the zeros along the ramp; regenerating weights does not change their number."""
        first = have = self._initial_zeros(setup.shapes)
        yield 0, Zeros.exactly(first)
        for step in itertools.takewhile(lambda s: s < self.pruning.last, self.pruning.updates()):
            sparsity = self.ramp(step)
            if self.is_global:
                # Pruned over the whole network; no layer gets fewer zeros than it had.
                fraction = sparsity / self.plan.sparsity if self.plan.sparsity else 0.0
                low, high = (
                    max(int(fraction * total), sum(first.values()))
                    for total in setup.final.in_network
                )
                yield step, Zeros(first, setup.final.most, (low, high))
            else:
                zeros = self.zeros_at(sparsity, setup.shapes)
                have = {name: max(zeros[name], count) for name, count in have.items()}
                yield step, Zeros.exactly(have)
        yield self.pruning.last, setup.final

    def is_update(self, step: int) -> bool:
        """Return whether weights are pruned or regenerated at `step`."""
        regenerates = step % self.options.update_every == 0 and step < self.plan.steps
        return regenerates or self.pruning.is_update(step)

    def effective_options(self) -> dict[str, float]:
        """Return the options in effect: fractions of training in steps, ΔT capped at all steps."""
        return {
            "update_every": min(self.options.update_every, self.plan.steps),
            "initial_sparsity": self.initial,
            "prune_end": self.pruning.end,
        }

    def wants_dense_gradient(self, step: int) -> bool:
        """Return whether `step` is an update."""
        return self.is_update(step)

    def update(self, step: int) -> None:
        """Prune to the ramp's sparsity, then regenerate."""
        active = {layer.name: layer.mask for layer in self.layers}
        scores = {layer.name: layer.values.abs() for layer in self.layers}
        left = self._pruned_to(self.ramp(step), active, scores)
        for layer in self.layers:
            mask = left[layer.name]
            count = count_true(mask)
            drop = math.floor(self.decay(step) * count)
            if drop > 0 and count < layer.size and layer.has_gradient:
                kept = keep_active(mask.flatten(), scores[layer.name].flatten(), count - drop)
                final = self._grown(layer, kept, drop, step)
            else:
                final = mask
            self.set_mask(layer, final, step, through=mask)

    def _grown(self, layer: PrunableWeight, kept: Tensor, number: int, step: int) -> Tensor:
        """Return the mask after growing `number` weights to the flat mask `kept`."""
        known = self.growth_candidates.known(layer.mask, self.generator(layer, "candidates", step))
        sizes = gradient_sizes(layer, known)
        assert sizes is not None  # `update` has asked
        among = None if known is None else known.flatten()
        return grow(kept, sizes.flatten(), number, among).view(layer.shape)

    def _pruned_to(
        self, sparsity: float, active: Mapping[str, Tensor], scores: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        if not self.is_global:
            is_last = sparsity == self.plan.sparsity
            zeros = self.target_zeros() if is_last else self.zeros_at(sparsity)
            # Rounding and capped layers may need fewer zeros than there are: pruning never regrows.
            have = {name: count_true(~mask) for name, mask in active.items()}
            return prune_layers(active, scores, {n: max(zeros[n], have[n]) for n in zeros})
        fraction = sparsity / self.plan.sparsity if self.plan.sparsity else 0.0
        return self.pruned(active, scores, fraction)
