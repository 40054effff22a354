"""GraNet: gradual pruning with zero-cost neuroregeneration."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from suite.core.declarations import Difference, Method
from suite.core.hyperparameters import CANDIDATE_RATIO, GLOBALLY, PRUNE_REGROW
from suite.sparsity.candidates import CandidateGradients
from suite.sparsity.cost_bounds import Course, TrainingSetup
from suite.sparsity.layers import PrunableWeight
from suite.sparsity.plan import Plan
from suite.sparsity.prune_regrow import PruneRegrow

METHOD = Method(
    "granet",
    "Liu et al. 2021, arXiv:2106.10404",
    title="GraNet",
    summary="prunes along a cubic ramp and at each update regrows some weights by gradient",
    implementation="GraNet",
    family="sparse to sparse",
    hyperparameters=(
        *GLOBALLY,
        *PRUNE_REGROW,
        CANDIDATE_RATIO,
    ),
    equation=(
        r"s_t = s_f + (s_i - s_f)\left(1 - \frac{t - t_0}{t_1 - t_0}\right)^3, "
        r"\quad "
        r"m \leftarrow \operatorname{Top}({|w|}), \quad "
        r"m \leftarrow (m \smallsetminus \operatorname{Bottom}_k({|w|})) "
        r"\cup \operatorname{Top}_k({|\nabla L|})"
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


class GraNet(PruneRegrow):
    """Prunes along a cubic ramp; at each update regrows by the gradient of the update's own step.

    Grown are the largest |∇L| among all inactive weights, including those just pruned; the rest is
    that of `PruneRegrow`. ΔT is the default of the authors' code; their CIFAR scripts use 1,000.
    With ``candidate_ratio`` only candidates among the places that were empty before the update, and
    the weights just pruned or dropped, may grow.
    """

    def __init__(self, plan: Plan, options: Mapping[str, Any]) -> None:
        super().__init__(plan, options)
        self._gradients = CandidateGradients(self.growth_candidates, self.generator)

    def zeros_in_training(self, number: int, setup: TrainingSetup) -> Course:
        """Return the zeros along the ramp; regenerating weights does not change their number."""
        return self.zeros_along_ramp(setup)

    def wants_dense_gradient(self, step: int) -> bool:
        """Return whether `step` is an update."""
        return self.is_update(step)

    def update(self, step: int) -> None:
        """Prune to the ramp's sparsity, then regenerate."""
        super().update(step)
        self._gradients.forget()

    def can_grow(self, layer: PrunableWeight) -> bool:
        """Return whether the loss depends on the layer."""
        return layer.has_gradient

    def grow_scores(self, layer: PrunableWeight, step: int) -> Tensor:
        """Return |∇|; 0 where growth does not look at it (`grow_among`)."""
        return self._gradients.sizes(layer, step)

    def grow_among(self, layer: PrunableWeight, step: int) -> Tensor | None:
        """Return the weights whose gradients are looked at; None for all."""
        return self._gradients.known(layer, step)
