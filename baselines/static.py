"""Static random sparsity: a mask drawn once, before training."""

from collections.abc import Mapping

from torch import Tensor

from suite.core.declarations import Difference, Method
from suite.core.hyperparameters import LAYERWISE
from suite.sparsity.cost_bounds import Course, TrainingSetup, unchanging
from suite.sparsity.sparsifier import Sparsifier

METHOD = Method(
    "static",
    "Mocanu et al. 2018, arXiv:1707.04780 (there: FixProb); Evci et al. 2020, arXiv:1911.11134",
    title="Static random",
    summary="a random mask drawn before training and never changed",
    implementation="Static",
    family="sparse to sparse",
    hyperparameters=LAYERWISE,
    control=True,
    equation=r"m \sim \operatorname{Uniform}\{m \in \{0,1\}^N : \textstyle\sum_i m_i = n\}",
    cost="3 f_S per step",
    differences=(
        Difference(
            "number of weights",
            "exact",
            "exact (RigL); as drawn, each weight by itself (FixProb)",
            "exact counts",
        ),
        Difference(
            "distribution",
            "erk",
            "er (FixProb)",
            "methods are compared from the same distribution",
        ),
        Difference(
            "dense_layers_compensate",
            "true",
            "false (RigL)",
            "the network has the sparsity that was asked for",
        ),
    ),
)


class Static(Sparsifier):
    """Draws each layer's mask uniformly at random with the layer's exact count, once."""

    def start(self) -> None:
        """Draw the masks."""
        self.draw_masks()

    def start_from(self, masks: Mapping[str, Tensor]) -> None:
        """Start from given masks."""
        self.keep_counts_of(masks)

    def raise_sparsity(self, step: int) -> None:
        """Prune the smallest weights to the new counts, once."""
        self.prune_on(step, last=0)

    def zeros_in_training(self, number: int, setup: TrainingSetup) -> Course:
        """Return that the masks do not change."""
        return unchanging(setup)
