"""The masks of a model's layers, and the ways in which methods choose them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from suite.core.errors import InvalidInput
from suite.core.seeds import derive_seed
from suite.sparsity.cost_bounds import Zeros
from suite.sparsity.distribution import Shapes, at_least
from suite.sparsity.exploration import Exploration
from suite.sparsity.layers import PrunableWeight, check_mask
from suite.sparsity.masks import count_true, random_mask, uniform
from suite.sparsity.plan import CostAccount, Plan, Recorder
from suite.sparsity.pruning import prune_layers, prune_together
from suite.sparsity.target_counts import TargetCounts

MASKS_TOLERANCE = 0.005
"""Largest difference between a given sparsity and that of given masks."""


class LayerMasks(TargetCounts):
    """The masks of a model's layers: drawn at random, given, or what magnitude pruning leaves.

    Every change goes through `set_mask`, which reports it, and counts the weights that were ever
    active where the method is dynamic.
    """

    def __init__(self, plan: Plan, options: Mapping[str, Any]) -> None:
        super().__init__(plan, options)
        self._exploration = Exploration()
        self._recorder: Recorder | None = None
        self._flops: CostAccount | None = None
        self._is_resuming = False

    @property
    def is_dynamic(self) -> bool:
        """Whether masks change while the network trains."""
        return False

    def set_mask(
        self,
        layer: PrunableWeight,
        mask: Tensor,
        step: int = 0,
        *,
        through: Tensor | None = None,
    ) -> None:
        """Give a layer its new mask and report what changed.

        A weight that is active before and after but not in the mask `through` restarts at 0;
        without `through`, a weight that is dropped and regrown at once keeps its value. A layer
        that was frozen midway keeps its mask.

        Raises:
            InvalidInput: a mask is not boolean, or not of the layer's shape.
        """
        for given in (mask,) if through is None else (mask, through):
            check_mask(layer, given)
        if self._is_resuming or not layer.trained:
            return
        before, active = layer.mask, layer.active
        kept = count_true(mask & before)
        if step == 0 and self.is_dynamic:
            self._exploration.begin(layer.name, mask)
        if through is not None:
            layer.set_mask(through & before)
        layer.set_mask(mask)
        if step > 0 and self.is_dynamic:
            self._exploration.add(layer.name, mask, grown=layer.active > kept)
        self.report(step, "dropped", active - kept, layer.name)
        self.report(step, "grown", layer.active - kept, layer.name)
        self.report(step, "density", layer.active / layer.size, layer.name)

    def draw_masks(self, zeros: Mapping[str, int] | None = None) -> None:
        """Give every layer a random mask with its exact count: how sparse training starts.

        `zeros` are the counts by layer; the final ones if left out.
        """
        zeros = self.target_zeros() if zeros is None else zeros
        for layer in self.layers:
            active = layer.size - zeros[layer.name]
            generator = self.generator(layer, "initial")
            if self.pattern is not None and active < layer.size:
                self.set_mask(layer, self.pattern.keep(uniform(layer.shape, generator)))
            else:
                self.set_mask(layer, random_mask(layer.shape, active, generator))

    def keep_counts_of(self, masks: Mapping[str, Tensor]) -> None:
        """Start from given masks, and end with as many zeros in every layer: for `start_from`.

        Raises:
            InvalidInput: the masks have another sparsity, or do not hold the method's pattern.
        """
        zeros = {name: mask.numel() - count_true(mask) for name, mask in masks.items()}
        given = sum(zeros.values()) / sum(layer.size for layer in self.layers)
        if abs(given - self.plan.sparsity) > MASKS_TOLERANCE:
            raise InvalidInput(
                f"masks: {given:.4f} of them are zeros, which this method keeps, not "
                f"{self.plan.sparsity:g}: leave sparsity out, or prune on with magnitude or granet"
            )
        for name, mask in masks.items():
            if error := self.mask_error(name, mask, zeros[name]):
                raise InvalidInput(f"masks: {error}: give masks of this pattern, or leave it out")
        self.hold_zeros(zeros)
        for layer in self.layers:
            self.set_mask(layer, masks[layer.name].to(layer.device))

    def prune_on_from(self, masks: Mapping[str, Tensor]) -> None:
        """Start from given masks and prune on to the target from there: for `start_from`.

        Masks of exactly the target sparsity, as where the target is theirs, keep their counts.

        Raises:
            InvalidInput: a layer, or the network, has more zeros than it may end with, or a group
                of a pattern fewer weights.
        """
        have = {name: mask.numel() - count_true(mask) for name, mask in masks.items()}
        # The distribution, rounded, may give some layers fewer zeros than the masks have.
        is_at_target = sum(have.values()) / sum(w.size for w in self.layers) == self.plan.sparsity
        dense = self.dense_names(self.shapes)
        if is_at_target and self.pattern is None and not any(have[name] for name in dense):
            self.hold_zeros(have)
        may = {} if self.is_global else self.target_zeros()
        if self.is_global:
            have, may = {"network": sum(have.values())}, {"network": self.target_total()}
        if over := [name for name, most in may.items() if have[name] > most]:
            raise InvalidInput(
                f"masks: '{over[0]}' has {have[over[0]]:,} zeros, more than the "
                f"{may[over[0]]:,} that it ends with: raise sparsity or change distribution"
            )
        for name, mask in masks.items():
            if self.pattern is not None and may[name] and not self.pattern.lies_within(mask):
                raise InvalidInput(
                    f"masks: '{name}' has groups of {self.pattern.m} with fewer than "
                    f"{self.pattern.n} weights, which pruning cannot bring to {self.pattern}: give "
                    "masks of this pattern, or leave it out"
                )
        for layer in self.layers:
            self.set_mask(layer, masks[layer.name].to(layer.device))

    def keep_pruned(self) -> None:
        """Let no layer end with fewer zeros than it has now: for `raise_sparsity`.

        Where given masks, or rounding, have more in a layer, the others end with fewer for it.

        Raises:
            InvalidInput: there are more zeros in all than the target.
        """
        have = {layer.name: layer.size - layer.active for layer in self.layers}
        if sum(have.values()) > self.target_total():
            raise InvalidInput(
                f"extend(sparsity={self.plan.sparsity:g}): {sum(have.values()):,} weights are zero "
                f"already, more than {self.target_total():,}: give a higher sparsity"
            )
        if not self.is_global:
            self.hold_zeros(at_least(have, self.target_zeros()))

    def prune_on(self, step: int, last: int) -> None:
        """Go on to a sparser target: for `raise_sparsity`, by methods that prune by magnitude.

        Without an update to come, after step `last`, the network is pruned to it at once.
        """
        self.keep_pruned()
        if step >= last:
            self.prune_smallest(1.0, step)

    def prune_smallest(self, fraction: float, step: int) -> None:
        """Prune the smallest |w| until `fraction` (0 to 1) of the target zeros is reached.

        Per layer, or over the whole network for a global distribution. Masks are monotone: a
        pruned weight is 0 and stays pruned, also on ties.
        """
        scores = {layer.name: layer.values.abs() for layer in self.layers}
        active = {layer.name: layer.mask for layer in self.layers}
        masks = self.pruned(active, scores, fraction)
        for layer in self.layers:
            self.set_mask(layer, masks[layer.name], step)

    def pruned(
        self, active: Mapping[str, Tensor], scores: Mapping[str, Tensor], fraction: float
    ) -> dict[str, Tensor]:
        """Return the masks `active` without the weights of the lowest `scores`.

        `fraction` (0 to 1) of the target number of zeros is reached exactly, per layer or over the
        whole network. Masks and scores by layer name, of the weights' shapes.
        """
        have = {name: mask.numel() - count_true(mask) for name, mask in active.items()}
        if not self.is_global:
            wanted = {name: int(fraction * count) for name, count in self.target_zeros().items()}
            zeros = {name: max(count, have[name]) for name, count in wanted.items()}
            return prune_layers(active, scores, zeros, self.pattern)
        # Frozen layers are ranked too, though `set_mask` leaves them: others do not make up for it.
        names = [layer.name for layer in self.prunable_layers]
        total = max(int(fraction * self.target_total()), sum(have[name] for name in names))
        return prune_together(active, scores, total, names)

    def zeros_when_pruned(self, fraction: float, final: Zeros) -> Zeros:
        """Return what `pruned` leaves at a `fraction` of the `final` zeros: for their course."""
        if fraction == 1:
            return final
        if self.is_global:
            low, high = (int(fraction * total) for total in final.in_network)
            return Zeros(dict.fromkeys(final.most, 0), final.most, (low, high))
        least, most = (
            {name: int(fraction * count) for name, count in zeros.items()}
            for zeros in (final.least, final.most)
        )
        return Zeros(least, most)

    def zeros_anywhere(self, shapes: Shapes, total: tuple[int, int] | None = None) -> Zeros:
        """Return that each layer that may be pruned has any number of zeros: for their course.

        `total` are the least and the most in all; any number if left out.
        """
        dense = self.dense_names(shapes)
        most = {name: 0 if name in dense else math.prod(s) for name, s in shapes.items()}
        return Zeros(dict.fromkeys(most, 0), most, total)

    def final_zeros(self, shapes: Shapes) -> Zeros:
        """Return what the targets say of the zeros at the end, before anything is trained."""
        if self.is_global:
            total = self.target_total(shapes)
            return self.zeros_anywhere(shapes, (total, total))
        targets = self.target_zeros(shapes)
        allowed = {name: self.allowed_zeros(name, targets[name], shapes) for name in targets}
        return Zeros(
            {name: min(zeros) for name, zeros in allowed.items()},
            {name: max(zeros) for name, zeros in allowed.items()},
        )

    def generator(self, layer: PrunableWeight, purpose: str, step: int = 0) -> torch.Generator:
        """Return a new random generator, seeded by (seed, layer, purpose, step).

        Each use gets a new one, so no generator state has to be saved.
        """
        seed = derive_seed(self.plan.seed, layer.name, purpose, step)
        return torch.Generator(layer.device).manual_seed(seed)

    def step_at(self, fraction: float) -> int:
        """Return the step at a fraction of training, rounded down."""
        return math.floor(fraction * self.plan.steps + 1e-9)

    def report(
        self, step: int, series: str, value: float | Sequence[float], layer: str | None = None
    ) -> None:
        """Report values for the training's curves: of a layer by name, or of the network."""
        if self._recorder is not None:
            self._recorder(step, series, value, layer)

    def charge(self, forwards: float, densities: Mapping[str, float]) -> None:
        """Charge a scoring's cost: `forwards` passes of one example at these densities by layer."""
        if self._flops is not None:
            self._flops.charge_scoring(forwards, densities)

    def charge_method(self, flops: float) -> None:
        """Charge the products that the method computes beside any pass through the network.

        Two FLOPs per multiply-add, as everywhere; element-wise work and selection are not charged.
        """
        if self._flops is not None:
            self._flops.charge_method(flops)
