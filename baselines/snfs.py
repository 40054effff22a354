"""Sparse momentum: Sparse Networks from Scratch (SNFS)."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from suite.core.declarations import Difference, Hyperparameter, Method, Search
from suite.core.hyperparameters import LAYERWISE, UPDATE_END, UPDATE_EVERY_EPOCH
from suite.sparsity.cost_bounds import Course, TrainingSetup, Zeros
from suite.sparsity.distribution import Shapes, momentum_counts
from suite.sparsity.drop_grow import DropGrow
from suite.sparsity.layers import PrunableWeight
from suite.sparsity.masks import NonFiniteScores, count_true, keep_active
from suite.sparsity.plan import Plan

METHOD = Method(
    "snfs",
    "Dettmers & Zettlemoyer 2019, arXiv:1907.04840",
    revision=2,
    title="Sparse momentum (SNFS)",
    summary="drops the smallest weights and grows by momentum, moving weights between layers",
    implementation="Snfs",
    family="sparse to sparse",
    hyperparameters=(
        *LAYERWISE,
        replace(UPDATE_EVERY_EPOCH, source="Dettmers & Zettlemoyer 2019, §3: after each epoch"),
        Hyperparameter(
            "drop_fraction",
            float,
            0.5,
            "fraction of a layer's active weights dropped at the first update",
            low=0.0,
            high=1.0,
            source="TimDettmers/sparse_learning: death rate 0.5, cosine",
            search=Search(low=0.05, high=0.6),
        ),
        replace(
            UPDATE_END,
            default=1.0,
            source="TimDettmers/sparse_learning: to the end of training",
            search=Search(low=0.5, high=1.0),
        ),
        Hyperparameter(
            "smoothing",
            float,
            0.9,
            "factor β of the exponentially smoothed gradient",
            low=0.0,
            below=1.0,
            source="Dettmers & Zettlemoyer 2019, §3: as the optimizer's momentum",
        ),
        Hyperparameter(
            "redistribution",
            str,
            "momentum",
            "where dropped weights are regrown: in all layers by their mean momentum ('momentum', "
            "the paper), or in the layer they were dropped from ('none')",
            choices=("momentum", "none"),
            source="Dettmers & Zettlemoyer 2019, §3",
        ),
    ),
    equation=(
        r"M \leftarrow \beta M + (1-\beta)\nabla L, \quad "
        r"m_l \leftarrow (m_l \smallsetminus \operatorname{Bottom}_{k_l}({|w|})) "
        r"\cup \operatorname{Top}_{g_l}({|M|}), \quad "
        r"g_l \propto \frac{1}{n_l}\sum_{i \in m_l}{|M_i|}"
    ),
    cost="2 f_S + f_D per step",
    differences=(
        Difference(
            "distribution",
            "erk",
            "uniform",
            "methods are compared from the same distribution",
        ),
        Difference(
            "number of initial weights",
            "exact",
            "as drawn, each weight by itself",
            "exact counts",
        ),
        Difference(
            "number of grown weights",
            "as many as were dropped",
            "may differ by one for each layer, and what is missing is made up for at later updates",
            "exact counts",
        ),
        Difference(
            "momentum",
            "a smoothed gradient of the method's own",
            "the optimizer's momentum, weight decay included; of Adam, m / √v",
            "the same for every optimizer, and the paper's definition",
        ),
        Difference(
            "optimizer state of grown weights",
            "0",
            "what the optimizer collected while they were pruned",
            "pruned weights have no optimizer state, so that nothing can move them",
        ),
        Difference(
            "dense gradients",
            "until the last update",
            "until the end of training",
            "later ones are not used",
        ),
        Difference(
            "redistribution=none",
            "weights return to the layer they were dropped from",
            "weights are divided by the layers' sizes",
            "layers keep their counts, as in RigL and SET",
        ),
        Difference(
            "order of a step",
            "masks change between backward pass and optimizer step",
            "masks change after the optimizer step",
            "one order for all methods",
        ),
    ),
)


LEAST_DROP = 0.005
"""Drop fraction that the cosine ends at."""
NEARLY_DENSE = 0.2
"""Sparsity below which a layer that grows drops less."""


class Snfs(DropGrow):
    """After each epoch: drop f(t) of each layer's smallest |w|, grow the largest |M| among zeros.

    M ← β·M + (1 − β)·∇L is stored for every weight, including inactive ones, and stays as it is
    when a weight is dropped or grown. f(t) falls from α to 0.005 along a cosine; ⌈f·n⌉ of a layer's
    n active weights are dropped. A layer that is less than 20 % sparse and has more than its equal
    share of momentum drops no larger fraction than its sparsity.

    Of all dropped weights, layer l is given the fraction mean|M_l| / Σ mean|M| (means over active
    weights), rounded up. What lies above 0.99 of the places it has (empty or just dropped) is
    divided equally among all layers, until nothing is left, and the result rounded down; then the
    rounding is made up for, so that as many weights are grown as were dropped. Layers that the
    distribution leaves dense take no part, nor do those that never had a gradient.
    """

    def __init__(self, plan: Plan, options: Mapping[str, Any]) -> None:
        super().__init__(plan, options)
        self.momentum: dict[str, Tensor] = {}

    @property
    def is_global(self) -> bool:
        """Whether only the total count is fixed, because weights move between layers."""
        return bool(self.options.redistribution == "momentum")

    def target_total(self, shapes: Shapes | None = None) -> int:
        """Return the number of zeros of the first masks; moving weights does not change it."""
        return sum(self.target_zeros(shapes).values())

    def start(self) -> None:
        """Draw the first masks; every weight's momentum starts at 0."""
        super().start()
        self._allocate()

    def _allocate(self) -> None:
        self.momentum = {layer.name: torch.zeros_like(layer.values) for layer in self.layers}

    @property
    def sparse(self) -> list[PrunableWeight]:
        """The layers that are not dense."""
        zeros = self.target_zeros()
        return [layer for layer in self.layers if zeros[layer.name] > 0]

    def start_from(self, masks: Mapping[str, Tensor]) -> None:
        """Start from given masks; every weight's momentum starts at 0."""
        super().start_from(masks)
        self._allocate()

    def wants_dense_gradient(self, step: int) -> bool:
        """Return whether the momentum is still needed."""
        return step <= self.schedule.last

    def observe(self, step: int) -> None:
        """Smooth the dense gradients."""
        if not self.wants_dense_gradient(step):
            return
        read = {layer.name: layer.dense_gradient for layer in self.layers}
        gradients = {name: one for name, one in read.items() if one is not None}
        if gradients:
            smoothed = [self.momentum[name] for name in gradients]
            torch._foreach_lerp_(smoothed, list(gradients.values()), 1 - self.options.smoothing)

    def fraction(self, step: int) -> float:
        """Return f(t), which falls from α to 0.005 (to α, if that is less)."""
        initial = float(self.options.drop_fraction)
        if initial <= LEAST_DROP:
            return initial
        return LEAST_DROP + (1 - LEAST_DROP / initial) * super().fraction(step)

    def drop_mask(self, layer: PrunableWeight, step: int) -> Tensor:
        """Return the flat mask without ⌈f·n⌉ of the smallest |w|."""
        return self._kept(layer, step, self.fraction(step))

    def _kept(self, layer: PrunableWeight, step: int, fraction: float) -> Tensor:
        scores = self.drop_scores(layer, step).flatten()
        return keep_active(
            layer.mask.flatten(), scores, layer.active - math.ceil(fraction * layer.active)
        )

    def can_update(self, layer: PrunableWeight) -> bool:
        """Return whether the layer ever had a gradient: without momentum nothing can grow."""
        return super().can_update(layer) and bool(self.momentum[layer.name].any())

    def update(self, step: int) -> None:
        """Drop in every layer, then grow by momentum."""
        if not self.is_global:
            super().update(step)
            return
        layers = [layer for layer in self.sparse if self.can_update(layer)]
        momentum = {layer.name: self._mean_momentum(layer) for layer in layers}
        equal = sum(momentum.values()) / max(1, len(momentum))
        kept, dropped, room = {}, {}, {}
        for layer in layers:
            fraction, sparsity = self.fraction(step), 1 - layer.active / layer.size
            if sparsity < NEARLY_DENSE and momentum[layer.name] > equal:
                fraction = min(fraction, sparsity)
            kept[layer.name] = self._kept(layer, step, fraction)
            dropped[layer.name] = layer.active - count_true(kept[layer.name])
            room[layer.name] = layer.size - layer.active + dropped[layer.name]
        counts = momentum_counts(momentum, sum(dropped.values()), room)
        for layer in layers:
            mask = self.grow_mask(
                layer,
                kept[layer.name].view(layer.shape),
                self.grow_scores(layer, step),
                counts[layer.name],
            )
            self.set_mask(layer, mask, step)

    def zeros_in_training(self, number: int, setup: TrainingSetup) -> Course:
        """Return the same number in all; weights move between layers until the last update."""
        if not self.is_global:
            yield 0, setup.final
            return
        first = self.target_zeros(setup.shapes)
        most = {n: math.prod(s) if first[n] else 0 for n, s in setup.shapes.items()}
        moving = Zeros.in_all(sum(first.values()), dict.fromkeys(first, 0), most)
        yield 0, Zeros.exactly(first)
        start, last = self.schedule.start, self.schedule.last
        if start < last:
            yield start, moving
        if start <= last:
            yield last, setup.final

    def _mean_momentum(self, layer: PrunableWeight) -> float:
        if layer.active == 0:
            return 0.0
        mean = float((self.momentum[layer.name].abs() * layer.mask).sum() / layer.active)
        if not math.isfinite(mean):
            raise NonFiniteScores(f"the mean momentum of '{layer.name}' is {mean}")
        return mean

    def grow_scores(self, layer: PrunableWeight, step: int) -> Tensor:
        """Return |M|."""
        return self.momentum[layer.name].abs()

    def method_state(self) -> dict[str, Any]:
        """Return the smoothed gradients."""
        return {"momentum": self.momentum}

    def load_method_state(self, state: Mapping[str, Any]) -> None:
        """Restore the smoothed gradients."""
        self.momentum = {name: value.clone() for name, value in state["momentum"].items()}
